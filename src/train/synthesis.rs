//! From the settings of a run to synthetic pairs.

use super::label_source::label_source;
use crate::config::RunConfig;
use crate::dataset::{Dataset, Kind, Sample, synthetic_id};
use crate::error::{Error, Result};
use crate::model::WeightsFile;
use crate::synth::{Host, LabelSource, Recipe, SynthConfig};
use crate::volume::{Affine, Geometry};

/// Everything that makes the synthetic pairs of a run.
pub struct Synthesis {
    pub config: SynthConfig,
    pub source: LabelSource,
    /// Grid of the pairs: that of the first label map, or voxels of 1 mm for shapes.
    pub geometry: Geometry,
    pub seed: u64,
    /// What the loss of the run asks for.
    asked: Truths,
}

/// What is known about a pair beside its images, as far as somebody asks for it.
#[derive(Debug, Clone, Copy)]
struct Truths {
    labels: bool,
    field: bool,
}

impl Synthesis {
    /// What the `[synth]` and `[synth_labels]` sections ask for, with pairs of `seed`; `None` without `[synth]`.
    ///
    /// The grid is that of `dataset` if there is one, else `synth_labels.shape`, in multiples of `factor` voxels.
    ///
    /// # Errors
    /// A missing shape or one of the wrong size, label maps that are not there or cannot be used.
    pub fn plan(
        config: &RunConfig,
        dataset: Option<&Dataset>,
        factor: usize,
        seed: u64,
    ) -> Result<Option<Self>> {
        let Some(synth) = &config.synth else {
            return Ok(None);
        };
        let shape = grid(config, dataset, factor)?;
        let source = label_source(config, dataset, shape)?;
        source.check(config.model.dimension, shape)?;
        let geometry = match &source {
            LabelSource::Maps(maps) => maps[0].geometry().clone(),
            LabelSource::Shapes => Geometry::new(shape, config.model.dimension, Affine::identity()),
        };
        Ok(Some(Self {
            config: synth.clone(),
            source,
            geometry,
            seed,
            asked: Truths {
                labels: config.loss.needs_labels(),
                field: config.loss.needs_field(),
            },
        }))
    }

    /// Pair `index` to train on, with labels and true field where the loss asks for them.
    ///
    /// # Errors
    /// Those of the synthesis.
    pub fn sample(&self, index: u64) -> Result<Sample> {
        self.with(self.asked, index)
    }

    /// Pair `index` to measure a model on, with all that is known about it.
    ///
    /// # Errors
    /// Those of the synthesis.
    pub fn held_out(&self, index: u64) -> Result<Sample> {
        let all = Truths {
            labels: true,
            field: true,
        };
        self.with(all, index)
    }

    fn with(&self, truths: Truths, index: u64) -> Result<Sample> {
        let made = self.recipe(index).make(&Host)?;
        let [fixed_labels, moving_labels] = match truths.labels {
            true => made.label_maps()?.map(Some),
            false => [None, None],
        };
        let field = truths.field.then(|| made.field_map()).transpose()?;
        let [fixed, moving] = made.into_images()?;
        Ok(Sample {
            kind: Kind::Synthetic,
            fixed_id: synthetic_id(index, "fixed"),
            moving_id: synthetic_id(index, "moving"),
            fixed,
            moving,
            fixed_labels,
            moving_labels,
            field,
        })
    }

    /// What pair `index` is made by.
    pub fn recipe(&self, index: u64) -> Recipe<'_> {
        Recipe {
            config: &self.config,
            source: &self.source,
            dimension: self.geometry.dimension,
            shape: self.geometry.shape,
            seed: self.seed,
            index,
        }
    }
}

/// Seed of the pairs of a run, the synthetic ones that validate among them. Pair n of a seed is always the same, so with its
/// seed alone a run from weights would see again what they were trained on. The weights decide, so that a run that goes on
/// keeps its pairs.
pub(super) fn pairs_seed(seed: u64, start: Option<&WeightsFile>) -> u64 {
    start.map_or(seed, |weights| beside(seed, weights.checksum()))
}

/// Another seed, whatever the checksum, and one that TOML can keep.
fn beside(seed: u64, checksum: u32) -> u64 {
    seed ^ ((1 << 62) | (u64::from(checksum) << 30))
}

/// The grid of a run, `(i, j, k)`: that of the images, which must have the network's dimension, or the one stated for
/// purely synthetic runs.
pub(super) fn grid(
    config: &RunConfig,
    dataset: Option<&Dataset>,
    factor: usize,
) -> Result<[usize; 3]> {
    let axes = config.model.dimension.axes();
    if let Some(dataset) = dataset {
        let found = dataset.dimension().axes();
        return match found == axes {
            true => Ok(dataset.shape()),
            false => Err(Error::invalid(format!(
                "[model] dimension is \"{axes}d\", but the images are {found}-D: set model.dimension, or data.slice \
                 for slices of volumes"
            ))),
        };
    }
    let shape = config.synth_labels.shape.as_deref().unwrap_or_default();
    let fits = |n: &usize| *n > 0 && n.is_multiple_of(factor);
    if shape.len() != axes || !shape.iter().all(fits) {
        let multiples = match factor {
            1 => String::new(),
            _ => format!(", multiples of {factor}"),
        };
        return Err(Error::invalid(format!(
            "[synth_labels] shape is {shape:?}; without [data] it must be {axes} numbers{multiples}"
        )));
    }
    let mut grid = [1; 3];
    grid[..axes].copy_from_slice(shape);
    Ok(grid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    /// What a run on small random shapes makes its pairs by, with one more term in its loss.
    fn synthesis(term: &str) -> Synthesis {
        let changes = ["synth_labels.shape=[16, 20]", term].map(String::from);
        let config: RunConfig = load("quickstart", &changes).unwrap();
        Synthesis::plan(&config, None, 1, 3).unwrap().unwrap()
    }

    #[test]
    fn pairs_to_train_on_hold_what_the_loss_asks_for() {
        let whole = synthesis("loss.mse={}").held_out(5).unwrap();
        assert!(whole.fixed_labels.is_some() && whole.moving_labels.is_some());
        assert!(whole.field.is_some());
        for (term, labels, field) in [
            ("loss.mse={}", false, false),
            ("loss.dice={}", true, false),
            ("loss.field_mse={}", false, true),
        ] {
            let expected = Sample {
                fixed_labels: whole.fixed_labels.clone().filter(|_| labels),
                moving_labels: whole.moving_labels.clone().filter(|_| labels),
                field: whole.field.clone().filter(|_| field),
                ..whole.clone()
            };
            assert_eq!(synthesis(term).sample(5).unwrap(), expected, "{term}");
        }
    }

    #[test]
    fn weights_have_a_seed_of_their_own() {
        let largest = i64::MAX as u64;
        for seed in [0, 7, largest] {
            for checksum in [0, 1, u32::MAX] {
                let found = beside(seed, checksum);
                assert!(found != seed && found <= largest, "{seed}, {checksum}");
                assert_ne!(found, beside(seed, checksum ^ 2));
            }
        }
    }
}
