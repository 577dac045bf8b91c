//! Convolution, bias and LeakyReLU as one block.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

use crate::ops::{ConvOptions, conv, joined_conv};

/// One convolution of the network, with its activation.
#[derive(Module, Debug)]
pub struct ConvBlock {
    /// `[out, in, 3 or 1, 3, 3]`
    pub weight: Param<Tensor<5>>,
    /// `[out]`
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    options: ConvOptions,
}

impl ConvBlock {
    /// A block with PyTorch's default convolution initialisation, uniform in `+-1/sqrt(fan in)`.
    pub fn new(
        channels: [usize; 2],
        kernel_depth: usize,
        options: ConvOptions,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Self {
        let fan_in = channels[0] * kernel_depth * 9;
        let bound = 1.0 / (fan_in as f32).sqrt();
        let weight = (0..channels[1] * fan_in)
            .map(|_| rng.random_range(-bound..bound))
            .collect();
        let bias = (0..channels[1])
            .map(|_| rng.random_range(-bound..bound))
            .collect();
        Self::from_values(channels, kernel_depth, options, weight, bias, device)
    }

    /// The linear layer that gives the field: weights N(0, std), no bias, so that training starts near the
    /// identity (VoxelMorph, Balakrishnan et al., 2019).
    pub fn flow(
        channels: [usize; 2],
        kernel_depth: usize,
        std: f32,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Self {
        let normal = Normal::new(0.0, std).expect("the configuration checked that std is finite");
        let count = channels[0] * channels[1] * kernel_depth * 9;
        let weight = normal.sample_iter(rng).take(count).collect();
        let options = ConvOptions {
            stride: [1, 1, 1],
            slope: None,
        };
        let bias = vec![0.0; channels[1]];
        Self::from_values(channels, kernel_depth, options, weight, bias, device)
    }

    fn from_values(
        [ic, oc]: [usize; 2],
        kernel_depth: usize,
        options: ConvOptions,
        weight: Vec<f32>,
        bias: Vec<f32>,
        device: &Device,
    ) -> Self {
        let weight = TensorData::new(weight, [oc, ic, kernel_depth, 3, 3]);
        let bias = TensorData::new(bias, [oc]);
        Self {
            weight: Param::from_data(weight, device),
            bias: Param::from_data(bias, device),
            options,
        }
    }

    /// # Shapes
    /// - `x`: `[n, in, d, h, w]`; result: `[n, out, ..]`, each axis divided by the stride, rounded up
    pub fn forward(&self, x: Tensor<5>) -> Tensor<5> {
        conv(x, self.weight.val(), self.bias.val(), self.options)
    }

    /// [`Self::forward`] of `low`, upsampled by repeating voxels, with `skip` appended along the channels.
    ///
    /// # Shapes
    /// - `low`: `[n, a, d, h, w]`, `skip`: `[n, in - a, 2d or 2d+1, ..]`; result: on the grid of `skip`
    pub fn forward_joined(&self, low: Tensor<5>, skip: Tensor<5>) -> Tensor<5> {
        joined_conv(low, skip, self.weight.val(), self.bias.val(), self.options)
    }
}
