//! The voxel grid a pair is made on, in tensor order, and the chunks parallel work is cut into.

use crate::error::{Error, Result};
use crate::volume::Dimension;

/// Voxels per parallel chunk. Fixed, because each chunk of random voxels has its own stream.
pub(super) const CHUNK: usize = 1 << 14;

/// Smallest distance between the nodes of smooth noise, in voxels: below it noise is not smooth.
const MIN_SCALE: f64 = 4.0;

/// A grid of `extent` voxels, `[depth, height, width]`; depth is 1 in 2-D.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    pub extent: [usize; 3],
    pub dimension: Dimension,
    /// What lengths of the config are multiplied by to get voxels of this grid.
    pub length_factor: f64,
}

impl Grid {
    /// The grid of an array of `shape` `(i, j, k)`.
    ///
    /// `reference_size` is the side, in voxels, of the image that lengths in the config are meant for;
    /// they grow with the square root of the grid's side (geometric mean) over it. 0 takes them as
    /// they are.
    pub fn new(dimension: Dimension, shape: [usize; 3], reference_size: f64) -> Result<Self> {
        let extent = match dimension {
            Dimension::Two => [1, shape[0], shape[1]],
            Dimension::Three => shape,
        };
        let too_thin = extent[3 - dimension.axes()..].iter().any(|&n| n < 4);
        if too_thin || (dimension == Dimension::Two && shape[2] != 1) {
            return Err(Error::invalid(format!(
                "synth: shape {shape:?} does not suit a {} image: at least 4 voxels along each axis, \
                 and a third size of 1 in 2-D",
                if dimension == Dimension::Two {
                    "2-D"
                } else {
                    "3-D"
                }
            )));
        }
        let mut grid = Self {
            extent,
            dimension,
            length_factor: 1.0,
        };
        if reference_size > 0.0 {
            let side = (grid.voxels() as f64).powf(1.0 / grid.axes() as f64);
            grid.length_factor = (side / reference_size).sqrt();
        }
        Ok(grid)
    }

    /// Number of spatial axes, which is the number of displacement components.
    pub fn axes(&self) -> usize {
        self.dimension.axes()
    }

    /// Tensor axis of displacement component `c`.
    pub fn axis(&self, component: usize) -> usize {
        3 - self.axes() + component
    }

    pub fn voxels(&self) -> usize {
        self.extent.iter().product()
    }

    /// Shape of host arrays, `(i, j, k)`.
    pub fn array_shape(&self) -> [usize; 3] {
        let [d, h, w] = self.extent;
        match self.dimension {
            Dimension::Two => [h, w, 1],
            Dimension::Three => [d, h, w],
        }
    }

    /// Node distances of smooth noise in voxels of this grid.
    pub fn scales(&self, lengths: &[f64]) -> Vec<f64> {
        let scale = |l: &f64| (l * self.length_factor).max(MIN_SCALE);
        lengths.iter().map(scale).collect()
    }

    /// This grid with every axis `factor` times coarser, rounded up, at least 2 voxels.
    pub fn coarser(&self, factor: usize) -> Self {
        let mut extent = self.extent;
        for n in &mut extent[3 - self.axes()..] {
            *n = n.div_ceil(factor).max(2);
        }
        Self { extent, ..*self }
    }

    /// Voxels of this grid per voxel of the coarser one along component `c`, with aligned corners.
    pub fn step_ratio(&self, coarse: &Self, c: usize) -> f32 {
        let axis = self.axis(c);
        (self.extent[axis] - 1) as f32 / (coarse.extent[axis] - 1) as f32
    }

    /// Position of flat voxel `index` along the three tensor axes.
    pub fn position(&self, index: usize) -> [usize; 3] {
        let [_, h, w] = self.extent;
        [index / (h * w), index / w % h, index % w]
    }
}
