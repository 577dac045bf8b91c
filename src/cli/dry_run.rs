//! `hmorph train --dry-run`: what a run will cost.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::common::print;
use crate::device::peak_memory_bytes;
use crate::model::Model;
use crate::train::{Session, time_steps, validate};

/// Measures a few steps and one validation pair, and prints the plan of the run.
pub fn run(session: &Session) -> anyhow::Result<()> {
    let config = &session.config.train;
    let model = session.model(&session.device)?;
    print(format!("parameters {}", parameters(&model)));
    let batch = seconds(|| session.sampler.batch(0))?;
    print(format!(
        "batch      {batch:.3} s to prepare, by {} threads beside the training",
        session.workers()
    ));
    let step = time_steps(session, 3)?;
    print(format!("step       {step:.3} s (median of 3)"));
    let each = pace(step, batch, session.workers());
    let training = each * config.steps() as f64;
    let validation = match session.validates() {
        true => validation_seconds(session, &model)?,
        false => 0.0,
    };
    print(format!(
        "in all     {}, of which validation {}",
        duration(training + validation),
        duration(validation)
    ));
    if let Some(bytes) = peak_memory_bytes() {
        print(format!("memory     {:.2} GB at most", bytes as f64 / 1e9));
    }
    Ok(())
}

/// Seconds from step to step when `workers` threads prepare batches meanwhile.
fn pace(step: f64, batch: f64, workers: usize) -> f64 {
    match workers {
        0 => step + batch,
        _ => step.max(batch / workers as f64),
    }
}

fn parameters(model: &Model) -> usize {
    model
        .blocks()
        .map(|(_, b)| b.weight.shape().num_elements() + b.bias.shape().num_elements())
        .sum()
}

/// All validations of the run, from the time of one pair.
fn validation_seconds(session: &Session, model: &Model) -> anyhow::Result<f64> {
    let config = &session.config;
    let never = AtomicBool::new(false);
    let one = seconds(|| {
        let pair = session.held_out().take(1);
        validate(model, pair, &config.loss, &session.device, 0, &never)
    })?;
    let times = 1 + config.train.epochs.div_ceil(config.train.validate_every);
    Ok(one * (times * session.held_out_pairs()) as f64)
}

fn seconds<T>(work: impl FnOnce() -> crate::error::Result<T>) -> crate::error::Result<f64> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed().as_secs_f64())
}

/// Seconds in words.
pub fn duration(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match minutes {
        0 => format!("{seconds:.0} s"),
        1..=119 => format!("{minutes} min"),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_of_trainer_and_loader_sets_the_pace() {
        assert_eq!(pace(1.0, 0.5, 0), 1.5);
        assert_eq!(pace(1.0, 0.5, 1), 1.0);
        assert_eq!(pace(1.0, 3.0, 2), 1.5);
    }

    #[test]
    fn times_are_rounded_to_what_matters() {
        assert_eq!(duration(12.4), "12 s");
        assert_eq!(duration(90.0 * 60.0), "90 min");
        assert_eq!(duration(3.0 * 3600.0 + 300.0), "3 h 5 min");
    }
}
