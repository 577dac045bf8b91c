//! Named intensity normalisations.
//!
//! Voxels that are not finite enter no statistic; afterwards NaN and -Inf count as the smallest finite value
//! of the image and +Inf as the largest, so that every normalisation, `none` too, gives finite voxels.

mod histogram;
mod statistics;

pub use statistics::{finite_range, percentiles};

use std::path::PathBuf;

use ndarray::{Array3, Zip};
use serde::{Deserialize, Serialize};

use super::{Image, LabelMap, read_image};
use crate::error::{Error, Result};
use statistics::{affine_map, mean_and_deviation, replace_non_finite};

/// How intensities are brought to a common scale; in TOML e.g. `{ kind = "percentile", low = 1.0 }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Normalisation {
    /// Values as they are in the file.
    None {},
    /// The smallest value becomes 0, the largest 1.
    MinMax {},
    /// Percentiles `low` and `high` become 0 and 1, values beyond are clipped.
    ///
    /// Percentiles are numpy's (linear interpolation, over all voxels). Where both coincide, as in an image
    /// that is almost everywhere zero, minimum and maximum take their place.
    Percentile {
        #[serde(default = "default_low")]
        low: f64,
        #[serde(default = "default_high")]
        high: f64,
    },
    /// Mean 0 and standard deviation 1 within `mask`; voxels outside it are mapped alike.
    ZScore {
        #[serde(default)]
        mask: Mask,
    },
    /// Histogram within `mask` brought to that of a reference image, which itself is normalised by
    /// percentiles 0.5 and 99.5; voxels outside `mask` become 0.
    HistogramMatch {
        reference: PathBuf,
        #[serde(default)]
        mask: Mask,
    },
}

/// The voxels that count for a statistic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mask {
    /// Voxels above 0.
    #[default]
    Foreground,
    All,
}

impl Mask {
    fn holds(self, value: f32) -> bool {
        value.is_finite() && (self == Self::All || value > 0.0)
    }
}

fn default_low() -> f64 {
    0.5
}

fn default_high() -> f64 {
    99.5
}

impl Default for Normalisation {
    fn default() -> Self {
        Self::Percentile {
            low: default_low(),
            high: default_high(),
        }
    }
}

impl Normalisation {
    /// Whether the background of an image, its darkest voxels, is 0 afterwards: not by z-scores, whose 0 is the mean. (Without a
    /// normalisation it is as in the file.)
    pub fn leaves_background_zero(&self) -> bool {
        !matches!(self, Self::ZScore { .. })
    }

    /// Checks the settings and reads the reference image, once for many images.
    ///
    /// # Errors
    /// Percentiles out of order, an unreadable reference.
    pub fn prepare(&self) -> Result<Normaliser> {
        let mut quantiles = Vec::new();
        match self {
            Self::Percentile { low, high } if !(0.0 <= *low && low < high && *high <= 100.0) => {
                return Err(Error::invalid(format!(
                    "normalisation percentiles {low} and {high}: expected 0 <= low < high <= 100"
                )));
            }
            Self::HistogramMatch { reference, mask } => {
                let mut image = read_image(reference)?;
                let keep = *mask;
                let in_mask: Vec<bool> = image.data.iter().map(|&v| keep.holds(v)).collect();
                Self::default().prepare()?.apply(&mut image)?;
                let values = image
                    .data
                    .iter()
                    .zip(&in_mask)
                    .filter(|(_, inside)| **inside);
                quantiles =
                    histogram::quantiles(values.map(|(&v, _)| v).collect()).ok_or_else(|| {
                        Error::file(reference, "no voxel in the mask to take a histogram of")
                    })?;
            }
            _ => {}
        }
        Ok(Normaliser {
            normalisation: self.clone(),
            reference_quantiles: quantiles,
        })
    }
}

/// A normalisation with all it needs; it can be stored with a model and used without the reference image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Normaliser {
    pub normalisation: Normalisation,
    /// Evenly spaced quantiles of the reference, from its minimum to its maximum; empty for other kinds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reference_quantiles: Vec<f32>,
}

impl Normaliser {
    /// Normalises in place. A constant image becomes 0 everywhere (with `none` it stays).
    ///
    /// # Errors
    /// An image without a finite voxel.
    pub fn apply(&self, image: &mut Image) -> Result<()> {
        self.apply_within(image, None)
    }

    /// Normalises the whole image by the voxels that `mask` holds.
    ///
    /// # Errors
    /// An image without a finite voxel there.
    pub fn apply_within(&self, image: &mut Image, mask: Option<&LabelMap>) -> Result<()> {
        let held = mask.map(|mask| held(image, mask));
        let counted = held.as_ref().unwrap_or(&image.data);
        let range = finite_range(counted).ok_or_else(|| {
            Error::invalid("image has no finite voxel; there is nothing to normalise")
        })?;
        let mapping = self.mapping(counted, range);
        replace_non_finite(&mut image.data, range);
        mapping.apply(&mut image.data);
        Ok(())
    }

    /// What the finite voxels of an image say of the way to the common scale.
    fn mapping(&self, data: &Array3<f32>, (low, high): (f32, f32)) -> Mapping {
        let (low, high) = (f64::from(low), f64::from(high));
        let clip = Some((0.0, 1.0));
        match &self.normalisation {
            Normalisation::None {} => Mapping::Keep,
            Normalisation::MinMax {} => Mapping::Scale(low, high - low, clip),
            Normalisation::Percentile { low: p, high: q } => {
                let [a, b] = percentiles(data, [*p, *q]).unwrap_or([low, high]);
                let (a, b) = if a < b { (a, b) } else { (low, high) };
                Mapping::Scale(a, b - a, clip)
            }
            Normalisation::ZScore { mask } => {
                let moments = mean_and_deviation(data, |v| mask.holds(v));
                let (mean, deviation) = moments.unwrap_or((low, 0.0));
                Mapping::Scale(mean, deviation, None)
            }
            Normalisation::HistogramMatch { mask, .. } => {
                let counted = data.iter().copied().filter(|&v| mask.holds(v)).collect();
                let table = histogram::Table::new(counted, &self.reference_quantiles);
                Mapping::Match(table, *mask)
            }
        }
    }
}

/// The way of one image to the common scale.
enum Mapping {
    Keep,
    /// Origin, range, and what the result is clipped to.
    Scale(f64, f64, Option<(f32, f32)>),
    /// Values within the mask by the table, all others 0.
    Match(histogram::Table, Mask),
}

impl Mapping {
    fn apply(&self, data: &mut Array3<f32>) {
        match self {
            Self::Keep => {}
            Self::Scale(origin, range, clip) => affine_map(data, *origin, *range, *clip),
            Self::Match(table, mask) => {
                data.mapv_inplace(|v| if mask.holds(v) { table.lookup(v) } else { 0.0 });
            }
        }
    }
}

/// The voxels that a mask holds; the others are no numbers.
fn held(image: &Image, mask: &LabelMap) -> Array3<f32> {
    Zip::from(&image.data)
        .and(&mask.data)
        .map_collect(|&value, &label| if label == 0 { f32::NAN } else { value })
}

#[cfg(test)]
mod tests;
