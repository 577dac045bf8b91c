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
use crate::volume::{Affine, Geometry};

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
        let image = grid.fit(&prepared.image, 0.0);
        let labels = prepared.labels.as_ref();
        let labels = labels.map(|labels| grid.fit(labels, 0).data);
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

    /// The image, and its `labels` where they are asked for, on the grid of another item, through both affines and the linear
    /// maps to the reference, unless the grids are one or alignment is by centres.
    ///
    /// # Errors
    /// 2-D images whose planes are not parallel.
    pub(super) fn on_grid_of(
        &self,
        other: &Item,
        labels: bool,
    ) -> Result<(Array3<f32>, Option<Array3<i32>>)> {
        let grid = self.grid_beside(other)?;
        match &self.whole {
            Some(whole) if !same_grid(&self.geometry, &grid) => {
                let image = image_on(&whole.image, &grid)?;
                let labels = whole.labels.as_ref().filter(|_| labels);
                let labels = labels.map(|labels| labels_to(labels, &grid)).transpose()?;
                Ok((image.data, labels.map(|labels| labels.data)))
            }
            _ => {
                let labels = self.labels.as_ref().filter(|_| labels);
                Ok((self.image.clone(), labels.cloned()))
            }
        }
    }

    /// Lets go of the voxels.
    pub(super) fn forget(&mut self) {
        self.image = Array3::default([0; 3]);
        self.labels = None;
        self.whole = None;
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
