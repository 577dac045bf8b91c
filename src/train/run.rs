//! The training loop.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::module::Module;

use super::checkpoint::{self, Checkpoint, RunState};
use super::metrics::{CsvLog, Means};
use super::validate::{Validation, validate};
use super::{Adam, BatchTensors, Session, objective};
use crate::dataset::{Batch, Loader, Mode};
use crate::error::{Error, Result};
use crate::eval::peak_memory_bytes;
use crate::model::{Model, WeightsFile};

/// Told about the progress of a run.
pub trait Watch {
    /// A step is done; `means` holds the values since the last row of the log.
    fn step(&mut self, step: u64, means: &Means);
    /// The model was measured on held-out pairs.
    fn validated(&mut self, step: u64, validation: &Validation, best: bool);
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
/// Setting `stop` ends the run after the current step, with a checkpoint.
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
    let config = &session.config.train;
    let device = session.device.clone().autodiff();
    let mut model = match &resume {
        Some(checkpoint) => checkpoint.weights.model(&device)?,
        None => session.model(&device)?,
    };
    let mut adam = Adam::new(
        &model,
        config.weight_decay,
        config.clip_norm,
        &config.freeze,
    )?;
    let mut state = RunState::default();
    if let Some(checkpoint) = &resume {
        checkpoint.restore(&mut adam, &session.device);
        state = checkpoint.state.clone();
    }
    let mut logs = Logs::open(session, folder, &state)?;
    let mut loader = Loader::new(session.sampler.clone(), state.step, config.workers)?;
    let mut means = Means::default();
    let epoch = config.steps_per_epoch as u64;

    if state.step == 0 && session.validates() {
        let start = measure(session, &model)?;
        logs.validation(0, &start)?;
        watch.validated(0, &start, false);
    }
    while state.step < config.steps() {
        let batch = loader.next_batch()?;
        let lr = config.lr_at(state.step);
        model = one_step(session, model, &mut adam, &batch, lr, &mut means)?;
        state.step += 1;
        means.add("lr", lr);
        watch.step(state.step, &means);
        if state.step.is_multiple_of(config.log_every as u64) {
            logs.steps(state.step, &means)?;
            means.clear();
        }
        let last = state.step == config.steps();
        let step = state.step;
        let every = |epochs: usize| last || step.is_multiple_of(epochs as u64 * epoch);
        let mut ending = last.then_some(Ending::Complete);
        if session.validates() && every(config.validate_every) {
            let found = measure(session, &model)?;
            let best = state.record(found.score());
            logs.validation(state.step, &found)?;
            watch.validated(state.step, &found, best);
            if best {
                weights(session, &model, state.step).write(&folder.join("best.safetensors"))?;
            } else if config.patience > 0 && state.since_best >= config.patience {
                ending = Some(Ending::EarlyStop);
            }
        }
        if stop.load(Ordering::Relaxed) && !last {
            ending = Some(Ending::Interrupted);
        }
        if ending.is_some() || every(config.checkpoint_every) {
            state.seconds = logs.seconds();
            let current = weights(session, &model, state.step);
            checkpoint::save(folder, &current, &adam, &state)?;
            current.write(&folder.join("last.safetensors"))?;
        }
        if let Some(ending) = ending {
            return Ok((ending, state));
        }
    }
    Ok((Ending::Complete, state))
}

/// Median seconds of a training step, from `count` steps whose result is thrown away.
pub fn time_steps(session: &Session, count: usize) -> Result<f64> {
    let config = &session.config.train;
    let mut model = session.model(&session.device.clone().autodiff())?;
    let mut adam = Adam::new(
        &model,
        config.weight_decay,
        config.clip_norm,
        &config.freeze,
    )?;
    let mut seconds = Vec::new();
    // The first step also pays for starting up.
    for number in 0..=count as u64 {
        let batch = session.sampler.batch(number)?;
        let started = Instant::now();
        model = one_step(
            session,
            model,
            &mut adam,
            &batch,
            0.0,
            &mut Means::default(),
        )?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    let measured = &mut seconds[1..];
    measured.sort_by(f64::total_cmp);
    Ok(measured[measured.len() / 2])
}

fn weights(session: &Session, model: &Model, step: u64) -> WeightsFile {
    WeightsFile::of(model, session.card(step))
}

/// Forward, backward, update.
fn one_step(
    session: &Session,
    model: Model,
    adam: &mut Adam,
    batch: &Batch,
    lr: f64,
    means: &mut Means,
) -> Result<Model> {
    let config = &session.config;
    // The images are constants: only what meets the parameters is differentiated.
    let images = BatchTensors::new(batch, &session.device);
    let prediction = model.forward(images.moving.clone(), images.fixed.clone());
    let synthetic_weight = match config.mixture.mode {
        Mode::Sample => None,
        Mode::Weighted => Some(config.mixture.synthetic_weight(batch.number)),
    };
    let judged = objective(
        &config.loss,
        &model,
        batch,
        &images,
        &prediction,
        synthetic_weight,
    )?;
    let total = f64::from(judged.total.clone().into_scalar::<f32>());
    if !total.is_finite() {
        return Err(not_finite(batch, total, &judged.terms));
    }
    means.add("total", total);
    for (name, value) in &judged.terms {
        means.add(name, *value);
    }
    let (model, report) = adam.step(model, judged.total.backward(), lr);
    if !report.gradient_norm.is_finite() {
        return Err(not_finite(
            batch,
            f64::from(report.gradient_norm),
            &judged.terms,
        ));
    }
    means.add("gradient_norm", f64::from(report.gradient_norm));
    Ok(model)
}

fn not_finite(batch: &Batch, value: f64, terms: &std::collections::BTreeMap<String, f64>) -> Error {
    let pairs: Vec<String> = batch
        .fixed_ids
        .iter()
        .zip(&batch.moving_ids)
        .map(|(fixed, moving)| format!("{moving} to {fixed}"))
        .collect();
    let terms: Vec<String> = terms.iter().map(|(k, v)| format!("{k} = {v:e}")).collect();
    Error::invalid(format!(
        "step {}: the loss or its gradient is {value}; pairs: {}; terms: {}; lower train.lr or set train.clip_norm, \
         and look at these images",
        batch.number + 1,
        pairs.join(", "),
        terms.join(", ")
    ))
}

fn measure(session: &Session, model: &Model) -> Result<Validation> {
    let model = model.clone().valid();
    validate(
        &model,
        session.held_out(),
        &session.config.loss,
        &session.device,
    )
}

/// `metrics.csv` and `validation.csv` of a run folder.
struct Logs {
    steps: CsvLog,
    validation: CsvLog,
    /// When the last row was written, for seconds per step.
    last_row: (u64, f64),
}

impl Logs {
    fn open(session: &Session, folder: &Path, state: &RunState) -> Result<Self> {
        let terms = session.config.loss.terms();
        let mut columns: Vec<String> = [
            "step",
            "lr",
            "seconds",
            "seconds_per_step",
            "peak_memory_mb",
        ]
        .map(String::from)
        .to_vec();
        columns.extend(["gradient_norm", "total"].map(String::from));
        for kind in ["real", "synthetic"] {
            columns.extend(terms.iter().map(|(name, _)| format!("{kind}/{name}")));
        }
        let validation =
            ["step", "loss", "dice_before", "dice", "folded_percent"].map(String::from);
        let open = |name: &str, columns: &[String]| {
            CsvLog::open(&folder.join(name), columns, state.step, state.seconds)
        };
        Ok(Self {
            steps: open("metrics.csv", &columns)?,
            validation: open("validation.csv", &validation)?,
            last_row: (state.step, state.seconds),
        })
    }

    fn seconds(&self) -> f64 {
        self.steps.seconds()
    }

    fn steps(&mut self, step: u64, means: &Means) -> Result<()> {
        let seconds = self.seconds();
        let (last_step, last_seconds) = self.last_row;
        let per_step = (seconds - last_seconds) / (step - last_step).max(1) as f64;
        self.last_row = (step, seconds);
        self.steps.row(step, |column| match column {
            "seconds" => Some(seconds),
            "seconds_per_step" => Some(per_step),
            "peak_memory_mb" => peak_memory_bytes().map(|b| b as f64 / 1e6),
            name => means.get(name),
        })
    }

    fn validation(&mut self, step: u64, found: &Validation) -> Result<()> {
        self.validation.row(step, |column| match column {
            "loss" => Some(found.loss),
            "dice_before" => found.dice_before,
            "dice" => found.dice,
            "folded_percent" => Some(found.folded_percent),
            _ => None,
        })
    }
}
