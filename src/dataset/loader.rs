//! Makes batches ahead of the trainer, in order, on worker threads.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::batch::Batch;
use super::sampler::Sampler;
use crate::error::{Error, Result};

/// Batches that each worker may have ready.
const AHEAD: usize = 2;

/// The batches of a run from `next` on; the same for any number of workers.
///
/// Worker `w` of `n` makes every `n`-th batch, single-threaded inside, and waits when it is `AHEAD`
/// batches ahead. Dropping the loader ends the workers.
pub struct Loader {
    sampler: Arc<Sampler>,
    next: u64,
    lanes: Vec<Lane>,
    turn: usize,
}

/// One worker and the channel that its batches come through.
struct Lane {
    batches: Receiver<Result<Batch>>,
    worker: JoinHandle<()>,
}

impl Loader {
    /// Starts `workers` threads at batch `first`; with 0 workers, batches are made when asked for.
    pub fn new(sampler: Arc<Sampler>, first: u64, workers: usize) -> Result<Self> {
        let lanes = (0..workers)
            .map(|worker| Lane::start(sampler.clone(), first + worker as u64, workers))
            .collect::<Result<_>>()?;
        Ok(Self {
            sampler,
            next: first,
            lanes,
            turn: 0,
        })
    }

    /// The next batch in order.
    ///
    /// # Errors
    /// Those of the batch; after one, the loader gives no more.
    pub fn next_batch(&mut self) -> Result<Batch> {
        let batch = match self.lanes.get(self.turn) {
            None => self.sampler.batch(self.next)?,
            Some(lane) => lane.batches.recv().map_err(|_| {
                Error::invalid(format!(
                    "batch {}: its worker thread has stopped",
                    self.next
                ))
            })??,
        };
        self.next += 1;
        self.turn = (self.turn + 1) % self.lanes.len().max(1);
        Ok(batch)
    }
}

impl Lane {
    fn start(sampler: Arc<Sampler>, first: u64, step: usize) -> Result<Self> {
        let failed =
            |error: String| Error::invalid(format!("cannot start a loader thread: {error}"));
        // One thread of its own: the synthesis inside must not spread over the trainer's threads.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let (sender, batches) = sync_channel(AHEAD);
        let worker = std::thread::Builder::new()
            .name("loader".into())
            .spawn(move || pool.install(|| work(&sampler, (first..).step_by(step), &sender)))
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self { batches, worker })
    }
}

/// Sends batches until one fails or nobody listens.
fn work(sampler: &Sampler, numbers: impl Iterator<Item = u64>, sender: &SyncSender<Result<Batch>>) {
    for number in numbers {
        let batch = sampler.batch(number);
        let failed = batch.is_err();
        if sender.send(batch).is_err() || failed {
            return;
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        let (channels, workers): (Vec<_>, Vec<_>) = self
            .lanes
            .drain(..)
            .map(|lane| (lane.batches, lane.worker))
            .unzip();
        // A worker that waits to send wakes up when its receiver goes.
        drop(channels);
        for worker in workers {
            // A panic in a worker has already been reported by the missing batch.
            let _ = worker.join();
        }
    }
}
