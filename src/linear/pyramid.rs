//! An image at a few resolutions.

use nalgebra::Matrix4;

use super::Masked;
use super::smooth::smoothed;
use crate::error::Result;
use crate::volume::intensity::Normalisation;
use crate::volume::resample::{Interpolation, Outside, image_to};
use crate::volume::{Dimension, Geometry, Image, LabelMap};

/// An image at one resolution, intensities from 0 to 1.
#[derive(Debug, Clone)]
pub(super) struct Level {
    /// Row-major on `geometry`.
    pub data: Vec<f32>,
    /// What each voxel counts, from 0 to 1; all alike where absent.
    pub weights: Option<Vec<f32>>,
    pub geometry: Geometry,
    /// From the world to voxels; in 2-D to the plane, wherever along its normal.
    pub to_voxel: Matrix4<f64>,
}

/// Voxels along the longest axis of the coarsest level.
fn coarsest_voxels(dimension: Dimension) -> f64 {
    match dimension {
        Dimension::Two => 48.0,
        Dimension::Three => 32.0,
    }
}

/// Levels at most; each is twice as fine as the one before.
const LEVELS: usize = 4;

/// An axis is not made shorter than this many voxels.
const SHORTEST: f64 = 8.0;

/// Voxel sizes (mm) of the levels from coarse to fine: the finest shows what both images can, with at most `most` voxels
/// of the fixed one.
pub(super) fn sizes(fixed: &Geometry, moving: &Geometry, most: usize) -> Vec<f64> {
    let axes = fixed.dimension.axes();
    let smallest = |grid: &Geometry| {
        let spacing = grid.spacing();
        spacing[..axes]
            .iter()
            .copied()
            .fold(f64::INFINITY, f64::min)
    };
    let finest = smallest(fixed).max(smallest(moving));
    let spacing = fixed.spacing();
    let extents = || (0..axes).map(|axis| fixed.shape[axis] as f64 * spacing[axis]);
    let volume: f64 = extents().product();
    let finest = finest.max((volume / most as f64).powf(1.0 / axes as f64));
    let coarsest = extents().fold(0.0, f64::max) / coarsest_voxels(fixed.dimension);
    let halvings = (coarsest / finest)
        .log2()
        .round()
        .clamp(0.0, (LEVELS - 1) as f64) as usize;
    (0..=halvings)
        .rev()
        .map(|n| finest * (1_u32 << n) as f64)
        .collect()
}

/// The levels of an image from coarse to fine, smoothed with a standard deviation of half of each size.
///
/// What a mask excludes is neither normalised by nor smoothed into what it holds.
///
/// # Errors
/// An image without a finite voxel where its mask holds.
pub(super) fn levels(masked: Masked, sizes: &[f64]) -> Result<Vec<Level>> {
    let mut image = masked.image.clone();
    let holds = |mask: &LabelMap| mask.map(|&label| if label == 0 { 0.0 } else { 1.0 });
    let weights = masked.mask.map(holds);
    let normaliser = Normalisation::default().prepare()?;
    normaliser.apply_within(&mut image, masked.mask)?;
    let mut blurred = 0.0;
    let mut on_level = weights.clone();
    let mut levels = Vec::new();
    for &size in sizes.iter().rev() {
        let sigma = ((size / 2.0).powi(2) - blurred * blurred).max(0.0).sqrt();
        blurred = size / 2.0;
        let sd = image.geometry.spacing().map(|spacing| sigma / spacing);
        image = resized(&smoothed(&image, on_level.as_ref(), sd), size)?;
        let there = |weights: &Image| {
            image_to(
                weights,
                &image.geometry,
                Interpolation::Linear,
                Outside::Edge,
            )
        };
        on_level = weights.as_ref().map(there).transpose()?;
        levels.push(Level::new(&image, on_level.as_ref())?);
    }
    levels.reverse();
    Ok(levels)
}

impl Level {
    fn new(image: &Image, weights: Option<&Image>) -> Result<Self> {
        let mut to_voxel = image.geometry.to_voxel()?;
        if image.geometry.dimension == Dimension::Two {
            to_voxel.row_mut(2).fill(0.0);
        }
        Ok(Self {
            data: image.to_vec(),
            weights: weights.map(Image::to_vec),
            geometry: image.geometry.clone(),
            to_voxel,
        })
    }
}

/// With voxels of `size` mm where they are smaller.
fn resized(image: &Image, size: f64) -> Result<Image> {
    let grid = &image.geometry;
    let spacing = grid.spacing();
    let wanted = [0, 1, 2].map(|axis| {
        let most = grid.shape[axis] as f64 * spacing[axis] / SHORTEST;
        size.min(most).max(spacing[axis])
    });
    let target = grid.respaced(wanted);
    if target.shape == grid.shape {
        return Ok(image.clone());
    }
    image_to(image, &target, Interpolation::Linear, Outside::Edge)
}
