//! From a file to an image ready for the network grid: oriented, sliced, resampled, cropped, normalised.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::config::{DataConfig, per_axis};
use super::manifest::Entry;
use super::regrid::{SAME_GRID, by, corner_distance, same_grid, take};
use super::slice::Slice;
use crate::error::{Error, Result};
use crate::volume::intensity::Normaliser;
use crate::volume::resample::{Interpolation, Outside, image_to, labels_to};
use crate::volume::{Dimension, Geometry, Image, LabelMap, cut, read_image, read_labels, reorient};

/// The value of `orientation` that leaves axes as they are in the file.
pub(super) const STORED: &str = "stored";

/// Voxels that no training image has: more come of a spacing in the wrong unit.
const MOST_VOXELS: f64 = 1e9;

/// An image with its labels on a grid of its own size.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub image: Image,
    pub labels: Option<LabelMap>,
}

/// What is done to an image before it is padded or cropped to the network grid, in training and, by what the model's
/// card says of it, for the scans that it registers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// The slice taken of a volume.
    pub slice: Option<Slice>,
    /// Axis directions such as `RAS`; as stored where there are none.
    pub orientation: Option<String>,
    /// Voxel size in mm along each axis of the network's images; as stored where there is none.
    pub spacing: Option<Vec<f64>>,
    /// Crop to the foreground with this margin in voxels; in training alone, since a scan is registered whole.
    pub crop_foreground: Option<usize>,
    pub normaliser: Normaliser,
}

impl Preprocessing {
    /// What a study's settings ask for.
    ///
    /// # Errors
    /// Normalisation settings out of order, an unreadable reference image.
    pub(super) fn new(config: &DataConfig) -> Result<Self> {
        let given = config
            .orientation
            .as_deref()
            .filter(|codes| *codes != STORED);
        let sliced = config.slice.filter(|_| config.orientation.is_none());
        Ok(Self {
            slice: config.slice,
            orientation: given.or(sliced.map(|_| "RAS")).map(String::from),
            spacing: config.spacing.clone(),
            crop_foreground: config.crop_foreground,
            normaliser: config.normalize.prepare()?,
        })
    }

    /// Orients, slices, normalises, resamples and crops an image of a study. It is normalised uncropped, since a scan that is
    /// registered is not cropped either, and before voxels from outside come in, which are 0.
    ///
    /// # Errors
    /// A slice of a 2-D image, spacing of another dimension, an image without a finite voxel.
    pub fn apply(&self, image: Image, labels: Option<LabelMap>) -> Result<Prepared> {
        let mut prepared = self.orient(Prepared { image, labels })?;
        self.normaliser.apply(&mut prepared.image)?;
        let prepared = self.sample(prepared)?;
        Ok(match self.crop_foreground {
            Some(margin) => prepared.cropped(margin),
            None => prepared,
        })
    }

    /// A scan that is registered, normalised by what `mask` holds of it, as [`Self::apply`] prepares the images of a study.
    ///
    /// # Errors
    /// Spacing of another dimension, a scan without a finite voxel within its mask.
    pub fn scan(&self, mut image: Image, mask: Option<&LabelMap>) -> Result<Image> {
        self.normaliser.apply_within(&mut image, mask)?;
        let scan = Prepared {
            image,
            labels: None,
        };
        Ok(self.sample(self.orient(scan)?)?.image)
    }

    fn orient(&self, prepared: Prepared) -> Result<Prepared> {
        let turned = match &self.orientation {
            Some(codes) => prepared.each(
                |image| reorient(image, codes),
                |labels| reorient(labels, codes),
            )?,
            None => prepared,
        };
        match (self.slice, turned.image.geometry.dimension) {
            (None, _) => Ok(turned),
            (Some(slice), Dimension::Three) => turned.each(
                |image| Ok(take(image, slice)),
                |labels| Ok(take(labels, slice)),
            ),
            (Some(_), Dimension::Two) => Err(Error::invalid(
                "slice is set, but this is a 2-D image; remove slice or use volumes",
            )),
        }
    }

    fn sample(&self, prepared: Prepared) -> Result<Prepared> {
        let Some(spacing) = &self.spacing else {
            return Ok(prepared);
        };
        let grid = &prepared.image.geometry;
        let spacing = per_axis("spacing", spacing, grid.dimension, grid.spacing()[2])
            .map_err(Error::invalid)?;
        let target = grid.respaced(spacing);
        let voxels: f64 = target.shape.iter().map(|&n| n as f64).product();
        if voxels > MOST_VOXELS {
            return Err(Error::invalid(format!(
                "spacing: {spacing:?} mm would make {:?} voxels of it; spacing is in mm",
                target.shape
            )));
        }
        if same_grid(grid, &target) {
            return Ok(prepared);
        }
        prepared.each(
            |image| image_on(image, &target),
            |labels| labels_to(labels, &target),
        )
    }
}

/// Reads one image of the study with its labels and prepares them.
///
/// # Errors
/// Unreadable files, labels off their image's grid, and those of [`Preprocessing::apply`].
pub(super) fn prepare(entry: &Entry, preprocessing: &Preprocessing) -> Result<Prepared> {
    let image = read_image(&entry.image)?;
    let labels = entry.label.as_ref().map(read_labels).transpose()?;
    if let (Some(labels), Some(path)) = (&labels, &entry.label) {
        check_labels(path, &labels.geometry, &image.geometry)?;
    }
    preprocessing
        .apply(image, labels)
        .map_err(|error| Error::file(&entry.image, error.to_string()))
}

/// An image on another grid: linear between voxels, zero outside, as the network's warp.
pub(super) fn image_on(image: &Image, target: &Geometry) -> Result<Image> {
    image_to(image, target, Interpolation::Linear, Outside::Value(0.0))
}

pub fn check_labels(path: &Path, labels: &Geometry, image: &Geometry) -> Result<()> {
    if labels.shape != image.shape {
        return Err(Error::file(
            path,
            format!(
                "{} voxels for an image of {}; labels and masks must lie on their image's grid",
                by(&labels.shape),
                by(&image.shape)
            ),
        ));
    }
    let apart = corner_distance(labels, image);
    if apart > SAME_GRID {
        return Err(Error::file(
            path,
            format!(
                "label map and image have the same shape, but their headers place them {apart:.1} voxels apart; resample the labels to the image or repair the header"
            ),
        ));
    }
    Ok(())
}

impl Prepared {
    fn each(
        self,
        image: impl FnOnce(&Image) -> Result<Image>,
        labels: impl FnOnce(&LabelMap) -> Result<LabelMap>,
    ) -> Result<Self> {
        Ok(Self {
            image: image(&self.image)?,
            labels: self.labels.as_ref().map(labels).transpose()?,
        })
    }

    /// To the box of voxels above the image's minimum, the labels' voxels included.
    fn cropped(self, margin: usize) -> Self {
        let finite = || self.image.data.iter().filter(|v| v.is_finite());
        let low = finite().copied().fold(f32::INFINITY, f32::min);
        let mut bounds: Option<[[usize; 2]; 3]> = None;
        for ((i, j, k), &value) in self.image.data.indexed_iter() {
            let labelled = self
                .labels
                .as_ref()
                .is_some_and(|labels| labels.data[[i, j, k]] != 0);
            if labelled || value > low {
                let bounds = bounds.get_or_insert([[i, i], [j, j], [k, k]]);
                for (bound, at) in bounds.iter_mut().zip([i, j, k]) {
                    *bound = [bound[0].min(at), bound[1].max(at)];
                }
            }
        }
        let Some(bounds) = bounds else { return self };
        let shape = self.image.geometry.shape;
        let bounds = [0, 1, 2].map(|axis| {
            let [first, last] = bounds[axis];
            [
                first.saturating_sub(margin),
                (last + 1 + margin).min(shape[axis]),
            ]
        });
        Self {
            image: cut(&self.image, bounds),
            labels: self.labels.as_ref().map(|labels| cut(labels, bounds)),
        }
    }
}
