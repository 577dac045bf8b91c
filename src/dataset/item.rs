//! One image of a study on the network grid.

use nalgebra::Matrix4;
use ndarray::Array3;

use super::grid::Grid;
use super::landmarks::Landmark;
use super::manifest::Entry;
use super::preprocess::{Prepared, image_on};
use super::regrid::same_grid;
use super::split::Split;
use crate::error::{Error, Result};
use crate::volume::resample::labels_to;
use crate::volume::{Affine, Geometry, Volume, centre_fit};

/// One image of the study, ready for the network.
#[derive(Debug, Clone)]
pub struct Item {
    pub id: String,
    pub subject: String,
    pub split: Split,
    /// Normalised, on the network grid, whose place in the world is `geometry`.
    pub image: Array3<f32>,
    pub labels: Option<Array3<i32>>,
    pub geometry: Geometry,
    /// Empty where the manifest names none.
    pub landmarks: Vec<Landmark>,
    /// From the world of the study's reference to this image's (RAS mm); the identity where headers are trusted.
    from_reference: Matrix4<f64>,
    /// Before padding and cropping; kept where another image's grid may need what was cropped.
    whole: Option<Prepared>,
}

/// The voxels and landmarks of one image as they were read.
#[derive(Debug)]
pub(super) struct Loaded {
    pub prepared: Prepared,
    pub landmarks: Vec<Landmark>,
    /// From the world of the study's reference to this image's (RAS mm).
    pub from_reference: Matrix4<f64>,
}

impl Item {
    pub(super) fn new(
        entry: Entry,
        split: Split,
        loaded: Loaded,
        grid: &Grid,
        keep_whole: bool,
    ) -> Self {
        let Loaded {
            prepared,
            landmarks,
            from_reference,
        } = loaded;
        let image = centre_fit(
            &centre_fit(&prepared.image, grid.content, 0.0),
            grid.shape,
            0.0,
        );
        let labels = prepared
            .labels
            .as_ref()
            .map(|labels| centre_fit(&centre_fit(labels, grid.content, 0), grid.shape, 0).data);
        Self {
            id: entry.id,
            subject: entry.subject,
            split,
            image: image.data,
            labels,
            geometry: image.geometry,
            landmarks,
            from_reference,
            whole: keep_whole.then_some(prepared),
        }
    }

    /// Image and labels on the grid of another item, through both affines and the linear maps to the reference, unless
    /// the grids are one or alignment is by centres.
    ///
    /// # Errors
    /// 2-D images whose planes are not parallel.
    pub(super) fn on_grid_of(&self, other: &Item) -> Result<(Array3<f32>, Option<Array3<i32>>)> {
        let kept = || (self.image.clone(), self.labels.clone());
        let Some(whole) = &self.whole else {
            return Ok(kept());
        };
        let to_other = self.world_to(other)?;
        if same_grid(&placed(&to_other, &self.geometry), &other.geometry) {
            return Ok(kept());
        }
        let image = image_on(&moved(&to_other, &whole.image), &other.geometry)?;
        let labels = whole
            .labels
            .as_ref()
            .map(|labels| labels_to(&moved(&to_other, labels), &other.geometry));
        Ok((image.data, labels.transpose()?.map(|l| l.data)))
    }

    /// The grid that the item's world has within a pair whose fixed image is `fixed`.
    ///
    /// # Errors
    /// A linear map that has no inverse.
    pub(super) fn grid_beside(&self, fixed: &Item) -> Result<Geometry> {
        if self.whole.is_some() {
            Ok(placed(&fixed.world_to(self)?, &fixed.geometry))
        } else {
            Ok(self.geometry.clone())
        }
    }

    /// From this item's world to that of another.
    fn world_to(&self, other: &Item) -> Result<Matrix4<f64>> {
        let back = self.from_reference.try_inverse();
        let back =
            back.ok_or_else(|| Error::invalid(format!("{}: its linear map is singular", self.id)))?;
        Ok(other.from_reference * back)
    }
}

/// A grid in another world.
fn placed(map: &Matrix4<f64>, grid: &Geometry) -> Geometry {
    Geometry::new(grid.shape, grid.dimension, Affine(map * grid.affine.0))
}

fn moved<T: Clone>(map: &Matrix4<f64>, volume: &Volume<T>) -> Volume<T> {
    Volume {
        data: volume.data.clone(),
        geometry: placed(map, &volume.geometry),
    }
}

/// Where all grids are one, nothing is ever resampled.
pub(super) fn drop_needless_wholes(items: &mut [Item]) {
    let Some((first, rest)) = items.split_first_mut() else {
        return;
    };
    if rest
        .iter()
        .all(|item| same_grid(&first.geometry, &item.geometry))
    {
        first.whole = None;
        for item in rest {
            item.whole = None;
        }
    }
}
