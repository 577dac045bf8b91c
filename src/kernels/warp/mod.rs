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
pub(super) use gradient::squaring_grad;
pub(super) use linear::compose;
pub use linear::linear;
pub use nearest::nearest;

use super::Extent;

/// What lies outside an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Border {
    /// Zeros, blended with the outermost voxels over one voxel.
    Zeros,
    /// The nearest voxel of the image.
    Edge,
}

/// Sizes of a warp, and what lies outside its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Voxels of the image.
    pub image: Extent,
    /// Voxels of the flow and of the result.
    pub grid: Extent,
    pub items: usize,
    pub channels: usize,
    /// Components of the flow: 3 displace d, h and w; 2 displace h and w, and `d` is 1 then.
    pub components: usize,
    pub border: Border,
}

impl Shape {
    /// One image of one channel, on the grid of its flow.
    pub fn one(extent: Extent, components: usize, border: Border) -> Self {
        Self {
            image: extent,
            grid: extent,
            items: 1,
            channels: 1,
            components,
            border,
        }
    }

    /// Fields that are warped by a field, all of one kind.
    pub fn fields(extent: Extent, items: usize, components: usize, border: Border) -> Self {
        Self {
            items,
            channels: components,
            ..Self::one(extent, components, border)
        }
    }

    /// Values of the images, `[items, channels, image]`.
    pub fn image_len(&self) -> usize {
        self.items * self.channels * self.image.iter().product::<usize>()
    }

    /// Values of the flow, `[items, components, grid]`.
    pub fn flow_len(&self) -> usize {
        self.items * self.components * self.grid.iter().product::<usize>()
    }

    /// Values of the result, `[items, channels, grid]`.
    pub fn output_len(&self) -> usize {
        self.items * self.channels * self.grid.iter().product::<usize>()
    }

    /// Panics unless slices of these lengths are what the shape says: a caller's mistake, not a user's.
    fn check(&self, image: usize, flow: usize) {
        let [from, to] = [self.image, self.grid].map(|extent| extent.iter().product::<usize>());
        assert!(from < 1 << 31, "warp: too many voxels in {self:?}");
        assert_eq!(
            image,
            self.image_len(),
            "warp: image does not fill {self:?}"
        );
        assert_eq!(flow, self.flow_len(), "warp: flow does not fill {self:?}");
        assert!(
            self.components == 3
                || (self.components == 2 && self.image[0] == 1 && self.grid[0] == 1),
            "warp: components do not fit {self:?}"
        );
        assert!(
            from > 0 || image == 0 && to == 0,
            "warp: no voxel to sample in {self:?}"
        );
    }
}
