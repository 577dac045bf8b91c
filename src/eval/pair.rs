//! What is known of one registered pair.

use crate::error::{Error, Result};
use crate::eval::Protocol;
use crate::volume::{Affine, DisplacementField, Image, LabelMap, VoxelPoint};
use ndarray::Array3;
use std::collections::BTreeMap;

/// How to evaluate, the same for all pairs.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub protocol: Protocol,
    /// Structures to measure, in this order; without a list, every label of the fixed map but 0.
    pub labels: Option<Vec<i32>>,
    /// Names that stand for label numbers in the results.
    pub names: BTreeMap<i32, String>,
}

/// One registered pair. Everything lies on the grid of the field (the fixed grid).
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    pub id: &'a str,
    pub fixed: &'a str,
    pub moving: &'a str,
    /// The pull that makes the moved image, in voxels.
    pub field: &'a DisplacementField,
    /// The pull on the moving grid that undoes it.
    pub inverse: Option<&'a DisplacementField>,
    /// Fixed and moving labels.
    pub labels: Option<(&'a LabelMap, &'a LabelMap)>,
    /// Fixed and moving image, on one intensity scale (0..1 for local NCC).
    pub images: Option<(&'a Image, &'a Image)>,
    pub landmarks: Option<Landmarks<'a>>,
    /// From voxels to the millimetres in which landmarks are apart; of the field's grid without it. A linear part that is not in
    /// the field belongs here: errors are those of the moving world.
    pub landmark_affine: Option<Affine>,
    /// Voxel size (mm) by which challenges measure landmarks, that of the moving image's file; of the field's grid without it.
    pub moving_spacing: Option<[f64; 3]>,
    /// What was moved already; the rest is made of the moving images and the field.
    pub moved: Moved<'a>,
    /// Where intensities and the field count; everywhere without it.
    pub mask: Option<&'a Array3<bool>>,
    /// Where intensities count before the registration, if that is elsewhere: a mask of the moving image moves with it.
    pub mask_before: Option<&'a Array3<bool>>,
    /// Where the moving image as it is on file is above 0, LUMIR's mask: normalised intensities have another zero. Without it
    /// the mask is taken from `images`.
    pub foreground: Option<&'a Array3<bool>>,
    /// Wall-clock time of the registration.
    pub seconds: Option<f64>,
    /// Largest resident memory, in bytes.
    pub peak_memory: Option<u64>,
}

/// Image and labels that came to the fixed grid in one interpolation from the moving image's own grid.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moved<'a> {
    pub image: Option<&'a Image>,
    pub labels: Option<&'a LabelMap>,
}

/// Corresponding places in the fixed and the moving image.
#[derive(Debug, Clone, Copy)]
pub enum Landmarks<'a> {
    /// Positions in voxels of the field's grid, one to one. Where a name is empty or missing, the landmark's number stands for
    /// it.
    Points {
        names: &'a [String],
        fixed: &'a [VoxelPoint],
        moving: &'a [VoxelPoint],
    },
    /// Drawn into label maps, landmark `n` as voxels of value `n`; they move as labels do, by the rules of LUMIR. Single
    /// voxels rarely survive any other way to the field's grid: see [`super::drawn_landmarks`].
    Volumes {
        fixed: &'a LabelMap,
        moving: &'a LabelMap,
    },
}

impl<'a> Pair<'a> {
    /// A pair of which only the transform is known.
    pub fn new(id: &'a str, fixed: &'a str, moving: &'a str, field: &'a DisplacementField) -> Self {
        Self {
            id,
            fixed,
            moving,
            field,
            inverse: None,
            labels: None,
            images: None,
            landmarks: None,
            landmark_affine: None,
            moving_spacing: None,
            moved: Moved::default(),
            mask: None,
            mask_before: None,
            foreground: None,
            seconds: None,
            peak_memory: None,
        }
    }

    /// Everything must have the field's shape.
    pub(super) fn check(&self) -> Result<()> {
        let mut given: Vec<(&str, &[usize])> = Vec::new();
        if let Some((fixed, moving)) = self.labels {
            given.push(("fixed labels", fixed.data.shape()));
            given.push(("moving labels", moving.data.shape()));
        }
        if let Some((fixed, moving)) = self.images {
            given.push(("fixed image", fixed.data.shape()));
            given.push(("moving image", moving.data.shape()));
        }
        if let Some(Landmarks::Volumes { fixed, moving }) = self.landmarks {
            given.push(("fixed landmarks", fixed.data.shape()));
            given.push(("moving landmarks", moving.data.shape()));
        }
        if let Some(image) = self.moved.image {
            given.push(("moved image", image.data.shape()));
        }
        if let Some(labels) = self.moved.labels {
            given.push(("moved labels", labels.data.shape()));
        }
        if let Some(inverse) = self.inverse {
            given.push(("inverse field", &inverse.data.shape()[1..]));
        }
        let masks = [self.mask, self.mask_before, self.foreground];
        for mask in masks.into_iter().flatten() {
            given.push(("mask", mask.shape()));
        }
        let grid = &self.field.data.shape()[1..];
        match given.into_iter().find(|(_, shape)| *shape != grid) {
            None => Ok(()),
            Some((what, shape)) => Err(Error::invalid(format!(
                "pair {}: {what} {shape:?} and field {grid:?} differ in shape; \
                 resample to the fixed grid first",
                self.id
            ))),
        }
    }

    /// Where landmarks are compared under the rules of hmorph.
    pub(super) fn landmark_affine(&self) -> Affine {
        self.landmark_affine.unwrap_or(self.field.geometry.affine)
    }

    /// In mm, by which challenges measure landmarks.
    pub(super) fn moving_spacing(&self) -> [f64; 3] {
        self.moving_spacing
            .unwrap_or_else(|| self.field.geometry.spacing())
    }
}
