//! One image of a study on the network grid.

use ndarray::Array3;

use super::grid::Grid;
use super::landmarks::Landmark;
use super::manifest::Entry;
use super::preprocess::{Prepared, image_on};
use super::regrid::same_grid;
use super::split::Split;
use crate::error::Result;
use crate::volume::resample::labels_to;
use crate::volume::{Geometry, centre_fit};

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
    /// Before padding and cropping; kept where another image's grid may need what was cropped.
    whole: Option<Prepared>,
}

/// The voxels and landmarks of one image as they were read.
#[derive(Debug)]
pub(super) struct Loaded {
    pub prepared: Prepared,
    pub landmarks: Vec<Landmark>,
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
            whole: keep_whole.then_some(prepared),
        }
    }

    /// Image and labels on the grid of another item, through both affines unless the grids are one
    /// or alignment is by centres.
    pub(super) fn on_grid_of(&self, other: &Item) -> Result<(Array3<f32>, Option<Array3<i32>>)> {
        match &self.whole {
            Some(whole) if !same_grid(&self.geometry, &other.geometry) => {
                let image = image_on(&whole.image, &other.geometry)?;
                let labels = whole.labels.as_ref();
                let labels = labels.map(|l| labels_to(l, &other.geometry)).transpose()?;
                Ok((image.data, labels.map(|l| l.data)))
            }
            _ => Ok((self.image.clone(), self.labels.clone())),
        }
    }

    /// The grid that the item's world has within a pair whose fixed image is `fixed`.
    pub(super) fn grid_beside<'a>(&'a self, fixed: &'a Item) -> &'a Geometry {
        if self.whole.is_some() {
            &fixed.geometry
        } else {
            &self.geometry
        }
    }

    /// Bytes of voxels held.
    pub(super) fn bytes(&self) -> usize {
        let bytes = |voxels: usize, labels: bool| voxels * if labels { 8 } else { 4 };
        let whole = self.whole.as_ref();
        bytes(self.image.len(), self.labels.is_some())
            + whole.map_or(0, |w| bytes(w.image.data.len(), w.labels.is_some()))
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
