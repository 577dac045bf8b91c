//! Displacements followed by an affine map.

use burn::tensor::Tensor;

#[cfg(feature = "gpu")]
use super::bridge::Buffer;
use super::bridge::{self, Constant, View};
#[cfg(feature = "gpu")]
use super::gpu;

use crate::kernels::affine::Map;
use crate::kernels::field;

/// Displacement of `x -> map(x + flow(x))`; row `a` of `map` gives the position along axis `a` of `(d, h, w)`.
///
/// # Shapes
/// - `flow` and the result: `[1, 3, d, h, w]`, or `[1, 2, 1, h, w]` along `(h, w)`
pub fn transform_flow(flow: Tensor<5>, map: Map) -> Tensor<5> {
    bridge::run_constant(Transform { map }, [flow])
}

#[derive(Debug)]
struct Transform {
    map: Map,
}

impl Constant<1> for Transform {
    fn shape(&self, [flow]: [&[usize]; 1]) -> [usize; 5] {
        std::array::from_fn(|axis| flow[axis])
    }

    fn forward(&self, [flow]: [View; 1]) -> Vec<f32> {
        let extent = [flow.shape[2], flow.shape[3], flow.shape[4]];
        field::mapped(flow.data, &self.map, flow.shape[1], extent)
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, [flow]: [Buffer; 1]) -> Buffer {
        gpu::transform::flow(flow, &self.map)
    }
}
