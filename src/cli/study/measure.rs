//! The measures of a trained cell on its held-out pairs.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail, ensure};

use crate::cli::Common;
use crate::cli::eval::HeldOut;
use crate::config::RunConfig;
use crate::dataset::{Dataset, Split};
use crate::eval::{Options, PairResult, Protocol, per_pair};
use crate::model::WeightsFile;
use crate::register::{NetworkPair, predict};
use crate::study::{CellFacts, Condition, Job, StudyConfig, StudyRow, shifted};

/// Registers the test pairs of the cell's fold under every condition.
///
/// # Errors
/// A test split without pairs, images that cannot be measured, an interruption.
pub fn measure(
    study: &StudyConfig,
    job: &Job,
    settings: &RunConfig,
    weights: &WeightsFile,
    stop: &AtomicBool,
    common: &Common,
) -> anyhow::Result<(Vec<StudyRow>, CellFacts)> {
    let data = settings.data.as_ref().context("a cell without [data]")?;
    let dataset = Dataset::load(data, settings.model.size_factor()[1])?;
    // One seed for all cells: they are compared on the same pairs.
    let pairs = dataset.validation_pairs(Split::Test, study.test_pairs, 0);
    ensure!(!pairs.is_empty(), "the test split has no pairs");
    let (device, _) = common.devices()?;
    let model = weights.model(&device)?;
    let facts = facts(job, settings, weights, &dataset);
    let mut rows = Vec::new();
    for &condition in &study.conditions {
        for (number, &(fixed, moving)) in pairs.iter().enumerate() {
            if stop.load(Ordering::Relaxed) {
                bail!("stopped; the same command continues");
            }
            let mut pair = HeldOut::new(&dataset, [fixed, moving])?;
            if condition == Condition::Shift {
                pair.change_moving(shifted, shifted);
            }
            let network = |images: &NetworkPair| {
                let seen = seen(condition, images, number as u64);
                Ok(predict(&model, &seen, &device)?.fields)
            };
            let measured = pair.evaluate(network, &Options::default())?;
            let subjects = [fixed, moving].map(|n| dataset.items()[n].subject.as_str());
            let found = per_pair(&measured.rows, Protocol::Hmorph);
            rows.extend(
                found
                    .into_iter()
                    .map(|one| row(&facts, condition, subjects, one)),
            );
        }
    }
    Ok((rows, facts))
}

fn seen(condition: Condition, images: &NetworkPair, number: u64) -> NetworkPair {
    let [fixed, moving] = condition.seen(&images.fixed.data, &images.moving.data, number);
    let mut seen = images.clone();
    seen.fixed.data = fixed;
    seen.moving.data = moving;
    seen
}

fn facts(job: &Job, settings: &RunConfig, weights: &WeightsFile, dataset: &Dataset) -> CellFacts {
    let voxels: usize = dataset.shape().iter().product();
    CellFacts {
        cell: job.name.clone(),
        paradigm: job.arm.paradigm.name().into(),
        n: match job.arm.alpha {
            0.0 => 0,
            _ => dataset.subjects(Split::Train),
        },
        alpha: job.arm.alpha,
        seed: job.seed,
        fold: job.fold,
        steps: settings.train.steps(),
        parameters: weights.parameters(),
        gflop: weights.operations(voxels) / 1e9,
    }
}

fn row(
    facts: &CellFacts,
    condition: Condition,
    [fixed, moving]: [&str; 2],
    found: PairResult,
) -> StudyRow {
    StudyRow {
        cell: facts.cell.clone(),
        paradigm: facts.paradigm.clone(),
        n: facts.n,
        alpha: facts.alpha,
        seed: facts.seed,
        fold: facts.fold,
        condition: condition.name().into(),
        pair: found.pair,
        fixed_subject: fixed.into(),
        moving_subject: moving.into(),
        metric: found.metric,
        before: found.before,
        value: found.after,
        unit: found.metric.unit().into(),
    }
}
