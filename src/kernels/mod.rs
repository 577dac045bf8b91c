//! CPU kernels: plain slices in, slices out; no burn.

pub mod adam;
pub mod affine;
pub mod boxsum;
pub mod conv;
pub mod correlation;
pub mod diffusion;
pub mod exponential;
pub mod field;
pub mod gaussian;
pub mod jacobian;
pub mod labels;
pub mod mind;
pub mod normal;
pub mod oracle;
pub mod parzen;
pub mod pool;
pub mod resize;
pub mod squares;
pub mod unit;
pub mod upsample;
pub mod warp;

mod blocks;
mod vector;

/// Voxels along the tensor axes `[d, h, w]`; a 2-D grid has `d = 1`.
pub type Extent = [usize; 3];
