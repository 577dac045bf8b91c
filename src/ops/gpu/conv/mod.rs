//! Convolution with "same" padding, LeakyReLU, and both gradients.
//!
//! A cube of units shares a tile of the input in fast memory; a unit keeps four voxels of eight channels in registers.
//! The gradient of the input is a convolution of the gradient of the output with turned weights. The gradient of the
//! weights is summed by many cubes, each over its part of the voxels, then over the cubes: the order of additions is
//! fixed, so results repeat.

mod bias;
mod children;
mod forward;
pub mod joined;
mod pack;
mod plan;
mod source;
mod strided;
mod weights;

pub use bias::grad_bias;

use super::{Buffer, argument, batch, channels, empty, extent};
use children::Children;
use forward::Convolution;
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

pub fn forward(
    x: &Buffer,
    weight: &Buffer,
    bias: &Buffer,
    stride: [usize; 3],
    slope: Option<f32>,
) -> Buffer {
    let weights = Weights::as_stored(weight, 0);
    Convolution {
        x,
        weights: &weights,
        children: Children::Nowhere,
        stride,
        bias: Some(bias),
        onto: None,
        slope,
    }
    .run()
}

pub fn grad_input(grad: &Buffer, weight: &Buffer, x: &Buffer, stride: [usize; 3]) -> Buffer {
    if stride == [1; 3] {
        linear(grad, &Weights::turned(weight, 0), Children::Nowhere)
    } else {
        strided::grad_input(grad, weight, x, stride)
    }
}

pub fn grad_weights(x: &Buffer, grad: &Buffer, weight: &Buffer, stride: [usize; 3]) -> Buffer {
    weights::grad_weights(x, grad, extent(weight), stride)
}

/// Products alone, of every voxel.
fn linear(x: &Buffer, weights: &Weights, children: Children) -> Buffer {
    Convolution {
        x,
        weights,
        children,
        stride: [1; 3],
        bias: None,
        onto: None,
        slope: None,
    }
    .run()
}
