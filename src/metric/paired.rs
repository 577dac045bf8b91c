//! Walks over two images together, leaving out what is masked or not finite.

use super::labels::same_shape;
use crate::error::Result;
use ndarray::Array3;

/// The voxels of two images that a measure counts: inside the mask, finite in both.
pub(super) struct Paired<'a> {
    fixed: &'a Array3<f32>,
    moved: &'a Array3<f32>,
    mask: Option<&'a Array3<bool>>,
}

impl<'a> Paired<'a> {
    /// # Errors
    /// The images, or the mask and the images, differ in shape.
    pub fn new(
        fixed: &'a Array3<f32>,
        moved: &'a Array3<f32>,
        mask: Option<&'a Array3<bool>>,
    ) -> Result<Self> {
        same_shape("images", fixed.shape(), moved.shape())?;
        if let Some(mask) = mask {
            same_shape("image and mask", fixed.shape(), mask.shape())?;
        }
        Ok(Self { fixed, moved, mask })
    }

    /// Intensities of the counted voxels, row-major.
    pub fn values(&self) -> impl Iterator<Item = (f64, f64)> {
        self.all().flatten()
    }

    /// One entry per voxel of the grid, row-major: `None` where it does not count.
    pub fn all(&self) -> impl Iterator<Item = Option<(f64, f64)>> {
        let mut mask = self.mask.map(|mask| mask.iter());
        self.fixed.iter().zip(self.moved.iter()).map(move |(f, m)| {
            let inside = mask
                .as_mut()
                .is_none_or(|mask| mask.next().copied().unwrap_or(false));
            (inside && f.is_finite() && m.is_finite()).then_some((f64::from(*f), f64::from(*m)))
        })
    }
}
