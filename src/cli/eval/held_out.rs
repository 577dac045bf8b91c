//! Held-out pairs of a training configuration, on its network grid.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Context, ensure};
use nalgebra::Matrix4;
use ndarray::Array3;
use serde_json::json;

use super::unused::Origin;
use super::walk::walk;
use super::{EvalArgs, Outcome};
use crate::cli::Common;
use crate::cli::registrar::{Registrar, Stages};
use crate::config::{self, RunConfig};
use crate::dataset::{DataConfig, Dataset, SharedLandmarks};
use crate::device::peak_memory_bytes;
use crate::eval::{Evaluation, Landmarks, Options, Pair, Protocol, evaluate_pair};
use crate::register::{NetworkFields, NetworkPair};
use crate::train::SPLIT;
use crate::volume::intensity::Normalisation;
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
    let data = images(name, &settings, options.protocol)?;
    let registrar = Registrar::new(
        &args.model,
        settings.model.dimension,
        Stages::Network,
        common,
    )?;
    common.say(format!("model    {}", registrar.describe()));
    let dataset = Dataset::load(&data, registrar.size_factor())?;
    let pairs = dataset.validation_pairs(args.split, args.count, common.seed.unwrap_or(0));
    ensure!(
        !pairs.is_empty(),
        "{name}: the split {} has no pairs",
        args.split
    );
    let id = |&(fixed, _): &(usize, usize)| dataset.items()[fixed].id.clone();
    let fixed: Vec<String> = pairs.iter().map(id).collect();
    let mut outcome = Outcome::of_pairs(options.protocol, &fixed);
    let walked = walk(&fixed, stop, |done, number| {
        let pair = HeldOut::new(&dataset, pairs[number].into())?;
        let evaluation = pair.evaluate(|images| Ok(registrar.predict(images)?.fields), options)?;
        if let Some(moved) = &evaluation.moved {
            let populations = &mut outcome.populations;
            populations.add(&pair.fixed_id, &pair.images.moving, moved)?;
        }
        let (count, to) = (pairs.len(), &pair.fixed_id);
        common.say(format!("{done:>4} of {count}  {} to {to}", pair.moving_id));
        Ok(evaluation.rows)
    })?;
    outcome.left = walked.left;
    outcome.rows = walked.found.into_iter().flatten().collect();
    outcome.facts = json!({
        "data": name, "overrides": args.overrides, "split": args.split.to_string(),
        "count": pairs.len(), "model": registrar.record(),
    });
    Ok(outcome)
}

/// The images of a configuration, and which of them are held out.
fn images(name: &str, settings: &RunConfig, protocol: Protocol) -> anyhow::Result<DataConfig> {
    let data = settings.data.clone();
    let data = data.with_context(|| format!("{name}: no [data] section, so no held-out pairs"))?;
    check_foreground(name, protocol, &data.normalize)?;
    Ok(as_split(data, Path::new(name)))
}

/// LUMIR masks by the voxels above 0 of the moving image as it is on file, which normalised intensities do not tell.
fn check_foreground(
    name: &str,
    protocol: Protocol,
    normalize: &Normalisation,
) -> anyhow::Result<()> {
    ensure!(
        protocol != Protocol::Lumir || *normalize == Normalisation::None {},
        "{name}: data.normalize changes which voxels of moving images are above 0, the mask of --protocol lumir; list the \
         pairs in a table (--pairs)"
    );
    Ok(())
}

/// With the split that the run of these settings wrote beside them. Assigned again, subjects would change places wherever
/// images were added or removed since, and training subjects would be tested.
fn as_split(data: DataConfig, config: &Path) -> DataConfig {
    let split = config.with_file_name(SPLIT);
    if !(config.is_file() && split.is_file()) {
        return data;
    }
    DataConfig {
        manifest: Some(split),
        images: None,
        labels: None,
        n_train: None,
        ..data
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
        let id = format!("{}_to_{}", self.moving_id, self.fixed_id);
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
