//! Held-out pairs of a training configuration, on its network grid.

use std::time::Instant;

use anyhow::{Context, ensure};
use nalgebra::Matrix4;
use serde_json::json;

use super::{EvalArgs, Outcome};
use crate::cli::Common;
use crate::cli::registrar::{Registrar, Stages};
use crate::config::{self, RunConfig};
use crate::dataset::Dataset;
use crate::eval::{Landmarks, Options, Pair, evaluate_pair, peak_memory_bytes};
use crate::register::NetworkPair;
use crate::volume::{Image, LabelMap};

/// Evaluates pairs of a split of the configuration's images.
pub fn evaluate(
    args: &EvalArgs,
    name: &str,
    options: &Options,
    common: &Common,
) -> anyhow::Result<Outcome> {
    let settings: RunConfig = config::load(name, &args.overrides)?;
    let data = settings.data.as_ref();
    let data = data.with_context(|| format!("{name}: no [data] section, so no held-out pairs"))?;
    let registrar = Registrar::new(
        &args.model,
        settings.model.dimension,
        Stages::Network,
        common,
    )?;
    common.say(format!("model    {}", registrar.describe()));
    let dataset = Dataset::load(data, registrar.size_factor())?;
    let pairs = dataset.validation_pairs(args.split, args.count, common.seed.unwrap_or(0));
    ensure!(
        !pairs.is_empty(),
        "{name}: the split {} has no pairs",
        args.split
    );
    let mut outcome = Outcome::default();
    for (number, &(fixed, moving)) in pairs.iter().enumerate() {
        pair(&dataset, [fixed, moving], &registrar, options, &mut outcome)?;
        let ids = [fixed, moving].map(|n| &dataset.items()[n].id);
        common.say(format!(
            "{:>4} of {}  {} to {}",
            number + 1,
            pairs.len(),
            ids[1],
            ids[0]
        ));
    }
    outcome.facts = json!({
        "data": name, "overrides": args.overrides, "split": args.split.to_string(),
        "count": pairs.len(), "model": registrar.record(),
    });
    Ok(outcome)
}

fn pair(
    dataset: &Dataset,
    [fixed, moving]: [usize; 2],
    registrar: &Registrar,
    options: &Options,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let sample = dataset.pair(fixed, moving)?;
    let landmarks = dataset.landmarks(fixed, moving)?;
    let geometry = dataset.items()[fixed].geometry.clone();
    let labels = |data| LabelMap {
        data,
        geometry: geometry.clone(),
    };
    let labels = sample
        .fixed_labels
        .map(labels)
        .zip(sample.moving_labels.map(labels));
    let images = NetworkPair {
        fixed: Image {
            data: sample.fixed,
            geometry: geometry.clone(),
        },
        moving: Image {
            data: sample.moving,
            geometry: geometry.clone(),
        },
        linear: Matrix4::identity(),
        initial: Matrix4::identity(),
    };
    let started = Instant::now();
    let fields = registrar.predict(&images)?.fields;
    let seconds = started.elapsed().as_secs_f64();
    let id = format!("{}_to_{}", sample.moving_id, sample.fixed_id);
    let (fixed_points, moving_points) = &landmarks;
    let points = Landmarks::Points {
        fixed: fixed_points,
        moving: moving_points,
    };
    let evaluation = evaluate_pair(
        &Pair {
            inverse: Some(&fields.inverse),
            images: Some((&images.fixed, &images.moving)),
            labels: labels.as_ref().map(|(f, m)| (f, m)),
            landmarks: (!fixed_points.is_empty()).then_some(points),
            seconds: Some(seconds),
            peak_memory: peak_memory_bytes(),
            ..Pair::new(&id, &sample.fixed_id, &sample.moving_id, &fields.forward)
        },
        options,
    )?;
    outcome.rows.extend(evaluation.rows);
    if let Some(moved) = &evaluation.moved {
        outcome
            .populations
            .add(&sample.fixed_id, &images.moving, moved)?;
    }
    Ok(())
}
