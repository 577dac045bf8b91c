//! The trainings of a study, each in its run folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::bail;

use super::{Study, measure};
use crate::cli::train::Plan;
use crate::config::RunConfig;
use crate::error::Error;
use crate::model::WeightsFile;
use crate::study::{Job, Pretraining, WeightsChoice};
use crate::train::RunFolder;
use crate::volume::write_table;

/// Between two looks at a pretraining that another process is at.
const WAIT: Duration = Duration::from_secs(5);

impl Study<'_> {
    fn folder(&self, name: &str) -> PathBuf {
        self.args.out.join("cells").join(name)
    }

    /// The weights of a pretraining, which is run unless it is finished, or anew with `force`. One that another process
    /// trains is waited for.
    pub(super) fn pretrain(
        &self,
        pretraining: &Pretraining,
        force: bool,
        stop: &Arc<AtomicBool>,
    ) -> anyhow::Result<WeightsFile> {
        let (folder, settings) = (self.folder(&pretraining.name), &pretraining.settings);
        let mut waiting = false;
        loop {
            match self.finish(&folder, settings, force, stop) {
                Ok(()) => break,
                Err(error) if !matches!(error.downcast_ref(), Some(Error::Busy { .. })) => {
                    return Err(error);
                }
                Err(_) if stop.load(Ordering::Relaxed) => bail!("stopped while waiting"),
                Err(_) => {
                    if !waiting {
                        let name = &pretraining.name;
                        self.common
                            .say(format!("another process trains {name}; waiting"));
                    }
                    waiting = true;
                    std::thread::sleep(WAIT);
                }
            }
        }
        Ok(WeightsFile::read(&folder.join("last.safetensors"))?)
    }

    /// Trains a pretraining unless it is finished, or anew with `force`.
    fn finish(
        &self,
        folder: &Path,
        settings: &RunConfig,
        force: bool,
        stop: &Arc<AtomicBool>,
    ) -> anyhow::Result<()> {
        // Whoever waits for another process comes here every few seconds, and need not read weights or images for that.
        RunFolder::check_idle(folder)?;
        match !force && is_finished(folder, settings, None)? {
            true => Ok(()),
            false => self.train(folder, settings, None, force, stop),
        }
    }

    fn train(
        &self,
        folder: &Path,
        settings: &RunConfig,
        start: Option<WeightsFile>,
        force: bool,
        stop: &Arc<AtomicBool>,
    ) -> anyhow::Result<()> {
        let plan = Plan {
            settings: settings.clone(),
            start,
            source: &self.args.config,
            out: folder,
            force,
        };
        plan.train(self.common, stop)
    }

    pub(super) fn cell(&self, job: &Job, stop: &Arc<AtomicBool>) -> anyhow::Result<()> {
        let [results, cost] = self.results(job);
        if results.is_file() && cost.is_file() && !self.common.force {
            self.common.say("finished before");
            return Ok(());
        }
        let pretraining = job.pretraining.map(|number| &self.pretrainings[number]);
        // With --force a cell is run anew, but not what others share with it.
        let start = match pretraining {
            Some(pretraining) => Some(self.pretrain(pretraining, false, stop)?),
            None => None,
        };
        let mut settings = job.settings.clone();
        if let Some(weights) = &start {
            settings.model = weights.card.config.clone();
        }
        let folder = self.folder(&job.name);
        let force = self.common.force;
        if force || !is_finished(&folder, &settings, start.as_ref())? {
            self.train(&folder, &settings, start, force, stop)?;
        }
        let weights = WeightsFile::read(&folder.join(match self.settings.weights {
            WeightsChoice::Last => "last.safetensors",
            WeightsChoice::Best => "best.safetensors",
        }))?;
        let before = pretraining.map_or(0, |one| one.settings.train.steps());
        let (rows, mut facts) =
            measure::measure(&self.settings, job, &settings, &weights, stop, self.common)?;
        facts.steps += before;
        write_table(&cost, &[facts])?;
        Ok(write_table(&results, &rows)?)
    }

    /// Files of a cell's measures and of its cost.
    pub(super) fn results(&self, job: &Job) -> [PathBuf; 2] {
        let folder = self.args.out.join("results");
        ["csv", "cost.csv"].map(|suffix| folder.join(format!("{}.{suffix}", job.name)))
    }
}

/// Whether the folder holds a run of these settings that has come to its end.
fn is_finished(
    folder: &Path,
    settings: &RunConfig,
    start: Option<&WeightsFile>,
) -> anyhow::Result<bool> {
    let last = RunFolder::find(folder, settings, start, false)?;
    Ok(last.is_some_and(|checkpoint| checkpoint.ending(&settings.train).is_some()))
}
