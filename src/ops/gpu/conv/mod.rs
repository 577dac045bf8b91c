//! Convolution with "same" padding, LeakyReLU, and both gradients.
//!
//! A cube of units shares a tile of the input in fast memory; a unit keeps four voxels of eight channels in registers.
//! The gradient of the input is a convolution of the gradient of the output with turned weights. The gradient of the
//! weights is summed by many cubes, each over its part of the voxels, then over the cubes: the order of additions is
//! fixed, so results repeat.

mod bias;
mod forward;
mod pack;
mod plan;
mod source;
mod strided;
mod weights;

pub use bias::grad_bias;
pub use weights::grad_weights;

use super::upsample::summed_children;
use super::{Buffer, argument, batch, channels, empty, extent};
use pack::Weights;

/// Fast memory that a cube takes at most, in bytes: most devices have more, but then for fewer cubes at a time.
const FAST: usize = 32768;
/// What WebGPU and Vulkan promise of it, so that every shape needs a plan for so little.
#[cfg(test)]
const PROMISED: usize = 16384;
/// Output channels that one unit computes.
const LANE: usize = 8;
/// Most output channels that one cube computes.
const MOST: usize = 4 * LANE;

/// Fast memory that a cube may take where a buffer is, in bytes.
fn fast(buffer: &Buffer) -> usize {
    let has = buffer.client.properties().hardware.max_shared_memory_size;
    has.min(FAST)
}

/// The convolution of one input, or of a low-resolution input, read as its twice finer upsampling, with a second one
/// behind it along the channels.
pub fn forward(
    inputs: &[Buffer],
    weight: Buffer,
    bias: Buffer,
    stride: [usize; 3],
    slope: Option<f32>,
) -> Buffer {
    forward::convolve(
        inputs,
        &Weights::as_stored(&weight),
        Some(&bias),
        stride,
        slope,
    )
}

/// Gradient with respect to the only input.
pub fn grad_input(grad: &Buffer, weight: &Buffer, x: &Buffer, stride: [usize; 3]) -> Buffer {
    if stride == [1; 3] {
        turned(grad, weight, 0, channels(x))
    } else {
        strided::grad_input(grad, weight, x, stride)
    }
}

/// Gradient with respect to the low-resolution input of a pair.
pub fn grad_low(grad: &Buffer, weight: &Buffer, low: &Buffer) -> Buffer {
    let fine = turned(grad, weight, 0, channels(low));
    summed_children(&fine, (channels(low), extent(low)))
}

/// Gradient with respect to the second input of a pair.
pub fn grad_skip(grad: &Buffer, weight: &Buffer, skip: &Buffer) -> Buffer {
    let first = channels(weight) - channels(skip);
    turned(grad, weight, first, channels(skip))
}

/// The gradient convolved with the weights of some input channels, turned around.
fn turned(grad: &Buffer, weight: &Buffer, first: usize, count: usize) -> Buffer {
    let weights = Weights::turned(weight, first, count);
    forward::convolve(std::slice::from_ref(grad), &weights, None, [1; 3], None)
}
