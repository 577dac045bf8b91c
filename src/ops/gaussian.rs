//! Gaussian smoothing along one axis.

use burn::tensor::Tensor;

#[cfg(feature = "gpu")]
use super::bridge::Buffer;
use super::bridge::{self, Constant, View};
#[cfg(feature = "gpu")]
use super::gpu;

use crate::kernels::gaussian;

/// `x` convolved along spatial axis `axis` of `(d, h, w)` with a Gaussian of standard deviation `sd` voxels. The kernel
/// ends at 3 SD and sums to one; beyond the border the edge value repeats. An SD below 0.001 changes nothing.
pub fn smooth_along(x: Tensor<5>, axis: usize, sd: f64) -> Tensor<5> {
    if sd < gaussian::LEAST_SD {
        return x;
    }
    bridge::run_constant(Smooth { axis, sd }, [x])
}

#[derive(Debug)]
struct Smooth {
    axis: usize,
    sd: f64,
}

impl Constant<1> for Smooth {
    fn shape(&self, [x]: [&[usize]; 1]) -> [usize; 5] {
        std::array::from_fn(|axis| x[axis])
    }

    fn forward(&self, [x]: [View; 1]) -> Vec<f32> {
        let mut along = [0.0; 3];
        along[self.axis] = self.sd;
        let extent = [x.shape[2], x.shape[3], x.shape[4]];
        gaussian::smooth(x.data, x.shape[0] * x.shape[1], extent, along)
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, [x]: [Buffer; 1]) -> Buffer {
        gpu::gaussian::smooth(x, self.axis, self.sd)
    }
}
