//! Max-pooling by two.

use burn::tensor::Tensor;

use super::bridge::{self, Operation, Saved, View};
#[cfg(feature = "gpu")]
use super::bridge::{Buffer, SavedBuffers};
#[cfg(feature = "gpu")]
use super::gpu;
use super::half::{is_half, widened};
use crate::kernels::pool;

/// Maximum over blocks of two voxels along each axis longer than the singleton of a 2-D image.
///
/// `factor` is `[2, 2, 2]`, or `[1, 2, 2]` in 2-D; an odd last voxel is left out. NaN is greater than all.
///
/// # Shapes
/// - `x`: `[n, c, d, h, w]`; result: `[n, c, d/f, h/f, w/f]`, rounded down
pub fn max_pool2(x: Tensor<5>, factor: [usize; 3]) -> Tensor<5> {
    if bridge::serves_half(&x) {
        bridge::run(MaxPool { factor }, [x.into_dispatch()])
    } else if is_half(&x) {
        widened([x], |[x]| max_pool2(x, factor))
    } else {
        composed(x, factor)
    }
}

/// [`max_pool2`] from burn's operations.
pub fn composed(x: Tensor<5>, factor: [usize; 3]) -> Tensor<5> {
    let mut x = x;
    for (axis, f) in factor.into_iter().enumerate() {
        if f == 1 {
            continue;
        }
        let dim = axis + 2;
        let half = x.dims()[dim] / 2;
        let even = x.clone().slice_dim(dim, burn::tensor::s![0..2*half;2]);
        let odd = x.slice_dim(dim, burn::tensor::s![1..2*half;2]);
        // Not `max_pair`, in which what is not a number wins from the one side alone.
        let known = even.clone().is_nan().bool_not();
        let lost = odd.clone().is_nan().bool_and(known);
        let greater = even.clone().lower(odd.clone()).bool_or(lost);
        x = even.mask_where(greater, odd);
    }
    x
}

#[derive(Debug)]
struct MaxPool {
    factor: [usize; 3],
}

impl Operation<1> for MaxPool {
    fn saves_inputs(&self) -> bool {
        true
    }

    fn shape(&self, [x]: [&[usize]; 1]) -> Vec<usize> {
        let mut shape = x.to_vec();
        for (size, f) in shape[2..].iter_mut().zip(self.factor) {
            *size /= f;
        }
        shape
    }

    fn forward(&self, [x]: [View; 1]) -> Vec<f32> {
        let extent = [x.shape[2], x.shape[3], x.shape[4]];
        let (data, _) = pool::max2(x.data, x.shape[0] * x.shape[1], extent, self.factor);
        data
    }

    fn backward(&self, saved: Saved<1>) -> [Option<Vec<f32>>; 1] {
        let [x] = saved.inputs;
        let items = x.shape[0] * x.shape[1];
        let extent = [x.shape[2], x.shape[3], x.shape[4]];
        // Finding the maximum again is cheaper than keeping its index for the whole pass.
        let (_, argmax) = pool::max2(x.data, items, extent, self.factor);
        let grad = pool::max2_grad(saved.grad.data, &argmax, items, extent, self.factor);
        [Some(grad)]
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, [x]: [Buffer; 1]) -> Buffer {
        gpu::pool::max2(x, self.factor)
    }

    #[cfg(feature = "gpu")]
    fn backward_gpu(&self, saved: SavedBuffers<1>) -> [Option<Buffer>; 1] {
        let [x] = saved.inputs.expect("saves_inputs");
        [Some(gpu::pool::max2_grad(x, saved.grad, self.factor))]
    }
}
