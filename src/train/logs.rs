//! The logs of a run folder: `metrics.csv` and `validation.csv`.

use std::path::Path;
use std::time::{Duration, Instant};

use super::metrics::CsvLog;
use super::{Means, RunState, Validation};
use crate::config::RunConfig;
use crate::dataset::Kind;
use crate::device::peak_memory_bytes;
use crate::error::Result;
use crate::loss::LossConfig;

/// Name of the log of steps in a run folder.
pub(super) const METRICS: &str = "metrics.csv";
/// Name of the log of validations in a run folder.
pub(super) const VALIDATION: &str = "validation.csv";

/// Both logs, and the clock of the run.
pub(super) struct Logs {
    steps: CsvLog,
    validation: CsvLog,
    started: Instant,
    seconds_before: f64,
    /// Step and seconds of the last row, for seconds per step.
    last_row: (u64, f64),
    /// Seconds since then that belong to no step.
    apart: f64,
}

impl Logs {
    /// Opens the logs of a run that stands at `state`; rows beyond it are dropped, and the row of fewer steps with which a run
    /// ended that goes on.
    pub fn open(config: &RunConfig, folder: &Path, state: &RunState) -> Result<Self> {
        let step_columns = step_columns(&config.loss);
        let validation_columns =
            ["step", "loss", "dice_before", "dice", "folded_percent"].map(String::from);
        let (metrics, validation) = (folder.join(METRICS), folder.join(VALIDATION));
        let last_row = state.step - state.step % config.train.log_every as u64;
        Ok(Self {
            steps: CsvLog::open(&metrics, &step_columns, Some(last_row))?,
            validation: CsvLog::open(&validation, &validation_columns, state.validated)?,
            started: Instant::now(),
            seconds_before: state.seconds,
            last_row: (state.step, state.seconds),
            apart: 0.0,
        })
    }

    /// Seconds of training in all sessions of the run.
    pub fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }

    /// Notes time that belongs to no step, such as that of a validation.
    pub fn apart(&mut self, time: Duration) {
        self.apart += time.as_secs_f64();
    }

    /// A row of means over the steps since the last row.
    pub fn steps(&mut self, step: u64, means: &Means) -> Result<()> {
        let seconds = self.seconds();
        let (last_step, last_seconds) = self.last_row;
        let of_steps = seconds - last_seconds - self.apart;
        let per_step = of_steps / (step - last_step).max(1) as f64;
        (self.last_row, self.apart) = ((step, seconds), 0.0);
        self.steps.row(step, |column| match column {
            "seconds" => Some(seconds),
            "seconds_per_step" => Some(per_step),
            "peak_memory_mb" => peak_memory_bytes().map(|b| b as f64 / 1e6),
            name => means.get(name),
        })
    }

    pub fn validation(&mut self, step: u64, found: &Validation) -> Result<()> {
        self.validation.row(step, |column| match column {
            "loss" => Some(found.loss),
            "dice_before" => found.dice_before,
            "dice" => found.dice,
            "folded_percent" => Some(found.folded_percent),
            _ => None,
        })
    }
}

/// The validation after `step` in the log of a run folder, if it is there.
pub fn read_validation(folder: &Path, step: u64) -> Option<Validation> {
    type Row = (u64, f64, Option<f64>, Option<f64>, f64);
    let rows = csv::Reader::from_path(folder.join(VALIDATION)).ok()?;
    let mut rows = rows.into_deserialize::<Row>().flatten();
    let (_, loss, dice_before, dice, folded_percent) = rows.find(|row| row.0 == step)?;
    Some(Validation {
        loss,
        dice_before,
        dice,
        folded_percent,
    })
}

/// `KIND/items` is the mean number of items a step, `KIND/TERM` the unweighted mean of a term over those items.
fn step_columns(loss: &LossConfig) -> Vec<String> {
    let general = [
        "step",
        "lr",
        "seconds",
        "seconds_per_step",
        "peak_memory_mb",
        "gradient_norm",
        "total",
    ];
    let mut columns = general.map(String::from).to_vec();
    for kind in Kind::ALL.map(Kind::name) {
        columns.push(format!("{kind}/items"));
        columns.extend(
            loss.terms()
                .iter()
                .map(|used| format!("{kind}/{}", used.name)),
        );
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validation_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let config = RunConfig::default();
        let mut logs = Logs::open(&config, folder.path(), &RunState::default()).unwrap();
        let with_labels = Validation {
            loss: 0.25,
            dice_before: Some(0.5),
            dice: Some(0.75),
            folded_percent: 0.0,
        };
        let without = Validation {
            loss: -0.5,
            ..Validation::default()
        };
        logs.validation(0, &with_labels).unwrap();
        logs.validation(20, &without).unwrap();
        let read = |step| read_validation(folder.path(), step);
        assert_eq!((read(0), read(20)), (Some(with_labels), Some(without)));
        assert_eq!(read(10), None);
    }
}
