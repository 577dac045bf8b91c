//! The part of a convolution's input that a cube of units shares in fast memory.

use cubecl::prelude::*;

use super::super::{Grid, grid};
use super::{Buffer, channels, extent};

/// Sizes of the input.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
#[expand(derive(Clone, Copy))]
pub struct Source {
    pub grid: Grid,
    pub channels: usize,
}

pub fn source(x: &Buffer) -> SourceLaunch {
    SourceLaunch::new(grid(extent(x)), channels(x))
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

/// Values that a unit asks for before it waits for them.
const BATCH: usize = 8;

/// Fills a window whose first voxel is `(i, j, k)`, from `channel` on, with zeros outside of the image; coordinates
/// below zero have wrapped around. Without branches, so that many values are on their way at once.
#[cube]
#[allow(clippy::too_many_arguments)] // Coordinates.
pub fn fill<E: Float>(
    window: &mut [f32],
    x: &[E],
    source: &Source,
    item: usize,
    channel: usize,
    i: usize,
    j: usize,
    k: usize,
    #[comptime] shape: Window,
) {
    let unit = UNIT_POS as usize;
    let grid = source.grid;
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
            let i = i + plane % comptime!(shape.planes);
            let j = j + row % comptime!(shape.rows);
            let k = k + at % comptime!(shape.pitch);
            let inside = c < source.channels && i < grid.d && j < grid.h && k < grid.w;
            let index = (((item * source.channels + c) * grid.d + i) * grid.h + j) * grid.w + k;
            let value = f32::cast_from(x[select(inside, index, 0usize)]);
            values[n] = select(inside, value, 0.0f32);
        }
        #[unroll]
        for n in 0..count {
            window[unit + comptime!((batch * BATCH + n) * shape.units)] = values[n];
        }
    }
}
