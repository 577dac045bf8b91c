//! Sums over boxes, the building block of local statistics.

use burn::tensor::Tensor;

use super::bridge::{self, Operation, Saved, View};
#[cfg(feature = "gpu")]
use super::bridge::{Buffer, SavedBuffers};
#[cfg(feature = "gpu")]
use super::gpu;
use super::resize::along_axes;
use crate::kernels::boxsum;

/// Sum over the box of `window` voxels (odd numbers) about each voxel; zeros outside.
///
/// # Shapes
/// - `x` and the result: `[n, c, d, h, w]`
pub fn box_sum(x: Tensor<5>, window: [usize; 3]) -> Tensor<5> {
    if bridge::serves(&x) {
        bridge::run(BoxSum { window }, [x.into_dispatch()])
    } else {
        composed(x, window)
    }
}

/// [`box_sum`] from burn's operations: a banded matrix of ones along each axis.
pub fn composed(x: Tensor<5>, window: [usize; 3]) -> Tensor<5> {
    let [_, _, d, h, w] = x.dims();
    let matrices = [d, h, w].map(|n| (n, n));
    along_axes(x, matrices, |axis, row, column| {
        f32::from(row.abs_diff(column) <= window[axis] / 2)
    })
}

#[derive(Debug)]
struct BoxSum {
    window: [usize; 3],
}

impl BoxSum {
    fn apply(&self, shape: &[usize], x: &[f32]) -> Vec<f32> {
        let &[n, c, d, h, w] = shape else {
            unreachable!("box_sum takes rank 5")
        };
        boxsum::box_sum(x, n * c, [d, h, w], self.window)
    }
}

impl Operation<1> for BoxSum {
    fn shape(&self, [x]: [&[usize]; 1]) -> Vec<usize> {
        x.to_vec()
    }

    fn forward(&self, [x]: [View; 1]) -> Vec<f32> {
        self.apply(x.shape, x.data)
    }

    // The operation is its own transpose.
    fn backward(&self, saved: Saved<1>) -> [Option<Vec<f32>>; 1] {
        [Some(self.apply(saved.grad.shape, saved.grad.data))]
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, [x]: [Buffer; 1]) -> Buffer {
        gpu::boxsum::box_sum(x, self.window)
    }

    #[cfg(feature = "gpu")]
    fn backward_gpu(&self, saved: SavedBuffers<1>) -> [Option<Buffer>; 1] {
        [Some(gpu::boxsum::box_sum(saved.grad, self.window))]
    }
}
