//! Normal noise of single voxels: the sample of a voxel follows from a key and the voxel's number.

use burn::tensor::Tensor;

#[cfg(feature = "gpu")]
use super::bridge::Buffer;
use super::bridge::{self, Constant, View};
#[cfg(feature = "gpu")]
use super::gpu;

use crate::kernels::normal;
pub use crate::kernels::normal::Key as NoiseKey;

/// A normal sample for each voxel, of the mean and the standard deviation of its label.
///
/// # Shapes
/// - `labels` and the result: `[n, 1, d, h, w]`, whole numbers below `count`
/// - `tissues`: `[1, 1, 1, count, 2]`, mean and standard deviation
pub fn paint_labels(labels: Tensor<5>, tissues: Tensor<5>, key: NoiseKey) -> Tensor<5> {
    bridge::run_constant(Paint { key }, [labels, tissues])
}

/// `image + sd * noise`, independent from voxel to voxel.
pub fn add_noise(image: Tensor<5>, sd: f32, key: NoiseKey) -> Tensor<5> {
    bridge::run_constant(Add { sd, key }, [image])
}

#[derive(Debug)]
struct Paint {
    key: NoiseKey,
}

impl Constant<2> for Paint {
    fn shape(&self, [labels, _]: [&[usize]; 2]) -> [usize; 5] {
        std::array::from_fn(|axis| labels[axis])
    }

    fn forward(&self, [labels, tissues]: [View; 2]) -> Vec<f32> {
        normal::paint(labels.data, tissues.data, self.key)
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, [labels, tissues]: [Buffer; 2]) -> Buffer {
        gpu::noise::paint(labels, tissues, self.key)
    }
}

#[derive(Debug)]
struct Add {
    sd: f32,
    key: NoiseKey,
}

impl Constant<1> for Add {
    fn shape(&self, [image]: [&[usize]; 1]) -> [usize; 5] {
        std::array::from_fn(|axis| image[axis])
    }

    fn forward(&self, [image]: [View; 1]) -> Vec<f32> {
        normal::add(image.data, self.sd, self.key)
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, [image]: [Buffer; 1]) -> Buffer {
        gpu::noise::add(image, self.sd, self.key)
    }
}
