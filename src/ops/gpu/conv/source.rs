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
    let x = last(inputs);
    let low_channels = low_channels(inputs).unwrap_or(0);
    SourceLaunch::new(grid(extent(x)), low_channels + channels(x), low_channels)
}

/// Channels of the coarse tensor, where there is one.
pub fn low_channels(inputs: &[Buffer]) -> Option<usize> {
    match inputs {
        [low, _] => Some(channels(low)),
        _ => None,
    }
}

/// The only tensor, or the one on the grid of the output.
pub fn last(inputs: &[Buffer]) -> &Buffer {
    inputs.last().expect("one input or two")
}

/// A part of the input in fast memory: `[depth, planes, rows, pitch]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// Input channels.
    pub depth: usize,
    pub planes: usize,
    pub rows: usize,
    /// From one row to the next.
    pub pitch: usize,
    /// Units that fill it.
    pub units: usize,
    /// Whether the first channels come from a tensor of half the resolution.
    pub joined: bool,
    /// 1 in 2-D, where the resolution differs in the plane alone.
    pub kernel_depth: usize,
}

impl Window {
    /// Values that each unit brings.
    fn rounds(&self) -> usize {
        (self.depth * self.planes * self.rows * self.pitch).div_ceil(self.units)
    }

    /// Values that it takes, rounded up to what the units bring.
    pub fn memory(&self) -> usize {
        self.rounds() * self.units
    }
}

/// The most channels of a window up to `most` that never hold channels of both inputs.
pub fn depth(low_channels: Option<usize>, most: usize) -> usize {
    let apart = |n: &usize| low_channels.is_none_or(|low| low.is_multiple_of(*n));
    (1..=most).rev().find(apart).unwrap_or(most)
}

/// Values that a unit asks for before it waits for them.
const BATCH: usize = 8;

/// Fills a window whose first voxel is `(i, j, k)`, from `channel` on, with zeros outside of the image; coordinates
/// below zero have wrapped around.
#[cube]
#[allow(clippy::too_many_arguments)] // Coordinates.
pub fn fill<E: Float>(
    window: &mut [f32],
    low: &[E],
    x: &[E],
    source: &Source,
    item: usize,
    channel: usize,
    i: usize,
    j: usize,
    k: usize,
    #[comptime] shape: Window,
) {
    let own = source.channels - source.low_channels;
    if comptime!(shape.joined) {
        if channel < source.low_channels {
            let all = source.low_channels;
            copy(
                window,
                low,
                source.grid,
                item,
                all,
                channel,
                i,
                j,
                k,
                true,
                shape,
            );
        } else {
            let channel = channel - source.low_channels;
            copy(
                window,
                x,
                source.grid,
                item,
                own,
                channel,
                i,
                j,
                k,
                false,
                shape,
            );
        }
    } else {
        copy(
            window,
            x,
            source.grid,
            item,
            own,
            channel,
            i,
            j,
            k,
            false,
            shape,
        );
    }
}

/// Without branches, so that many values are on their way at once.
#[cube]
#[allow(clippy::too_many_arguments)] // Coordinates.
fn copy<E: Float>(
    window: &mut [f32],
    from: &[E],
    fine: Grid,
    item: usize,
    channels: usize,
    channel: usize,
    i: usize,
    j: usize,
    k: usize,
    #[comptime] coarse: bool,
    #[comptime] shape: Window,
) {
    let unit = UNIT_POS as usize;
    let mut grid = fine;
    if comptime!(coarse) {
        grid.h = fine.h / 2;
        grid.w = fine.w / 2;
        if comptime!(shape.kernel_depth == 3) {
            grid.d = fine.d / 2;
        }
    }
    #[unroll]
    for batch in 0..comptime!(shape.rounds().div_ceil(BATCH)) {
        let count = comptime!(BATCH.min(shape.rounds() - batch * BATCH));
        let mut values = Array::<f32>::new(count);
        #[unroll]
        for n in 0..count {
            let at = unit + comptime!((batch * BATCH + n) * shape.units);
            let row = at / comptime!(shape.pitch);
            let plane = row / comptime!(shape.rows);
            let c = channel + plane / comptime!(shape.planes);
            let mut i = i + plane % comptime!(shape.planes);
            let mut j = j + row % comptime!(shape.rows);
            let mut k = k + at % comptime!(shape.pitch);
            let inside = c < channels && i < fine.d && j < fine.h && k < fine.w;
            if comptime!(coarse) {
                j /= 2;
                k /= 2;
                if comptime!(shape.kernel_depth == 3) {
                    i /= 2;
                }
            }
            let index = (((item * channels + c) * grid.d + i) * grid.h + j) * grid.w + k;
            let value = f32::cast_from(from[select(inside, index, 0usize)]);
            values[n] = select(inside, value, 0.0f32);
        }
        #[unroll]
        for n in 0..count {
            window[unit + comptime!((batch * BATCH + n) * shape.units)] = values[n];
        }
    }
}
