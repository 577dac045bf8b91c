//! Linear resizing of images and fields with aligned corners.

use burn::tensor::{Tensor, TensorData};

use super::bridge::{self, Operation, Saved, View};
#[cfg(feature = "gpu")]
use super::bridge::{Buffer, SavedBuffers};
#[cfg(feature = "gpu")]
use super::gpu;
use crate::kernels::{Extent, resize as kernel};

/// Linear resampling to `to` voxels with aligned corners, as PyTorch's `align_corners=True`.
///
/// # Shapes
/// - `x`: `[n, c, d, h, w]`; result: `[n, c, to[0], to[1], to[2]]`
pub fn resize(x: Tensor<5>, to: Extent) -> Tensor<5> {
    resize_scaled(x, to, 1.0)
}

/// [`resize`], with the values multiplied by `scale` in the same pass: vectors of a field scale with its grid.
pub fn resize_scaled(x: Tensor<5>, to: Extent, scale: f32) -> Tensor<5> {
    if bridge::serves(&x) {
        let [_, _, d, h, w] = x.dims();
        let from = [d, h, w];
        bridge::run(Resize { from, to, scale }, [x.into_dispatch()])
    } else {
        composed(x, to, scale)
    }
}

/// [`resize_scaled`] from burn's operations: an interpolation matrix along each axis.
pub fn composed(x: Tensor<5>, to: Extent, scale: f32) -> Tensor<5> {
    let [_, _, d, h, w] = x.dims();
    let from = [d, h, w];
    let shapes = [0, 1, 2].map(|a| (to[a], from[a]));
    along_axes(x, shapes, |axis, row, column| {
        hat(row, column, from[axis], to[axis])
    }) * scale
}

/// Weight of source sample `column` in target sample `row`.
fn hat(row: usize, column: usize, from: usize, to: usize) -> f32 {
    let step = if to > 1 {
        (from - 1) as f32 / (to - 1) as f32
    } else {
        0.0
    };
    (1.0 - (row as f32 * step - column as f32).abs()).max(0.0)
}

/// Multiplies `x` along each spatial axis by the matrix of the given shape and entries.
pub(super) fn along_axes(
    x: Tensor<5>,
    shapes: [(usize, usize); 3],
    entry: impl Fn(usize, usize, usize) -> f32,
) -> Tensor<5> {
    let mut x = x;
    for (axis, (rows, columns)) in shapes.into_iter().enumerate() {
        let entries: Vec<f32> = (0..rows * columns)
            .map(|n| entry(axis, n / columns, n % columns))
            .collect();
        let device = x.device().inner();
        let matrix = Tensor::<2>::from_data(TensorData::new(entries, [rows, columns]), &device);
        x = x.swap_dims(axis + 2, 3);
        x = matrix.unsqueeze::<5>().matmul(x);
        x = x.swap_dims(axis + 2, 3);
    }
    x
}

#[derive(Debug)]
struct Resize {
    from: Extent,
    to: Extent,
    scale: f32,
}

impl Operation<1> for Resize {
    fn shape(&self, [x]: [&[usize]; 1]) -> Vec<usize> {
        let [d, h, w] = self.to;
        vec![x[0], x[1], d, h, w]
    }

    fn forward(&self, [x]: [View; 1]) -> Vec<f32> {
        let items = x.shape[0] * x.shape[1];
        kernel::linear(x.data, items, self.from, self.to, self.scale)
    }

    fn backward(&self, saved: Saved<1>) -> [Option<Vec<f32>>; 1] {
        let items = saved.grad.shape[0] * saved.grad.shape[1];
        let grad = kernel::linear_grad(saved.grad.data, items, self.from, self.to, self.scale);
        [Some(grad)]
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, [x]: [Buffer; 1]) -> Buffer {
        gpu::resize::linear(x, self.to, self.scale)
    }

    #[cfg(feature = "gpu")]
    fn backward_gpu(&self, saved: SavedBuffers<1>) -> [Option<Buffer>; 1] {
        [Some(gpu::resize::linear_grad(
            saved.grad, self.from, self.scale,
        ))]
    }
}
