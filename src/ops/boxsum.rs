//! Sums over boxes, the building block of local statistics.

use burn::tensor::Tensor;

use super::host::{self, HostOp, Made, Saved, View};
use super::resize::along_axes;
use crate::kernels::boxsum;

/// Sum over the box of `window` voxels (odd numbers) about each voxel; zeros outside.
///
/// # Shapes
/// - `x` and the result: `[n, c, d, h, w]`
pub fn box_sum(x: Tensor<5>, window: [usize; 3]) -> Tensor<5> {
    if host::on_host(&x) {
        host::unary(BoxSum { window }, x)
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

impl HostOp<1> for BoxSum {
    fn saves_inputs(&self) -> bool {
        false
    }

    fn saves_output(&self) -> bool {
        false
    }

    fn forward(&self, [x]: [View; 1]) -> Made {
        Made {
            data: self.apply(x.shape, x.data),
            shape: x.shape.to_vec(),
        }
    }

    // The operation is its own transpose.
    fn backward(&self, saved: Saved<1>) -> [Option<Vec<f32>>; 1] {
        [Some(self.apply(saved.grad.shape, saved.grad.data))]
    }
}
