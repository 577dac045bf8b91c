//! Nearest-neighbour upsampling joined with a skip connection.

use burn::tensor::Tensor;

use super::bridge::{self, Operation, Saved, View};
#[cfg(feature = "gpu")]
use super::bridge::{Buffer, SavedBuffers};
#[cfg(feature = "gpu")]
use super::gpu;
use super::half::{is_half, widened};
use crate::kernels::{Extent, upsample};

/// Upsamples `low` to the grid of `skip` by repeating voxels and appends `skip` along the channels.
///
/// # Shapes
/// - `low`: `[n, a, d, h, w]`, `skip`: `[n, b, 2d or 2d+1, ..]` (2-D: `d` stays 1)
/// - result: `[n, a + b, ..]` on the grid of `skip`; where that is odd, the last voxel of `low` repeats
pub fn upsample_concat(low: Tensor<5>, skip: Tensor<5>) -> Tensor<5> {
    if bridge::serves_half(&low) && bridge::serves_half(&skip) {
        let operation = UpsampleConcat::of(&low, &skip);
        bridge::run(operation, [low.into_dispatch(), skip.into_dispatch()])
    } else if is_half(&skip) {
        widened([low, skip], |[low, skip]| upsample_concat(low, skip))
    } else {
        composed(low, skip)
    }
}

/// [`upsample_concat`] from burn's operations.
pub fn composed(low: Tensor<5>, skip: Tensor<5>) -> Tensor<5> {
    let mut low = low;
    for dim in 2..5 {
        let (from, to) = (low.dims()[dim], skip.dims()[dim]);
        if to == from {
            continue;
        }
        let index: Vec<i32> = (0..to).map(|n| (n / 2).min(from - 1) as i32).collect();
        let index = Tensor::from_data(index.as_slice(), &low.device().inner());
        low = low.select(dim, index);
    }
    Tensor::cat(vec![low, skip], 1)
}

#[derive(Debug)]
struct UpsampleConcat {
    batch: usize,
    low: (usize, Extent),
    skip: (usize, Extent),
}

impl UpsampleConcat {
    fn of(low: &Tensor<5>, skip: &Tensor<5>) -> Self {
        let [n, a, d, h, w] = low.dims();
        let [_, b, sd, sh, sw] = skip.dims();
        Self {
            batch: n,
            low: (a, [d, h, w]),
            skip: (b, [sd, sh, sw]),
        }
    }
}

impl Operation<2> for UpsampleConcat {
    fn shape(&self, [low, skip]: [&[usize]; 2]) -> Vec<usize> {
        vec![skip[0], low[1] + skip[1], skip[2], skip[3], skip[4]]
    }

    fn forward(&self, [low, skip]: [View; 2]) -> Vec<f32> {
        let (a, low_extent) = self.low;
        let (b, extent) = self.skip;
        upsample::nearest_concat(low.data, low_extent, a, skip.data, extent, b, self.batch)
    }

    fn backward(&self, saved: Saved<2>) -> [Option<Vec<f32>>; 2] {
        let (a, low_extent) = self.low;
        let (b, extent) = self.skip;
        let (low, skip) =
            upsample::nearest_concat_grad(saved.grad.data, low_extent, a, extent, b, self.batch);
        [Some(low), Some(skip)]
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, [low, skip]: [Buffer; 2]) -> Buffer {
        gpu::upsample::nearest_concat(low, skip)
    }

    #[cfg(feature = "gpu")]
    fn backward_gpu(&self, saved: SavedBuffers<2>) -> [Option<Buffer>; 2] {
        gpu::upsample::nearest_concat_grad(saved.grad, self.low, saved.wanted)
    }
}
