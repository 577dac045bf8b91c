//! Synthetic pairs as training samples: which label maps they are made from, and on which grid.

use std::path::PathBuf;

use super::batch::{Kind, Sample};
use super::sampler::MakeSynthetic;
use super::split::Split;
use super::store::Dataset;
use crate::error::{Error, Result};
use crate::synth::{LabelSource, SynthConfig, make_pair};
use crate::volume::{Dimension, LabelMap, centre_fit, read_labels};

/// Pair `n` of `seed` from `source`, on a grid of `shape` `(i, j, k)`.
pub fn synthetic_pairs(
    config: SynthConfig,
    source: LabelSource,
    dimension: Dimension,
    shape: [usize; 3],
    seed: u64,
) -> Box<MakeSynthetic> {
    Box::new(move |n| {
        let pair = make_pair(&config, &source, dimension, shape, seed, n)?;
        Ok(Sample {
            kind: Kind::Synthetic,
            fixed_id: format!("synthetic-{n}"),
            moving_id: format!("synthetic-{n}"),
            fixed: pair.fixed,
            moving: pair.moving,
            fixed_labels: Some(pair.fixed_labels),
            moving_labels: Some(pair.moving_labels),
            field: Some(pair.field),
        })
    })
}

/// The label maps that `labels` names: `shapes`, `data` (those of the training images) or a pattern of
/// files, which are padded or cropped about their centre to `shape`.
///
/// # Errors
/// No map found, unreadable files, maps of another dimension.
pub fn label_source(
    labels: &str,
    data: Option<&Dataset>,
    dimension: Dimension,
    shape: [usize; 3],
) -> Result<LabelSource> {
    let maps = match (labels, data) {
        ("shapes", _) => return Ok(LabelSource::Shapes),
        ("data", Some(data)) => data.label_maps(Split::Train),
        ("data", None) => {
            return Err(Error::invalid(
                "mixture.labels = \"data\", but there is no [data] section; use \"shapes\" or a pattern of label files",
            ));
        }
        (pattern, _) => files(pattern)?
            .iter()
            .map(|path| fitted(path, dimension, shape))
            .collect::<Result<_>>()?,
    };
    if maps.is_empty() {
        return Err(Error::invalid(format!(
            "mixture.labels = \"{labels}\": no label map found"
        )));
    }
    Ok(LabelSource::Maps(maps))
}

fn files(pattern: &str) -> Result<Vec<PathBuf>> {
    let wrong = |error: String| Error::invalid(format!("mixture.labels = \"{pattern}\": {error}"));
    let paths = glob::glob(pattern).map_err(|error| wrong(error.to_string()))?;
    paths
        .map(|path| path.map_err(|error| wrong(error.to_string())))
        .collect()
}

fn fitted(path: &PathBuf, dimension: Dimension, shape: [usize; 3]) -> Result<LabelMap> {
    let labels = read_labels(path)?;
    if labels.geometry.dimension != dimension {
        return Err(Error::file(
            path,
            format!(
                "{}-D label map for {}-D training; name maps of the same dimension",
                labels.geometry.dimension.axes(),
                dimension.axes()
            ),
        ));
    }
    Ok(centre_fit(&labels, shape, 0))
}
