//! Held-out pairs of a training configuration, on its network grid.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::ensure;
use nalgebra::Matrix4;
use ndarray::Array3;
use serde_json::json;

use super::images::images;
use super::unused::Origin;
use super::walk::walk;
use super::{EvalArgs, Outcome};
use crate::cli::Common;
use crate::cli::registrar::{Registrar, Stages};
use crate::config::{self, RunConfig};
use crate::dataset::{Dataset, SharedLandmarks};
use crate::device::peak_memory_bytes;
use crate::eval::{Evaluation, Landmarks, Options, Pair, PairResult, Populations, evaluate_pair};
use crate::register::{NetworkFields, NetworkPair};
use crate::volume::{Geometry, LabelMap, Volume};

/// Evaluates pairs of a split of the configuration's images.
pub fn evaluate(
    args: &EvalArgs,
    name: &str,
    options: &Options,
    common: &Common,
    stop: &AtomicBool,
) -> anyhow::Result<Outcome> {
    args.check_unused(Origin::HeldOut)?;
    let settings: RunConfig = config::load(name, &args.overrides)?;
    let dimension = settings.model.dimension;
    let data = images(name, settings, &args.overrides, options.protocol)?;
    let registrar = Registrar::new(&args.model, dimension, Stages::Network, common)?;
    common.say(format!("model    {}", registrar.describe()));
    let dataset = Dataset::load_to_measure(&data, registrar.size_factor(), args.split)?;
    let pairs = dataset.validation_pairs(args.split, args.count, common.seed.unwrap_or(0));
    ensure!(
        !pairs.is_empty(),
        "{name}: the split {} has no pairs",
        args.split
    );
    let id = |&(fixed, _): &(usize, usize)| dataset.items()[fixed].id.clone();
    let fixed: Vec<String> = pairs.iter().map(id).collect();
    let mut outcome = Outcome::of_pairs(options.protocol, &fixed);
    let say = |line: String| common.say(line);
    let walked = walk(&fixed, stop, say, |number| {
        let populations = &mut outcome.populations;
        let measured = measure(&dataset, pairs[number], &registrar, options, populations);
        let (fixed, moving) = pairs[number];
        let [fixed, moving] = [fixed, moving].map(|item| &dataset.items()[item].id);
        (pair_id(fixed, moving), measured)
    });
    (outcome.left, outcome.failures) = (walked.left, walked.failures);
    outcome.rows = walked.found.into_iter().flatten().collect();
    outcome.facts = json!({
        "data": name, "overrides": args.overrides, "split": args.split.to_string(), "count": pairs.len(),
        "failures": outcome.failures, "model": registrar.record(),
    });
    Ok(outcome)
}

/// What tables call a pair.
fn pair_id(fixed: &str, moving: &str) -> String {
    format!("{moving}_to_{fixed}")
}

/// The rows of one pair, whose images join the population of the fixed one.
fn measure(
    dataset: &Dataset,
    (fixed, moving): (usize, usize),
    registrar: &Registrar,
    options: &Options,
    populations: &mut Populations,
) -> anyhow::Result<Vec<PairResult>> {
    let measured = HeldOut::new(dataset, [fixed, moving]).and_then(|pair| {
        let network = |images: &NetworkPair| Ok(registrar.predict(images)?.fields);
        Ok((pair.evaluate(network, options)?, pair))
    });
    match measured {
        Ok((evaluation, pair)) => {
            if let Some(moved) = &evaluation.moved {
                populations.add(&pair.fixed_id, &pair.images.moving, moved)?;
            }
            Ok(evaluation.rows)
        }
        Err(error) => {
            populations.expect_one_less(&dataset.items()[fixed].id);
            Err(error.into())
        }
    }
}

/// A held-out pair on the network grid.
pub(in crate::cli) struct HeldOut {
    images: NetworkPair,
    labels: Option<(LabelMap, LabelMap)>,
    /// Empty without any.
    landmarks: SharedLandmarks,
    fixed_id: String,
    moving_id: String,
}

impl HeldOut {
    /// # Errors
    /// Images or landmarks that do not fit together.
    pub fn new(dataset: &Dataset, [fixed, moving]: [usize; 2]) -> crate::error::Result<Self> {
        let sample = dataset.pair(fixed, moving)?;
        let geometry = dataset.items()[fixed].geometry.clone();
        fn on<T>(data: Array3<T>, geometry: &Geometry) -> Volume<T> {
            let geometry = geometry.clone();
            Volume { data, geometry }
        }
        let labels = |data| on(data, &geometry);
        Ok(Self {
            landmarks: dataset.landmarks(fixed, moving)?,
            labels: sample
                .fixed_labels
                .map(labels)
                .zip(sample.moving_labels.map(labels)),
            images: NetworkPair {
                fixed: on(sample.fixed, &geometry),
                moving: on(sample.moving, &geometry),
                linear: Matrix4::identity(),
                initial: Matrix4::identity(),
            },
            fixed_id: sample.fixed_id,
            moving_id: sample.moving_id,
        })
    }

    /// Changes the moving image and its labels alike; landmarks, which would need the change's inverse, are dropped.
    pub fn change_moving(
        &mut self,
        image: impl Fn(&Array3<f32>) -> Array3<f32>,
        labels: impl Fn(&Array3<i32>) -> Array3<i32>,
    ) {
        self.images.moving.data = image(&self.images.moving.data);
        if let Some((_, moving)) = &mut self.labels {
            moving.data = labels(&moving.data);
        }
        self.landmarks = SharedLandmarks::default();
    }

    /// Registers the pair by `predict` and measures the result.
    ///
    /// # Errors
    /// Those of `predict` and of the measures.
    pub fn evaluate(
        &self,
        predict: impl FnOnce(&NetworkPair) -> crate::error::Result<NetworkFields>,
        options: &Options,
    ) -> crate::error::Result<Evaluation> {
        let started = Instant::now();
        let fields = predict(&self.images)?;
        let seconds = started.elapsed().as_secs_f64();
        let id = pair_id(&self.fixed_id, &self.moving_id);
        let points = Landmarks::Points {
            names: &self.landmarks.names,
            fixed: &self.landmarks.fixed,
            moving: &self.landmarks.moving,
        };
        evaluate_pair(
            &Pair {
                inverse: Some(&fields.inverse),
                images: Some((&self.images.fixed, &self.images.moving)),
                labels: self.labels.as_ref().map(|(f, m)| (f, m)),
                landmarks: (!self.landmarks.fixed.is_empty()).then_some(points),
                seconds: Some(seconds),
                peak_memory: peak_memory_bytes(),
                ..Pair::new(&id, &self.fixed_id, &self.moving_id, &fields.forward)
            },
            options,
        )
    }
}
