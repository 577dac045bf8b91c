//! First differences of fields, one penalty for each item of a batch.

use burn::tensor::Tensor;

use super::bridge::{self, Operation, Saved, View};
#[cfg(feature = "gpu")]
use super::bridge::{Buffer, SavedBuffers};
#[cfg(feature = "gpu")]
use super::gpu;
use crate::kernels::diffusion::{Differences, Norm};

/// Mean forward difference (absolute or squared) along each axis, averaged over the components (VoxelMorph's `Grad`).
///
/// # Shapes
/// - `field`: `[n, components, d, h, w]`; the result: `[n]`
///
/// An axis of one voxel has no differences.
pub fn diffusion(field: Tensor<5>, norm: Norm) -> Tensor<1> {
    if bridge::serves(&field) {
        let n = field.dims()[0];
        bridge::run(Diffusion { norm }, [field.into_dispatch()]).reshape([n])
    } else {
        composed(field, norm)
    }
}

/// [`diffusion`] from burn's operations.
pub fn composed(field: Tensor<5>, norm: Norm) -> Tensor<1> {
    let dims = field.dims();
    let mut sum = Tensor::zeros([dims[0]], &field.device());
    for axis in (2..5).filter(|&axis| dims[axis] > 1) {
        let n = dims[axis] - 1;
        let ahead = field.clone().narrow(axis, 1, n);
        let difference = ahead - field.clone().narrow(axis, 0, n);
        let powers = match norm {
            Norm::L1 => difference.abs(),
            Norm::L2 => difference.clone() * difference,
        };
        let rows = powers.reshape([dims[0] as i32, -1]);
        sum = sum + rows.mean_dim(1).reshape([dims[0]]);
    }
    sum / dims[1] as f32
}

#[derive(Debug)]
struct Diffusion {
    norm: Norm,
}

/// What a difference along each axis counts, so that their sum is [`diffusion`].
fn weights(shape: &[usize]) -> [f32; 3] {
    let components = shape[1];
    let voxels: usize = shape[2..].iter().product();
    [2, 3, 4].map(|axis| {
        let differences = components * (voxels - voxels / shape[axis]);
        match differences {
            0 => 0.0,
            _ => 1.0 / (components * differences) as f32,
        }
    })
}

impl Diffusion {
    /// `work` on the field as weighted differences.
    fn on<T>(&self, field: &View, work: impl FnOnce(Differences) -> T) -> T {
        let weights = vec![weights(field.shape); field.shape[1]];
        work(Differences {
            extent: [field.shape[2], field.shape[3], field.shape[4]],
            weights: &weights,
            norm: self.norm,
        })
    }
}

impl Operation<1> for Diffusion {
    fn saves_inputs(&self) -> bool {
        true
    }

    fn shape(&self, [field]: [&[usize]; 1]) -> Vec<usize> {
        vec![field[0], 1, 1, 1, 1]
    }

    fn forward(&self, [field]: [View; 1]) -> Vec<f32> {
        self.on(&field, |differences| differences.sums(field.data))
    }

    fn backward(&self, saved: Saved<1>) -> [Option<Vec<f32>>; 1] {
        let [field] = &saved.inputs;
        let mut grad = vec![0.0; field.data.len()];
        self.on(field, |differences| {
            differences.add_gradient(field.data, saved.grad.data, &mut grad);
        });
        [Some(grad)]
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, [field]: [Buffer; 1]) -> Buffer {
        let weights = weights(field.meta.shape());
        gpu::diffusion::sums(field, weights, self.norm)
    }

    #[cfg(feature = "gpu")]
    fn backward_gpu(&self, saved: SavedBuffers<1>) -> [Option<Buffer>; 1] {
        let [field] = saved.inputs.expect("saves_inputs");
        let weights = weights(field.meta.shape());
        let grad = gpu::diffusion::gradient(field, saved.grad, weights, self.norm);
        [Some(grad)]
    }
}
