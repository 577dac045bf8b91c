//! Spatial transformer: `warped(x) = image(x + flow(x))` (Jaderberg et al., 2015).
//!
//! Displacements are in voxels of the image, component `c` along axis `c` of `[h, w]` or
//! `[d, h, w]`; whole numbers are voxel centres (PyTorch's `align_corners`). A NaN or infinite
//! displacement samples 0 and gives no gradient. A non-finite image value reaches every sample whose
//! neighbourhood, clamped into the image, holds it.

mod corners;
mod gradient;
mod linear;
mod nearest;
mod sampler;
#[cfg(test)]
mod tests;

pub use gradient::linear_grad;
pub(super) use linear::compose;
pub use linear::linear;
pub use nearest::nearest;

/// What lies outside an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Border {
    /// Zeros, blended with the outermost voxels over one voxel.
    Zeros,
    /// The nearest voxel of the image.
    Edge,
}
