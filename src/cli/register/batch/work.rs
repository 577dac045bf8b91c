//! Pairs registered side by side.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use serde_json::Value;

use super::plan::Task;
use super::table::Outcome;
use crate::cli::Common;
use crate::cli::register::inputs::Inputs;
use crate::cli::register::pair::{self, Method};
use crate::device;

/// How long a signal may go unnoticed.
const PATIENCE: Duration = Duration::from_millis(200);

/// What the threads share.
pub struct Batch {
    pub tasks: Vec<Task>,
    method: Method,
    common: Common,
    stop: Arc<AtomicBool>,
    /// Held for reading by whoever writes results: once it could be locked for writing after `stop`, nothing is
    /// half-written and nothing will be.
    writing: RwLock<()>,
}

/// A pair that has come to an end.
pub struct Finished {
    /// Its place among the tasks.
    pub task: usize,
    pub outcome: Outcome,
}

impl Batch {
    pub fn new(tasks: Vec<Task>, method: Method, common: Common, stop: Arc<AtomicBool>) -> Self {
        Self {
            tasks,
            method,
            common,
            stop,
            writing: RwLock::new(()),
        }
    }

    /// Registers the `waiting` tasks by `jobs` threads with a share of the CPU threads each; pairs as they end.
    ///
    /// After a signal the pairs end early. Registrations under way are given up then: their threads end with the
    /// program.
    pub fn start(self: &Arc<Self>, waiting: Vec<usize>, jobs: usize) -> Ended {
        let (sender, receiver) = channel();
        let queue = Arc::new(Mutex::new(VecDeque::from(waiting)));
        let threads = rayon::current_num_threads();
        for job in 0..jobs {
            let (batch, queue, sender) = (self.clone(), queue.clone(), sender.clone());
            // The first jobs take what division leaves over.
            let share = (threads / jobs + usize::from(job < threads % jobs)).max(1);
            std::thread::spawn(move || batch.work(&queue, share, &sender));
        }
        Ended {
            batch: self.clone(),
            receiver,
        }
    }

    /// Takes tasks from the queue until it is empty.
    fn work(&self, queue: &Mutex<VecDeque<usize>>, threads: usize, ended: &Sender<Finished>) {
        // Pairs run on this very thread, as one of the pool: each thread that uses a GPU takes memory of its own there.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .use_current_thread()
            .build();
        while !self.stop.load(Ordering::SeqCst) {
            let next = queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            let Some(task) = next else { return };
            let result = match &pool {
                Ok(_) => self.register(&self.tasks[task]),
                Err(error) => Err(anyhow!("no thread could be started: {error}")),
            };
            let outcome = match result {
                Ok(Some(record)) => Outcome::Done(record),
                Ok(None) => return,
                Err(error) => Outcome::Failed(format!("{error:#}")),
            };
            // Nobody listens once the program is stopping.
            let _ = ended.send(Finished { task, outcome });
        }
    }

    /// The record of a pair; `None` if the program was told to stop before it could be written.
    fn register(&self, task: &Task) -> anyhow::Result<Option<Value>> {
        let pair = || -> anyhow::Result<Option<Value>> {
            let started = Instant::now();
            // No bar for each of the pairs.
            let quietly = Common {
                quiet: true,
                ..self.common.clone()
            };
            let method = &self.method;
            let inputs = Inputs::read(&task.files, &method.reading, method.points_space)?;
            let registered = pair::register(inputs, &self.method, &quietly, started)?;
            let _writing = self.writing.read().unwrap_or_else(PoisonError::into_inner);
            if self.stop.load(Ordering::SeqCst) {
                return Ok(None);
            }
            let force = self.common.force || task.incomplete;
            let record = registered.write(&task.out, force, &self.method, &self.common)?;
            Ok(Some(record))
        };
        let guarded =
            || -> anyhow::Result<Option<Value>> { device::guard(&self.common.device, pair)? };
        // One pair must not end the others, whatever it holds.
        catch_unwind(AssertUnwindSafe(guarded))
            .unwrap_or_else(|_| Err(anyhow!("the program failed on this pair; please report it")))
    }
}

/// The pairs in the order in which they end; no more of them after a signal.
pub struct Ended {
    batch: Arc<Batch>,
    receiver: Receiver<Finished>,
}

impl Iterator for Ended {
    type Item = Finished;

    fn next(&mut self) -> Option<Finished> {
        loop {
            match self.receiver.recv_timeout(PATIENCE) {
                Ok(finished) => return Some(finished),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if self.batch.stop.load(Ordering::SeqCst) => {
                    // What is being written becomes complete, and is listed.
                    drop(self.batch.writing.write());
                    return self.receiver.recv_timeout(PATIENCE).ok();
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}
