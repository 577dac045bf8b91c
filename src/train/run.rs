//! The training loop.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::module::Module;

use super::checkpoint::{Checkpoint, Checkpoints};
use super::feed::Feed;
use super::logs::Logs;
use super::step::Trainee;
use super::validate::{Validation, validate};
use super::{Means, RunState, Session, plots};
use crate::error::{Error, Result};
use crate::model::WeightsFile;

/// Told about the progress of a run.
pub trait Watch {
    /// A step is done; `means` holds the values since the last row of the log.
    fn step(&mut self, step: u64, means: &Means);
    /// The model was measured on held-out pairs.
    fn validated(&mut self, step: u64, validation: &Validation, best: bool);
    /// Something went wrong that the run can do without.
    fn warn(&mut self, problem: &Error);
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All steps are done.
    Complete,
    /// No better validation for as long as `patience` says.
    EarlyStop,
    /// Asked to stop; the last checkpoint continues the run.
    Interrupted,
}

/// Trains until the steps are done, from `resume` if given, writing into the run folder `folder`.
///
/// Setting `stop` ends the run after the current step or validation pair, with a checkpoint.
///
/// # Errors
/// A loss that is not finite (naming step, items and terms), unreadable data, a full disk.
pub fn train(
    session: &Session,
    folder: &Path,
    resume: Option<Checkpoint>,
    stop: &AtomicBool,
    watch: &mut dyn Watch,
) -> Result<(Ending, RunState)> {
    let mut run = Run::open(session, folder, resume, watch)?;
    loop {
        if run.validation_due() {
            run.apart(|run| run.validate(stop))?;
        }
        let ending = run.ending(stop);
        if ending.is_some() || run.state.checkpoint_due(&session.config.train) {
            run.apart(Run::save)?;
        }
        if let Some(ending) = ending {
            run.close(ending)?;
            return Ok((ending, run.state));
        }
        run.step()?;
    }
}

/// A run under way.
struct Run<'a> {
    session: &'a Session,
    folder: &'a Path,
    watch: &'a mut dyn Watch,
    trainee: Trainee,
    state: RunState,
    /// As it is in the last checkpoint.
    saved: Option<RunState>,
    checkpoints: Checkpoints,
    logs: Logs,
    feed: Feed<'a>,
}

impl<'a> Run<'a> {
    fn open(
        session: &'a Session,
        folder: &'a Path,
        resume: Option<Checkpoint>,
        watch: &'a mut dyn Watch,
    ) -> Result<Self> {
        let device = session.device.clone().autodiff();
        let model = match &resume {
            Some(checkpoint) => checkpoint.weights.model(&device)?,
            None => session.model(&device)?,
        };
        let mut trainee = Trainee::new(model, session)?;
        if let Some(Checkpoint { moments, state, .. }) = &resume {
            let adam = &mut trainee.adam;
            adam.restore(state.step, moments, &session.device)?;
        }
        let saved = resume.map(|checkpoint| checkpoint.state);
        let state = saved.clone().unwrap_or_else(|| RunState {
            start: session.start.as_ref().map(WeightsFile::checksum),
            ..RunState::default()
        });
        Ok(Self {
            session,
            folder,
            watch,
            trainee,
            checkpoints: Checkpoints::open(folder, saved.as_ref().map(|s| s.step))?,
            saved,
            logs: Logs::open(&session.config, folder, &state)?,
            feed: Feed::new(session, state.step)?,
            state,
        })
    }

    fn validation_due(&self) -> bool {
        self.session.validates() && self.state.validation_due(&self.session.config.train)
    }

    /// How the run ends here, if it does.
    fn ending(&self, stop: &AtomicBool) -> Option<Ending> {
        let session = self.session;
        let ending = self
            .state
            .ending(&session.config.train, session.validates());
        ending.or_else(|| stop.load(Ordering::Relaxed).then_some(Ending::Interrupted))
    }

    fn step(&mut self) -> Result<()> {
        let ready = match self.feed.next_batch() {
            Ok(ready) => ready,
            Err(error) => {
                // The steps so far are good; they must not be lost with this batch.
                self.save()?;
                return Err(error);
            }
        };
        let config = &self.session.config.train;
        let lr = config.lr_at(self.state.step);
        let last = self.state.step + 1 >= config.steps();
        let feed = &mut self.feed;
        let meanwhile = || {
            if !last {
                feed.make_ahead();
            }
        };
        let means = &mut self.state.means;
        let trainee = &mut self.trainee;
        if let Err(error) = trainee.step(self.session, ready, lr, means, meanwhile) {
            // The weights may be ruined: what was saved before is what there is.
            return Err(match &self.saved {
                Some(saved) => Error::invalid(format!("{error}; step {} is saved", saved.step)),
                None => error,
            });
        }
        self.state.step += 1;
        self.watch.step(self.state.step, &self.state.means);
        if self.at_row() {
            self.logs.steps(self.state.step, &self.state.means)?;
            self.state.means.clear();
        }
        Ok(())
    }

    /// Whether a row of the log of steps ends here.
    fn at_row(&self) -> bool {
        let every = self.session.config.train.log_every;
        self.state.step.is_multiple_of(every as u64)
    }

    /// Completes the logs and the curves of a run that ends here. Of the steps since the last row there is one row more, while
    /// their means stay in the checkpoint, for a run of more epochs that goes on with the row that they began.
    fn close(&mut self, ending: Ending) -> Result<()> {
        if ending != Ending::Interrupted && !self.at_row() {
            self.logs.steps(self.state.step, &self.state.means)?;
        }
        self.plot();
        Ok(())
    }

    /// Does what belongs to no step, whose time the log of steps leaves out.
    fn apart(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let started = Instant::now();
        let done = work(self);
        self.logs.apart(started.elapsed());
        done
    }

    /// Measures the model on the held-out pairs and keeps the best; stays due when `stop` is set.
    fn validate(&mut self, stop: &AtomicBool) -> Result<()> {
        let session = self.session;
        let found = validate(
            &self.trainee.model.clone().valid(),
            session.held_out(),
            &session.config.loss,
            &session.device,
            self.state.step,
            stop,
        )?;
        let Some(found) = found else {
            return Ok(());
        };
        // Before the first step there is nothing to keep.
        let best = self.state.step > 0 && self.state.record(found.score());
        if best {
            self.weights()?
                .write(&self.folder.join("best.safetensors"))?;
        }
        self.logs.validation(self.state.step, &found)?;
        self.state.validated = Some(self.state.step);
        self.watch.validated(self.state.step, &found, best);
        self.plot();
        Ok(())
    }

    /// The weights at this step.
    ///
    /// # Errors
    /// Weights that are not finite.
    fn weights(&self) -> Result<WeightsFile> {
        let step = self.state.step;
        let weights = WeightsFile::of(&self.trainee.model, self.session.card(step));
        match weights.not_finite() {
            None => Ok(weights),
            Some(name) => Err(Error::invalid(format!(
                "step {step}: {name} is not finite any more; lower train.lr or set train.clip_norm; the checkpoint \
                 before it is as it was"
            ))),
        }
    }

    fn save(&mut self) -> Result<()> {
        if self.saved.as_ref() == Some(&self.state) {
            return Ok(());
        }
        self.state.seconds = self.logs.seconds();
        let weights = self.weights()?;
        weights.write(&self.folder.join("last.safetensors"))?;
        self.checkpoints
            .save(&weights, &self.trainee.adam, &self.state)?;
        self.saved = Some(self.state.clone());
        Ok(())
    }

    /// Draws the curves; a run does not fail for want of a picture.
    fn plot(&mut self) {
        if let Err(problem) = plots::draw(self.folder) {
            self.watch.warn(&problem);
        }
    }
}
