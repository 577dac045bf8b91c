//! 3x3x3 (and 1x3x3, for 2-D) convolution of stride 1 or 2 per axis, and its gradients: direct, or with fewer products
//! where that is faster; also of an upsampled tensor joined with another one, of which nothing is stored.
//!
//! Slices are contiguous, row-major: activations `[batch, channel, d, h, w]`, weights
//! `[out channel, in channel, kernel depth, 3, 3]`. Results do not depend on the number of
//! threads. Shapes that do not fit are errors of the caller's code and panic.

mod axis;
mod buffer;
mod correlate;
mod forward;
mod gather;
mod grad_input;
mod grad_weights;
mod peak;
mod plan;
mod simd;
mod slab;
mod sweep;
#[cfg(test)]
mod tests;
mod tile;
mod winograd;

use rayon::prelude::*;

pub use peak::peak;
use simd::Level;

pub use super::Extent;
use super::vector;

/// Shape of a convolution padded by 1 in h and w, and by `kernel_depth / 2` in d.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvSpec {
    pub batch: usize,
    pub in_channels: usize,
    pub out_channels: usize,
    /// Voxels of the input.
    pub input: Extent,
    /// 3, or 1 for 2-D.
    pub kernel_depth: usize,
    /// 1 or 2 for each axis.
    pub stride: [usize; 3],
}

impl ConvSpec {
    /// Voxels of the output: `(n - 1) / stride + 1` along each axis.
    pub fn output(&self) -> Extent {
        std::array::from_fn(|axis| (self.input[axis] - 1) / self.stride[axis] + 1)
    }

    /// Numbers in the input, `[batch, in_channels, d, h, w]`.
    pub fn input_len(&self) -> usize {
        self.batch * self.in_channels * self.input.iter().product::<usize>()
    }

    /// Numbers in the output, `[batch, out_channels, d, h, w]`.
    pub fn output_len(&self) -> usize {
        self.batch * self.out_channels * self.output().iter().product::<usize>()
    }

    /// Numbers in the weights, `[out_channels, in_channels, kernel_depth, 3, 3]`.
    pub fn weights_len(&self) -> usize {
        self.out_channels * self.in_channels * self.kernel_depth * 9
    }

    fn check(&self) {
        assert!(self.input.iter().all(|&n| n > 0), "empty input: {self:?}");
        assert!(
            matches!(self.kernel_depth, 1 | 3) && self.stride.iter().all(|s| matches!(s, 1 | 2)),
            "convolution knows kernel depths 1 and 3 and strides 1 and 2: {self:?}"
        );
    }
}

/// Shape of a convolution of stride 1 over the channels of `low`, upsampled by two with the nearest voxel, and after
/// them those of `skip`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JoinSpec {
    pub batch: usize,
    pub low_channels: usize,
    pub skip_channels: usize,
    pub out_channels: usize,
    /// Voxels of `skip` and of the output.
    pub input: Extent,
    /// 3, or 1 for 2-D, where `low` has as many planes as `skip`.
    pub kernel_depth: usize,
}

impl JoinSpec {
    /// Voxels of `low`: half of the others, but along d for a kernel of depth 1.
    pub fn low(&self) -> Extent {
        let [d, h, w] = self.input;
        let d = if self.kernel_depth == 1 { d } else { d / 2 };
        [d, h / 2, w / 2]
    }

    /// Whether `low` has these voxels and, upsampled, exactly those of `skip`.
    pub fn joins(&self, low: Extent) -> bool {
        let [d, h, w] = low;
        let d = if self.kernel_depth == 1 { d } else { 2 * d };
        self.input == [d, 2 * h, 2 * w]
    }

    /// Numbers in the weights, `[out_channels, low_channels + skip_channels, kernel_depth, 3, 3]`.
    pub fn weights_len(&self) -> usize {
        self.out_channels * (self.low_channels + self.skip_channels) * self.kernel_depth * 9
    }
}

/// Convolution, plus bias, then LeakyReLU where a `slope` is given.
///
/// `x` `[batch, in_channels, input]`, `w` `[out_channels, in_channels, kernel_depth, 3, 3]`,
/// `bias` `[out_channels]`, `out` `[batch, out_channels, output]`.
pub fn forward(
    spec: &ConvSpec,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    slope: Option<f32>,
    out: &mut [f32],
) {
    if winograd::pays(spec) {
        let spec = JoinSpec::from(spec);
        winograd::forward(Level::best(), &spec, [&[], x], w, bias, slope, out);
    } else {
        forward::run(Level::best(), spec, x, w, bias, slope, out);
    }
}

/// Gradient of the convolution (before its LeakyReLU) with respect to its input.
///
/// `grad_out` `[batch, out_channels, output]`, `grad_x` `[batch, in_channels, input]`
/// (overwritten).
pub fn grad_input(spec: &ConvSpec, grad_out: &[f32], w: &[f32], grad_x: &mut [f32]) {
    if winograd::pays(spec) {
        let spec = JoinSpec::from(spec);
        winograd::grad_input(Level::best(), &spec, grad_out, w, [&mut [], grad_x]);
    } else {
        grad_input::run(Level::best(), spec, grad_out, w, grad_x);
    }
}

/// Gradients of the convolution (before its LeakyReLU) with respect to its weights and bias.
///
/// `x` `[batch, in_channels, input]`, `grad_out` `[batch, out_channels, output]`; `grad_w` (as the
/// weights) and `grad_bias` `[out_channels]` are overwritten.
pub fn grad_weights(
    spec: &ConvSpec,
    x: &[f32],
    grad_out: &[f32],
    grad_w: &mut [f32],
    grad_bias: Option<&mut [f32]>,
) {
    if winograd::pays_for_weights(spec) {
        let spec = JoinSpec::from(spec);
        winograd::grad_weights(Level::best(), &spec, [&[], x], grad_out, grad_w, grad_bias);
    } else {
        grad_weights::run(Level::best(), spec, x, grad_out, grad_w, grad_bias);
    }
}

/// [`forward`] of `low`, upsampled, joined with `skip`, neither of which is stored.
///
/// `low` `[batch, low_channels, low voxels]`, `skip` `[batch, skip_channels, input]`, `w` with the low channels first,
/// `out` `[batch, out_channels, input]`.
pub fn joined_forward(
    spec: &JoinSpec,
    inputs: [&[f32]; 2],
    w: &[f32],
    bias: Option<&[f32]>,
    slope: Option<f32>,
    out: &mut [f32],
) {
    winograd::forward(Level::best(), spec, inputs, w, bias, slope, out);
}

/// [`grad_input`] for `low` and for `skip` (both overwritten).
pub fn joined_grad_input(spec: &JoinSpec, grad_out: &[f32], w: &[f32], grads: [&mut [f32]; 2]) {
    winograd::grad_input(Level::best(), spec, grad_out, w, grads);
}

/// [`grad_weights`] of [`joined_forward`].
pub fn joined_grad_weights(
    spec: &JoinSpec,
    inputs: [&[f32]; 2],
    grad_out: &[f32],
    grad_w: &mut [f32],
    grad_bias: Option<&mut [f32]>,
) {
    winograd::grad_weights(Level::best(), spec, inputs, grad_out, grad_w, grad_bias);
}

/// Turns the gradient of LeakyReLU's output into that of its input, in place.
///
/// The sign of the output `out` is that of the input (`slope > 0`).
pub fn leaky_relu_grad(out: &[f32], grad: &mut [f32], slope: f32) {
    assert_eq!(out.len(), grad.len(), "gradient of another shape");
    let chunks = grad.par_chunks_mut(1 << 14).zip(out.par_chunks(1 << 14));
    chunks.for_each(|(grad, out)| vector::run(Mask { grad, out, slope }));
}

/// [`leaky_relu_grad`] of a chunk.
struct Mask<'a> {
    grad: &'a mut [f32],
    out: &'a [f32],
    slope: f32,
}

impl vector::Work for Mask<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (g, &y) in self.grad.iter_mut().zip(self.out) {
            *g *= if y > 0.0 { 1.0 } else { self.slope };
        }
    }
}
