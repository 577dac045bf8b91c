//! The input of a convolution: one tensor, or a coarse one read as its upsampling with a second one behind it.

use cubecl::prelude::*;

use super::super::{Grid, grid};
use super::{Buffer, channels, extent};

/// Sizes of the input.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
#[expand(derive(Clone, Copy))]
pub struct Source {
    pub grid: Grid,
    /// Of both tensors together.
    pub channels: usize,
    /// Of those, from the coarse tensor.
    pub low_channels: usize,
}

/// Of one tensor or of two, the coarse one first.
pub fn source(inputs: &[Buffer]) -> SourceLaunch {
    let [low, x] = [&inputs[0], last(inputs)];
    let low_channels = match inputs.len() {
        1 => 0,
        _ => channels(low),
    };
    SourceLaunch::new(grid(extent(x)), low_channels + channels(x), low_channels)
}

/// The only tensor, or the one on the grid of the output.
pub fn last(inputs: &[Buffer]) -> &Buffer {
    inputs.last().expect("one input or two")
}

/// Channel `c` at voxel `(i, j, k)`, 0 outside; coordinates below zero have wrapped around.
#[cube]
#[allow(clippy::too_many_arguments)] // Coordinates.
pub fn value(
    low: &[f32],
    x: &[f32],
    source: &Source,
    item: usize,
    c: usize,
    i: usize,
    j: usize,
    k: usize,
    #[comptime] joined: bool,
    #[comptime] kernel_depth: usize,
) -> f32 {
    let fine = source.grid;
    let mut value = 0.0f32;
    if c < source.channels && i < fine.d && j < fine.h && k < fine.w {
        if comptime!(joined) {
            if c < source.low_channels {
                let mut d = fine.d;
                let mut parent = i;
                if comptime!(kernel_depth == 3) {
                    d = fine.d / 2;
                    parent = i / 2;
                }
                let plane = (item * source.low_channels + c) * d + parent;
                value = low[(plane * (fine.h / 2) + j / 2) * (fine.w / 2) + k / 2];
            } else {
                let own = source.channels - source.low_channels;
                let plane = (item * own + c - source.low_channels) * fine.d + i;
                value = x[(plane * fine.h + j) * fine.w + k];
            }
        } else {
            let plane = (item * source.channels + c) * fine.d + i;
            value = x[(plane * fine.h + j) * fine.w + k];
        }
    }
    value
}
