//! Draws training samples: which kind, which images, and how they are augmented.
//!
//! Sample `n` of seed `s` is the same whatever the threads and whatever came before, so the state of a
//! run is the number of its next batch.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::batch::Batch;
use super::mixture::{MixtureConfig, Mode};
use super::sample::{Entry, Kind, Sample};
use super::store::Dataset;
use crate::error::{Error, Result};
use crate::volume::Dimension;

/// Makes synthetic pair number `n`: a pure function of `n`.
pub type MakeSynthetic = dyn Fn(u64) -> Result<Sample> + Send + Sync;

/// Draws the samples of a run. Cheap to share between threads.
pub struct Sampler {
    mixture: MixtureConfig,
    batch: usize,
    seed: u64,
    dimension: Dimension,
    real: Option<Arc<Dataset>>,
    synthetic: Option<Box<MakeSynthetic>>,
    /// Whether real pairs come with the labels that they have.
    labels: bool,
    /// Grid of the batches whose synthetic pairs are left to the device, `(i, j, k)`.
    leaves: Option<[usize; 3]>,
}

impl Sampler {
    /// A sampler of batches of `batch` items, real pairs from the training split of `real`.
    ///
    /// # Errors
    /// When `mixture` asks for a kind that has no source.
    pub fn new(
        mixture: MixtureConfig,
        batch: usize,
        seed: u64,
        dimension: Dimension,
        real: Option<Arc<Dataset>>,
        synthetic: Option<Box<MakeSynthetic>>,
    ) -> Result<Self> {
        if batch == 0 {
            return Err(Error::invalid("the batch size must be at least 1"));
        }
        mixture.check(batch, real.is_some(), synthetic.is_some())?;
        Ok(Self {
            mixture,
            batch,
            seed,
            dimension,
            real,
            synthetic,
            labels: true,
            leaves: None,
        })
    }

    /// Draws real pairs without labels, which then need not be brought to the grids of the fixed images, nor augmented.
    pub fn without_labels(self) -> Self {
        Self {
            labels: false,
            ..self
        }
    }

    /// Leaves the synthetic pairs of batches, all on a grid of `shape` `(i, j, k)`, to the device.
    pub fn leaving_synthetic(self, shape: [usize; 3]) -> Self {
        Self {
            leaves: Some(shape),
            ..self
        }
    }

    /// Batch `number`, which holds samples `number * batch_size ..`.
    pub fn batch(&self, number: u64) -> Result<Batch> {
        let first = number * self.batch as u64;
        let numbers = first..first + self.batch as u64;
        let Some(shape) = self.leaves else {
            let samples: Vec<Sample> = numbers.map(|n| self.sample(n)).collect::<Result<_>>()?;
            return Batch::from_samples(number, self.dimension, &samples);
        };
        let entry = |n| match self.kind(n) {
            Kind::Real => self.sample(n).map(Entry::Made),
            Kind::Synthetic => Ok(Entry::Unmade(n)),
        };
        let entries: Vec<Entry<Sample>> = numbers.map(entry).collect::<Result<_>>()?;
        Batch::from_entries(number, self.dimension, shape, &entries)
    }

    /// The kind of sample `n`, without making it.
    pub fn kind(&self, n: u64) -> Kind {
        self.draw_kind(n, &mut self.stream(n))
    }

    /// Sample `n` of the run.
    pub fn sample(&self, n: u64) -> Result<Sample> {
        let mut rng = self.stream(n);
        match (self.draw_kind(n, &mut rng), &self.real, &self.synthetic) {
            (Kind::Real, Some(dataset), _) => {
                dataset.augmented(dataset.draw(&mut rng, self.labels)?, self.seed, n)
            }
            (Kind::Synthetic, _, Some(make)) => make(n),
            (kind, ..) => Err(Error::invalid(format!(
                "sample {n}: no source of {kind:?} pairs"
            ))),
        }
    }

    fn stream(&self, n: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(n);
        rng
    }

    /// Always takes one number from `rng`, so that what follows does not depend on the mode.
    fn draw_kind(&self, n: u64, rng: &mut ChaCha8Rng) -> Kind {
        let drawn: f64 = rng.random();
        let size = self.batch as u64;
        let alpha = self.mixture.alpha.at(n / size);
        let real = match self.mixture.mode {
            Mode::Sample => drawn < alpha,
            // The larger half is real; at alpha = 1 the synthetic term weighs nothing.
            Mode::Weighted => alpha == 1.0 || n % size < size.div_ceil(2),
        };
        if real { Kind::Real } else { Kind::Synthetic }
    }
}
