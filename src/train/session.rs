//! What a run works with: its data, its model and where they come from. Preparing one writes nothing.

use std::sync::Arc;

use burn::tensor::Device;

use crate::config::{LabelOrigin, RunConfig};
use crate::dataset::{Align, Dataset, Kind, Sample, Sampler, Split};
use crate::error::{Error, Result};
use crate::model::{Model, ModelCard, WeightsFile};
use crate::synth::{LabelSource, SynthConfig, SynthPair, make_pair};
use crate::volume::intensity::Normalisation;
use crate::volume::{Dimension, LabelMap, axis_codes, centre_fit, read_labels};

/// Synthetic pairs from this number on validate; no training run gets so far.
const FIRST_HELD_OUT: u64 = 1 << 48;

/// A planned run.
pub struct Session {
    pub config: RunConfig,
    /// Inner device; training decorates it with automatic differentiation.
    pub device: Device,
    pub dataset: Option<Arc<Dataset>>,
    pub sampler: Arc<Sampler>,
    /// Weights to start from; fresh ones otherwise.
    pub start: Option<WeightsFile>,
    /// Training grid, `(i, j, k)`.
    pub shape: [usize; 3],
    held_out: HeldOut,
}

/// Pairs that training never sees.
enum HeldOut {
    Real(Vec<(usize, usize)>),
    Synthetic(Arc<Synthesis>),
    None,
}

/// Everything that makes synthetic pairs.
struct Synthesis {
    config: SynthConfig,
    source: LabelSource,
    dimension: Dimension,
    shape: [usize; 3],
    seed: u64,
}

impl Session {
    /// Checks the settings and loads the data.
    ///
    /// # Errors
    /// Settings that do not hold together; one report of all problems of the data.
    pub fn prepare(config: RunConfig, start: Option<WeightsFile>, device: Device) -> Result<Self> {
        config.validate()?;
        let dimension = config.model.dimension;
        let factor = config.model.size_factor()[1];
        let dataset = match &config.data {
            Some(data) => Some(Arc::new(Dataset::load(data, factor)?)),
            None => None,
        };
        if let Some(found) = dataset.as_ref().map(|d| d.dimension())
            && found != dimension
        {
            return Err(Error::invalid(format!(
                "[model] dimension is {dimension:?}, but the images are {found:?}: set model.dimension, or \
                 data.slice for slices of volumes"
            )));
        }
        let shape = grid(&config, dataset.as_deref(), factor)?;
        let synthesis = match &config.synth {
            Some(synth) => Some(Arc::new(Synthesis {
                config: synth.clone(),
                source: label_source(&config, dataset.as_deref(), shape)?,
                dimension,
                shape,
                seed: config.seed,
            })),
            None => None,
        };
        let held_out = HeldOut::choose(&config, dataset.as_deref(), synthesis.clone());
        let make = synthesis.map(|s| -> Box<crate::dataset::MakeSynthetic> {
            Box::new(move |index| s.sample(index))
        });
        let sampler = Sampler::new(
            config.mixture.clone(),
            config.train.batch,
            config.seed,
            dimension,
            dataset.clone(),
            make,
        )?;
        Ok(Self {
            config,
            device,
            dataset,
            sampler: Arc::new(sampler),
            start,
            shape,
            held_out,
        })
    }

    /// The model training starts with.
    pub fn model(&self, device: &Device) -> Result<Model> {
        match &self.start {
            Some(weights) => weights.model(device),
            None => Model::new(&self.config.model, self.config.seed, device),
        }
    }

    /// The held-out pairs, the same every time.
    pub fn held_out(&self) -> impl Iterator<Item = Result<Sample>> + '_ {
        let count = match &self.held_out {
            HeldOut::Real(pairs) => pairs.len(),
            HeldOut::Synthetic(_) => self.config.train.validation_pairs,
            HeldOut::None => 0,
        };
        (0..count).map(move |n| match (&self.held_out, &self.dataset) {
            (HeldOut::Real(pairs), Some(dataset)) => dataset.pair(pairs[n].0, pairs[n].1),
            (HeldOut::Synthetic(synthesis), _) => synthesis.sample(FIRST_HELD_OUT + n as u64),
            _ => Err(Error::invalid("there are no held-out pairs")),
        })
    }

    /// Whether there is anything to validate on.
    pub fn validates(&self) -> bool {
        !matches!(self.held_out, HeldOut::None)
    }

    /// What weights made in this run say about themselves after `step` steps.
    pub fn card(&self, step: u64) -> ModelCard {
        let data = self.config.data.as_ref();
        let item = self.dataset.as_ref().and_then(|d| d.items().first());
        let located = item.filter(|_| data.is_some_and(|d| d.align != Align::Centre));
        let kinds = match (data, &self.config.synth) {
            (Some(_), Some(_)) => "real and synthetic images",
            (Some(_), None) => "real images",
            _ => "synthetic images only",
        };
        let started = match &self.start {
            Some(weights) => format!("; started from: {}", weights.card.provenance),
            None => String::new(),
        };
        ModelCard {
            config: self.config.model.clone(),
            shape: self.shape,
            spacing: located.map(|i| i.geometry.spacing()),
            orientation: located.map(|i| axis_codes(&i.geometry.affine)),
            align: data.map_or(Align::Header, |d| d.align),
            normalize: data.map_or_else(Normalisation::default, |d| d.normalize.clone()),
            licence: if data.is_some() {
                "that of the training images".into()
            } else {
                "MIT OR Apache-2.0".into()
            },
            provenance: format!(
                "hmorph {}, {step} steps on {kinds}, seed {}{started}",
                env!("CARGO_PKG_VERSION"),
                self.config.seed
            ),
        }
    }
}

impl HeldOut {
    fn choose(
        config: &RunConfig,
        dataset: Option<&Dataset>,
        synthesis: Option<Arc<Synthesis>>,
    ) -> Self {
        let count = config.train.validation_pairs;
        if count == 0 {
            return Self::None;
        }
        match (dataset, synthesis) {
            (Some(dataset), _) => {
                let seed = config.data.as_ref().map_or(0, |d| d.split_seed);
                match dataset.validation_pairs(Split::Validation, count, seed) {
                    pairs if pairs.is_empty() => Self::None,
                    pairs => Self::Real(pairs),
                }
            }
            (None, Some(synthesis)) => Self::Synthetic(synthesis),
            (None, None) => Self::None,
        }
    }
}

impl Synthesis {
    fn sample(&self, index: u64) -> Result<Sample> {
        let pair = make_pair(
            &self.config,
            &self.source,
            self.dimension,
            self.shape,
            self.seed,
            index,
        )?;
        Ok(as_sample(pair, index))
    }
}

fn as_sample(pair: SynthPair, index: u64) -> Sample {
    Sample {
        kind: Kind::Synthetic,
        fixed_id: format!("synthetic-{index}-fixed"),
        moving_id: format!("synthetic-{index}-moving"),
        fixed: pair.fixed,
        moving: pair.moving,
        fixed_labels: Some(pair.fixed_labels),
        moving_labels: Some(pair.moving_labels),
        field: Some(pair.field),
    }
}

/// The training grid: that of the images, or the one stated for purely synthetic runs.
fn grid(config: &RunConfig, dataset: Option<&Dataset>, factor: usize) -> Result<[usize; 3]> {
    if let Some(dataset) = dataset {
        return Ok(dataset.shape());
    }
    let axes = config.model.dimension.axes();
    let shape = config.synth_labels.shape.as_deref().unwrap_or_default();
    let fits = |n: &usize| *n > 0 && n.is_multiple_of(factor);
    if shape.len() != axes || !shape.iter().all(fits) {
        return Err(Error::invalid(format!(
            "[synth_labels] shape is {shape:?}; without [data] it must be {axes} numbers, multiples of {factor}"
        )));
    }
    let mut grid = [1; 3];
    grid[..axes].copy_from_slice(shape);
    Ok(grid)
}

fn label_source(
    config: &RunConfig,
    dataset: Option<&Dataset>,
    shape: [usize; 3],
) -> Result<LabelSource> {
    let maps = match (&config.synth_labels.source, dataset) {
        (LabelOrigin::Shapes, _) => return Ok(LabelSource::Shapes),
        (LabelOrigin::Data, Some(dataset)) => dataset.label_maps(Split::Train),
        (LabelOrigin::Data, None) => {
            return Err(Error::invalid(
                "[synth_labels] source = \"data\" needs the labels of a [data] section",
            ));
        }
        (LabelOrigin::Files(pattern), _) => read_label_maps(pattern, shape)?,
    };
    if maps.is_empty() {
        return Err(Error::invalid(
            "[synth_labels] no label map found: the training subjects have none, or the pattern matches no file",
        ));
    }
    Ok(LabelSource::Maps(maps))
}

fn read_label_maps(pattern: &str, shape: [usize; 3]) -> Result<Vec<LabelMap>> {
    let paths = glob::glob(pattern).map_err(|e| {
        Error::invalid(format!(
            "[synth_labels] source = {pattern:?} is no pattern: {e}"
        ))
    })?;
    paths
        .map(|path| {
            let path = path.map_err(|e| Error::io(e.path().to_path_buf(), e.into()))?;
            let map: LabelMap = read_labels(path)?;
            Ok(centre_fit(&map, shape, 0))
        })
        .collect()
}
