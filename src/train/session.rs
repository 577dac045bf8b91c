//! What a run works with: its data, its model and where they come from. Preparing one writes nothing.

use std::sync::Arc;

use burn::tensor::Device;

use super::parallel::Others;
use super::synthesis::{grid, pairs_seed};
use super::{Adam, BatchTensors, Synthesis, SynthesisPlace, TrainConfig, checks};
use crate::config::RunConfig;
use crate::dataset::{Batch, Dataset, MakeSynthetic, Sample, Sampler, Split};
use crate::error::{Error, Result};
use crate::loss::{Items, LossConfig};
use crate::model::{Model, WeightsFile};

/// Synthetic pairs from this number on validate; no training run gets so far (see `TrainConfig::validate`).
const FIRST_HELD_OUT: u64 = TrainConfig::MOST_PAIRS;

/// A planned run.
pub struct Session {
    pub config: RunConfig,
    /// Inner device; training decorates it with automatic differentiation.
    pub device: Device,
    /// More devices, which share each batch with it.
    pub(super) others: Option<Others>,
    pub dataset: Option<Arc<Dataset>>,
    pub sampler: Arc<Sampler>,
    /// Makes the synthetic pairs of batches on the device; without it they come from the sampler.
    pub(super) on_device: Option<Arc<Synthesis>>,
    /// Weights to start from; fresh ones otherwise.
    pub start: Option<WeightsFile>,
    /// Training grid, `(i, j, k)`.
    pub shape: [usize; 3],
    /// Seed of the pairs, and of the labels that are compared of them.
    pub(super) pairs_seed: u64,
    held_out: HeldOut,
}

/// Pairs that training never sees.
enum HeldOut {
    Real(Vec<(usize, usize)>),
    Synthetic(Arc<Synthesis>),
    None,
}

impl Session {
    /// Threads that prepare batches ahead: as many as are set, or one beside a CPU that trains, or beside a GPU all but one;
    /// one where the device makes all pairs.
    pub fn workers(&self) -> usize {
        let all_on_device = self.on_device.is_some() && !uses_real(&self.config);
        let beside = match self.device == Device::flex() || all_on_device {
            true => 1,
            false => rayon::current_num_threads().saturating_sub(1).max(1),
        };
        self.config.train.workers.unwrap_or(beside)
    }

    /// Checks the settings and loads the data.
    ///
    /// # Errors
    /// Settings that do not hold together; one report of all problems of the data.
    pub fn prepare(config: RunConfig, start: Option<WeightsFile>, device: Device) -> Result<Self> {
        config.validate()?;
        checks::precision(&config.train, &device)?;
        let factor = config.model.size_factor()[1];
        let data = config.data.as_ref();
        let mut dataset = data.map(|data| Dataset::load(data, factor)).transpose()?;
        // What is only checked here would take memory for as long as the run lasts.
        dataset.iter_mut().for_each(|data| data.forget(Split::Test));
        let dataset = dataset.map(Arc::new);
        let shape = grid(&config, dataset.as_deref(), factor)?;
        if let Some(dataset) = dataset.as_deref().filter(|_| uses_real(&config)) {
            checks::comparable(&config.loss, dataset.trains_on_labels(), Split::Train)?;
        }
        checks::labels(&config, dataset.as_deref())?;
        let pairs_seed = pairs_seed(config.seed, start.as_ref());
        let synthesis = Synthesis::plan(&config, dataset.as_deref(), factor, pairs_seed)?;
        let synthesis = synthesis.map(Arc::new);
        let held_out = HeldOut::choose(&config, dataset.as_deref(), synthesis.clone())?;
        checks::patience(&config.train, held_out.exists())?;
        let on_device = synthesis
            .clone()
            .filter(|_| on_device(config.train.synthesis, &device));
        let sampler = sampler(&config, pairs_seed, dataset.clone(), synthesis)?;
        let sampler = match &on_device {
            Some(_) => sampler.leaving_synthetic(shape),
            None => sampler,
        };
        let session = Self {
            config,
            device,
            others: None,
            dataset,
            sampler: Arc::new(sampler),
            on_device,
            start,
            shape,
            pairs_seed,
            held_out,
        };
        // Weights that do not fit and patterns that freeze nothing are found before anything is written.
        let model = session.model(&session.device)?;
        Adam::of_run(&model, &session.config.train)?;
        Ok(session)
    }

    /// The same run, each batch shared by more devices.
    ///
    /// # Errors
    /// A batch of fewer pairs than devices.
    pub fn share_with(mut self, others: Vec<Device>) -> Result<Self> {
        for device in &others {
            checks::precision(&self.config.train, device)?;
        }
        let (devices, batch) = (others.len() + 1, self.config.train.batch);
        if batch < devices {
            return Err(Error::invalid(format!(
                "train.batch is {batch}; {devices} devices share a batch: expected at least as many pairs"
            )));
        }
        self.others = match others.is_empty() {
            true => None,
            false => Some(Others::new(others)?),
        };
        Ok(self)
    }

    /// Seed of the pairs, if there are settings for synthetic ones; that of the run, unless it starts from weights.
    pub fn synthesis_seed(&self) -> Option<u64> {
        self.config.synth.as_ref().map(|_| self.pairs_seed)
    }

    /// Whether the device makes the synthetic pairs of batches.
    pub fn synthesises_on_device(&self) -> bool {
        self.on_device.is_some()
    }

    /// A batch on `device`, whose missing pairs are made there.
    ///
    /// # Errors
    /// Those of the synthesis.
    pub(super) fn tensors(&self, batch: &Batch, device: &Device) -> Result<BatchTensors> {
        BatchTensors::make(batch, self.on_device.as_deref(), &self.config.loss, device)
    }

    /// Devices that train.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        let others = self.others.iter().flat_map(Others::devices);
        std::iter::once(&self.device).chain(others)
    }

    /// The model training starts with.
    pub fn model(&self, device: &Device) -> Result<Model> {
        match &self.start {
            Some(weights) => weights.model(device),
            None => Model::new(&self.config.model, self.config.seed, device),
        }
    }

    /// Number of held-out pairs.
    pub fn held_out_pairs(&self) -> usize {
        match &self.held_out {
            HeldOut::Real(pairs) => pairs.len(),
            HeldOut::Synthetic(_) => self.config.train.validation_pairs,
            HeldOut::None => 0,
        }
    }

    /// The held-out pairs, the same every time.
    pub fn held_out(&self) -> impl Iterator<Item = Result<Sample>> + '_ {
        (0..self.held_out_pairs()).map(move |n| match (&self.held_out, &self.dataset) {
            (HeldOut::Real(pairs), Some(dataset)) => dataset.pair(pairs[n].0, pairs[n].1),
            (HeldOut::Synthetic(synthesis), _) => synthesis.held_out(FIRST_HELD_OUT + n as u64),
            _ => Err(Error::invalid("there are no held-out pairs")),
        })
    }

    /// Whether there is anything to validate on.
    pub fn validates(&self) -> bool {
        self.held_out.exists()
    }
}

impl HeldOut {
    fn exists(&self) -> bool {
        !matches!(self, Self::None)
    }

    fn choose(
        config: &RunConfig,
        dataset: Option<&Dataset>,
        synthesis: Option<Arc<Synthesis>>,
    ) -> Result<Self> {
        let count = config.train.validation_pairs;
        match (dataset, synthesis) {
            (Some(dataset), _) if count > 0 => {
                let seed = config.data.as_ref().map_or(0, |d| d.split_seed);
                let pairs = dataset.validation_pairs(Split::Validation, count, seed);
                if pairs.is_empty() {
                    return Ok(Self::None);
                }
                let labelled = pairs.iter().any(|&(f, m)| dataset.labelled(f, m));
                checks::comparable(&config.loss, labelled, Split::Validation)?;
                Ok(Self::Real(pairs))
            }
            (None, Some(synthesis)) if count > 0 => Ok(Self::Synthetic(synthesis)),
            _ => Ok(Self::None),
        }
    }
}

/// The batches of a run, whose synthetic pairs `synthesis` makes.
fn sampler(
    config: &RunConfig,
    pairs_seed: u64,
    dataset: Option<Arc<Dataset>>,
    synthesis: Option<Arc<Synthesis>>,
) -> Result<Sampler> {
    let make = synthesis.map(|s| -> Box<MakeSynthetic> { Box::new(move |index| s.sample(index)) });
    let sampler = Sampler::new(
        config.mixture.clone(),
        config.train.batch,
        pairs_seed,
        config.model.dimension,
        dataset,
        make,
    )?;
    Ok(match compares_real_labels(&config.loss) {
        true => sampler,
        false => sampler.without_labels(),
    })
}

fn compares_real_labels(loss: &LossConfig) -> bool {
    let terms = loss.terms();
    let mut of_labels = terms.iter().filter(|used| used.term.needs_labels());
    of_labels.any(|used| used.items.include(Items::Real))
}

/// Whether some step of the run trains on real pairs.
fn uses_real(config: &RunConfig) -> bool {
    config.mixture.alpha.range_over(config.train.steps()).1 > 0.0
}

/// Whether synthetic pairs are made on `device`.
fn on_device(place: SynthesisPlace, device: &Device) -> bool {
    match place {
        SynthesisPlace::Auto => *device != Device::flex(),
        SynthesisPlace::Host => false,
        SynthesisPlace::Device => true,
    }
}
