//! Mean squared differences, one for each item of a batch.

use burn::tensor::Tensor;

use super::bridge::{self, Operation, Saved, View};
#[cfg(feature = "gpu")]
use super::bridge::{Buffer, SavedBuffers};
#[cfg(feature = "gpu")]
use super::gpu;
use crate::kernels::squares;

/// `mean((a - b)^2)` over channels and voxels.
///
/// # Shapes
/// - `a` and `b`: `[n, c, d, h, w]`; the result: `[n]`
pub fn mean_squared_difference(a: Tensor<5>, b: Tensor<5>) -> Tensor<1> {
    if bridge::serves(&a) && bridge::serves(&b) {
        let n = a.dims()[0];
        bridge::run(MeanSquare, [a.into_dispatch(), b.into_dispatch()]).reshape([n])
    } else {
        composed(a, b)
    }
}

/// [`mean_squared_difference`] from burn's operations.
pub fn composed(a: Tensor<5>, b: Tensor<5>) -> Tensor<1> {
    let n = a.dims()[0];
    let difference = a - b;
    let squares = difference.clone() * difference;
    squares.reshape([n as i32, -1]).mean_dim(1).reshape([n])
}

#[derive(Debug)]
struct MeanSquare;

impl Operation<2> for MeanSquare {
    fn saves_inputs(&self) -> bool {
        true
    }

    fn shape(&self, [a, _]: [&[usize]; 2]) -> Vec<usize> {
        vec![a[0], 1, 1, 1, 1]
    }

    fn forward(&self, [a, b]: [View; 2]) -> Vec<f32> {
        squares::mean_difference(a.data, b.data, a.shape[0])
    }

    fn backward(&self, saved: Saved<2>) -> [Option<Vec<f32>>; 2] {
        let [a, b] = &saved.inputs;
        squares::mean_difference_grad(a.data, b.data, saved.grad.data, saved.wanted)
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, [a, b]: [Buffer; 2]) -> Buffer {
        gpu::squares::mean_difference(a, b)
    }

    #[cfg(feature = "gpu")]
    fn backward_gpu(&self, saved: SavedBuffers<2>) -> [Option<Buffer>; 2] {
        let [a, b] = saved.inputs.expect("saves_inputs");
        gpu::squares::mean_difference_grad(a, b, saved.grad, saved.wanted)
    }
}
