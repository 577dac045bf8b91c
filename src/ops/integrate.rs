//! The displacement that a stationary velocity flows to.

use burn::tensor::Tensor;

use super::bridge::{self, Operation, Saved, View};
#[cfg(feature = "gpu")]
use super::bridge::{Buffer, SavedBuffers};
#[cfg(feature = "gpu")]
use super::gpu;
use super::warp;
use crate::kernels::exponential::Exponential;
use crate::kernels::warp::{Border, Shape};

/// The displacement after unit time along a stationary velocity, both in voxels of their grid: scaling and squaring
/// (Arsigny et al., MICCAI 2006), `v / 2^steps`, then `steps` times `u <- u + u o (id + u)`.
///
/// # Shapes
/// - `velocity` and the result: `[n, 3, d, h, w]`, or `[n, 2, 1, h, w]`
///
/// The backward pass makes the steps again rather than to keep them.
pub fn integrate(velocity: Tensor<5>, steps: usize, border: Border) -> Tensor<5> {
    if bridge::serves(&velocity) {
        bridge::run(Integrate { steps, border }, [velocity.into_dispatch()])
    } else {
        composed(velocity, steps, border)
    }
}

/// [`integrate`] from burn's operations.
pub fn composed(velocity: Tensor<5>, steps: usize, border: Border) -> Tensor<5> {
    let start = velocity / (1u64 << steps) as f32;
    (0..steps).fold(start, |u, _| {
        u.clone() + warp::composed(u.clone(), u, border)
    })
}

#[derive(Debug)]
struct Integrate {
    steps: usize,
    border: Border,
}

impl Integrate {
    fn exponential(&self, velocity: &View) -> Exponential {
        let &[n, components, d, h, w] = velocity.shape else {
            unreachable!("integrate takes rank 5")
        };
        Exponential {
            shape: Shape::fields([d, h, w], n, components, self.border),
            squarings: self.steps,
            sign: 1.0,
        }
    }
}

impl Operation<1> for Integrate {
    fn saves_inputs(&self) -> bool {
        true
    }

    fn shape(&self, [velocity]: [&[usize]; 1]) -> Vec<usize> {
        velocity.to_vec()
    }

    fn forward(&self, [velocity]: [View; 1]) -> Vec<f32> {
        self.exponential(&velocity).displacement(velocity.data)
    }

    fn backward(&self, saved: Saved<1>) -> [Option<Vec<f32>>; 1] {
        let [velocity] = &saved.inputs;
        let exponential = self.exponential(velocity);
        [Some(exponential.grad(velocity.data, saved.grad.data))]
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, [velocity]: [Buffer; 1]) -> Buffer {
        gpu::exponential::displacement(velocity, self.steps, self.border)
    }

    #[cfg(feature = "gpu")]
    fn backward_gpu(&self, saved: SavedBuffers<1>) -> [Option<Buffer>; 1] {
        let [velocity] = saved.inputs.expect("saves_inputs");
        let grad = gpu::exponential::grad(velocity, saved.grad, self.steps, self.border);
        [Some(grad)]
    }
}
