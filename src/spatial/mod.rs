//! Fields as differentiable tensors, on grids of other sizes.
//!
//! A displacement `u` is a pull in voxels on the fixed grid: `moved(x) = moving(x + u(x))`. Fields are
//! `[n, components, d, h, w]`, with components `(d, h, w)` in 3-D and `(h, w)` in 2-D.

use burn::tensor::Tensor;

use crate::kernels::Extent;
use crate::ops::resize_scaled;

/// A field on a grid `factor` times coarser, its vectors in voxels of that grid (VoxelMorph's ResizeTransform).
pub fn coarsen(field: Tensor<5>, factor: [usize; 3]) -> Tensor<5> {
    let [_, _, d, h, w] = field.dims();
    let to = [d / factor[0], h / factor[1], w / factor[2]].map(|n| n.max(1));
    rescale(field, to, 1.0 / in_plane(factor))
}

/// A field on the grid `to`, its vectors multiplied by the in-plane `factor`: the inverse of [`coarsen`].
pub fn refine(field: Tensor<5>, factor: [usize; 3], to: Extent) -> Tensor<5> {
    rescale(field, to, in_plane(factor))
}

fn rescale(field: Tensor<5>, to: Extent, scale: f32) -> Tensor<5> {
    let [_, _, d, h, w] = field.dims();
    if [d, h, w] == to && scale == 1.0 {
        return field;
    }
    resize_scaled(field, to, scale)
}

/// The one factor of an isotropic coarsening (a singleton axis keeps factor 1).
fn in_plane(factor: [usize; 3]) -> f32 {
    factor[1] as f32
}
