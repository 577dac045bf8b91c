//! From the settings of a run to synthetic pairs.

use crate::config::{LabelOrigin, RunConfig};
use crate::dataset::{Dataset, Kind, Sample, Split, synthetic_id};
use crate::error::{Error, Result};
use crate::model::WeightsFile;
use crate::synth::{LabelSource, Recipe, SynthConfig, SynthPair};
use crate::volume::{Affine, Dimension, Geometry, LabelMap, centre_fit, read_labels};

/// Everything that makes the synthetic pairs of a run.
pub struct Synthesis {
    pub config: SynthConfig,
    pub source: LabelSource,
    /// Grid of the pairs: that of the first label map, or voxels of 1 mm for shapes.
    pub geometry: Geometry,
    pub seed: u64,
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
        }))
    }

    /// Pair `index` as a training sample.
    ///
    /// # Errors
    /// Those of the synthesis.
    pub fn sample(&self, index: u64) -> Result<Sample> {
        Ok(as_sample(self.recipe(index).pair()?, index))
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

/// Seed of the synthetic pairs of a run, those that validate among them. Pair n of a seed is always the same, so with its
/// seed alone a run from weights would see again what they were trained on. The weights decide, so that a run that goes on
/// keeps its pairs.
pub(super) fn pairs_seed(seed: u64, start: Option<&WeightsFile>) -> u64 {
    start.map_or(seed, |weights| beside(seed, weights.checksum()))
}

/// Another seed, whatever the checksum, and one that TOML can keep.
fn beside(seed: u64, checksum: u32) -> u64 {
    seed ^ ((1 << 62) | (u64::from(checksum) << 30))
}

fn as_sample(pair: SynthPair, index: u64) -> Sample {
    Sample {
        kind: Kind::Synthetic,
        fixed_id: synthetic_id(index, "fixed"),
        moving_id: synthetic_id(index, "moving"),
        fixed: pair.fixed,
        moving: pair.moving,
        fixed_labels: Some(pair.fixed_labels),
        moving_labels: Some(pair.moving_labels),
        field: Some(pair.field),
    }
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
        return Err(none_found(&config.synth_labels.source));
    }
    check_dimension(&maps, config.model.dimension)?;
    LabelSource::of_maps(&maps)
}

/// A source without a single map.
fn none_found(source: &LabelOrigin) -> Error {
    Error::invalid(match source {
        LabelOrigin::Files(pattern) => format!(
            "[synth_labels] no label map found: no file matches source = {pattern:?}, expected a pattern of label files, \
             seen from the working folder, such as maps/*.nii.gz; or set source = \"shapes\""
        ),
        _ => "[synth_labels] no label map found: source is \"data\", but no training image has labels; name label maps \
              in the manifest or by data.labels, or set source = \"shapes\""
            .into(),
    })
}

fn check_dimension(maps: &[(String, LabelMap)], dimension: Dimension) -> Result<()> {
    let mut maps = maps.iter();
    match maps.find(|(_, map)| map.geometry.dimension != dimension) {
        None => Ok(()),
        Some((name, map)) => Err(Error::invalid(format!(
            "[synth_labels] label map {name} is {}-D, but [model] dimension is {}-D; set model.dimension, or name other \
             maps",
            map.geometry.dimension.axes(),
            dimension.axes()
        ))),
    }
}

/// Every map that matches, with its path.
fn read_label_maps(pattern: &str, shape: [usize; 3]) -> Result<Vec<(String, LabelMap)>> {
    let paths = glob::glob(pattern).map_err(|e| {
        Error::invalid(format!(
            "[synth_labels] source = {pattern:?} is no pattern: {e}"
        ))
    })?;
    paths
        .map(|path| {
            let path = path.map_err(|e| {
                let path = e.path().to_owned();
                Error::io(&path, e.into())
            })?;
            let map: LabelMap = read_labels(&path)?;
            Ok((path.display().to_string(), centre_fit(&map, shape, 0)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_source_without_maps_says_which_it_is() {
        let of_files = none_found(&LabelOrigin::Files("maps/*.nii".into())).to_string();
        assert!(
            of_files.contains("no file matches source = \"maps/*.nii\""),
            "{of_files}"
        );
        let of_data = none_found(&LabelOrigin::Data).to_string();
        assert!(
            of_data.contains("no training image has labels"),
            "{of_data}"
        );
    }
}
