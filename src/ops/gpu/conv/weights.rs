//! Gradient of a convolution with respect to its weights.

use cubecl::prelude::*;

use super::super::sums::total;
use super::super::{Grid, element, grid};
use super::children::{self, Children, margin};
use super::pack::padded;
use super::source::{Source, Window, fill, source};
use super::{Buffer, MOST, argument, batch, channels, empty, extent, fast};
use crate::kernels::Extent;

/// Output voxels of a tile along `w`.
const ACROSS: usize = 16;
/// Of those, how many a unit takes in one go.
const RUN: usize = 4;
/// Rows of output voxels of a tile.
const LINES: usize = 4;
/// Output channels of a unit.
const FOUR: usize = 4;
/// Cubes that keep a large device busy.
const BUSY: usize = 800;
/// Units of a cube, at most.
const UNITS: usize = 256;

/// What a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Plan {
    /// Taps along each axis.
    kernel: Extent,
    stride: [usize; 3],
    /// Input channels of a cube.
    depth: usize,
    /// Fours of output channels of a cube.
    fours: usize,
    /// Sets of units, each with rows of its own.
    sets: usize,
    /// Whether the gradient is by child.
    children: Children,
}

impl Plan {
    /// The largest that fits into `fast` bytes.
    fn new(
        [inside, outside]: [usize; 2],
        kernel: Extent,
        children: Children,
        stride: [usize; 3],
        fast: usize,
    ) -> Self {
        let with = |most: usize, sets: usize| Self {
            kernel,
            stride,
            depth: inside.min(most),
            fours: padded(outside).min(MOST) / FOUR,
            sets,
            children,
        };
        let plans = [16, 8, 4, 2]
            .into_iter()
            .flat_map(|most| [4, 2, 1].map(|sets| with(most, sets)));
        plans
            .into_iter()
            .find(|plan| plan.fits(fast))
            .unwrap_or(with(1, 1))
    }

    fn units(&self) -> usize {
        self.sets * self.depth * self.kernel[0] * self.fours
    }

    /// Output voxels of a tile.
    fn tile(&self) -> Extent {
        match self.kernel[0] {
            1 => [1, LINES, ACROSS],
            _ => [2, LINES / 2, ACROSS],
        }
    }

    /// The part of the input that a tile reads.
    fn window(&self) -> Window {
        let tile = self.tile();
        let [planes, rows, columns] =
            [0, 1, 2].map(|axis| (tile[axis] - 1) * self.stride[axis] + self.kernel[axis]);
        Window {
            depth: self.depth,
            planes,
            rows,
            // Odd, so that rows lie in different banks.
            pitch: columns | 1,
            units: self.units(),
        }
    }

    /// From one voxel of the gradient to the next in fast memory, in fours; odd for the same reason.
    fn pitch(&self) -> usize {
        self.fours | 1
    }

    /// Fours of the gradient that each unit brings.
    fn rounds(&self) -> usize {
        (LINES * ACROSS * self.fours).div_ceil(self.units())
    }

    /// Fast memory for a tile of the gradient, in fours.
    fn grads(&self) -> usize {
        LINES * ACROSS * self.pitch()
    }

    fn fits(&self, fast: usize) -> bool {
        self.units() <= UNITS && 4 * self.window().memory() + 16 * self.grads() <= fast
    }

    fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Taps of a plane of the kernel, which one unit sums.
    fn plane(&self) -> usize {
        self.kernel[1] * self.kernel[2]
    }

    /// Input voxels of a row that a run of output voxels reads.
    fn line(&self) -> usize {
        (RUN - 1) * self.stride[2] + self.kernel[2]
    }
}

/// Sizes known at launch.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
#[expand(derive(Clone, Copy))]
struct Sizes {
    to: Grid,
    /// Tiles along each axis.
    tiles: Grid,
    batch: usize,
    /// Of each child where the gradient is by child.
    out_channels: usize,
    padded: usize,
    children: usize,
}

/// The gradient of weights `[out, in, kernel]` that made `grad` of `x`.
pub fn grad_weights(x: &Buffer, grad: &Buffer, kernel: Extent, stride: [usize; 3]) -> Buffer {
    let (inside, outside) = (channels(x), channels(grad));
    let out = empty(grad, [outside, inside, kernel[0], kernel[1], kernel[2]]);
    let partial = partial(x, grad, kernel, Children::Nowhere, stride);
    total(&partial, &out, outside);
    out
}

/// The gradient of the folded weights that made `grad`, by child, of `low`: `[child, padded out, in, tap]`.
pub fn grad_folded(low: &Buffer, grad: &Buffer, kernel: Extent) -> Buffer {
    let partial = partial(low, grad, kernel, Children::Output, [1; 3]);
    let [_, inside, taps, rows]: [usize; 4] = partial.meta.shape().dims();
    let out = empty(grad, [rows, inside, taps]);
    total(&partial, &out, rows);
    out
}

/// Sums over parts of the voxels, `[part, in, tap, child * padded + out]`.
fn partial(
    x: &Buffer,
    grad: &Buffer,
    kernel: Extent,
    children: Children,
    stride: [usize; 3],
) -> Buffer {
    let count = match children {
        Children::Output => children::count(kernel),
        _ => 1,
    };
    let (inside, outside) = (channels(x), channels(grad) / count);
    let plan = Plan::new([inside, outside], kernel, children, stride, fast(grad));
    let to = extent(grad);
    let tiles = [0, 1, 2].map(|axis| to[axis].div_ceil(plan.tile()[axis]));
    let chunks = [
        inside.div_ceil(plan.depth),
        count * padded(outside).div_ceil(plan.fours * FOUR),
    ];
    let wanted = BUSY.div_ceil(chunks[0] * chunks[1]);
    let parts = (batch(x) * tiles.iter().product::<usize>()).min(wanted);
    let rows = count * padded(outside);
    let partial = empty(grad, [parts * plan.sets, inside, plan.taps(), rows]);
    let padded = padded(outside);
    let sizes = SizesLaunch::new(grid(to), grid(tiles), batch(x), outside, padded, count);
    let cubes = [parts, chunks[0], chunks[1]].map(|n| n as u32);
    unsafe {
        partial_sums::launch_unchecked(
            &grad.client,
            CubeCount::Static(cubes[0], cubes[1], cubes[2]),
            CubeDim::new_1d(plan.units() as u32),
            argument(x),
            argument(grad),
            argument(&partial),
            source(x),
            sizes,
            plan,
            element(grad),
        );
    }
    partial
}

/// A unit sums the taps of one plane of the kernel for four output channels and one input channel.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)] // What a launch passes one by one.
fn partial_sums<E: Float>(
    x: &[E],
    grad: &[E],
    partial: &mut [Vector<f32, Const<4>>],
    source: Source,
    sizes: Sizes,
    #[comptime] plan: Plan,
    #[define(E)] _element: ElemType,
) {
    let part = CUBE_POS_X as usize;
    let first_in = CUBE_POS_Y as usize * comptime!(plan.depth);
    let lots = CUBE_COUNT_Z as usize / sizes.children;
    let child = CUBE_POS_Z as usize / lots;
    let first_out = CUBE_POS_Z as usize % lots * comptime!(plan.fours * FOUR);
    let unit = UNIT_POS as usize;
    let four = unit % comptime!(plan.fours);
    let rest = unit / comptime!(plan.fours);
    let a = rest % comptime!(plan.kernel[0]);
    let rest = rest / comptime!(plan.kernel[0]);
    let own = rest % comptime!(plan.depth);
    let set = rest / comptime!(plan.depth);

    let mut inputs = Shared::<[f32]>::new_slice(comptime!(plan.window().memory()));
    let mut grads = Shared::<[Vector<f32, Const<4>>]>::new_slice(comptime!(plan.grads()));
    let mut sums = Array::<Vector<f32, Const<4>>>::new(comptime!(plan.plane()));
    #[unroll]
    for n in 0..comptime!(plan.plane()) {
        sums[n] = Vector::new(0.0f32);
    }

    let tiles = sizes.tiles.voxels();
    let mut tile = part;
    while tile < tiles * sizes.batch {
        let item = tile / tiles;
        let first_w = (tile % sizes.tiles.w) * ACROSS;
        let rest = (tile % tiles) / sizes.tiles.w;
        let first_h = (rest % sizes.tiles.h) * comptime!(plan.tile()[1]);
        let first_d = (rest / sizes.tiles.h) * comptime!(plan.tile()[0]);
        sync_cube();
        fill(
            &mut inputs,
            x,
            &source,
            item,
            first_in,
            first_d * comptime!(plan.stride[0]) - margin(child, 0usize, plan.kernel, plan.children),
            first_h * comptime!(plan.stride[1]) - margin(child, 1usize, plan.kernel, plan.children),
            first_w * comptime!(plan.stride[2]) - margin(child, 2usize, plan.kernel, plan.children),
            comptime!(plan.window()),
        );
        #[unroll]
        for round in 0..comptime!(plan.rounds()) {
            let at = unit + comptime!(round * plan.units());
            let voxel = at % comptime!(LINES * ACROSS);
            let group = at / comptime!(LINES * ACROSS);
            let line = voxel / ACROSS;
            let i = first_d + line / comptime!(plan.tile()[1]);
            let j = first_h + line % comptime!(plan.tile()[1]);
            let k = first_w + voxel % ACROSS;
            let inside = i < sizes.to.d && j < sizes.to.h && k < sizes.to.w;
            let mut values = Vector::<f32, Const<4>>::new(0.0f32);
            #[unroll]
            for o in 0..FOUR {
                let channel = first_out + group * FOUR + o;
                let known = inside && channel < sizes.out_channels;
                let volume = (item * sizes.children + child) * sizes.out_channels + channel;
                let row = (volume * sizes.to.d + i) * sizes.to.h + j;
                let index = row * sizes.to.w + k;
                let value = f32::cast_from(grad[select(known, index, 0usize)]);
                values.insert(o, select(known, value, 0.0f32));
            }
            if group < comptime!(plan.fours) {
                grads[voxel * comptime!(plan.pitch()) + group] = values;
            }
        }
        sync_cube();

        let step = comptime!(plan.stride[2]);
        let length = comptime!(plan.line());
        let mut line = set;
        while line < LINES {
            let i = line / comptime!(plan.tile()[1]);
            let j = line % comptime!(plan.tile()[1]);
            let plane = own * comptime!(plan.window().planes) + i * comptime!(plan.stride[0]) + a;
            let row = plane * comptime!(plan.window().rows) + j * comptime!(plan.stride[1]);
            let mut first = 0usize;
            while first < ACROSS {
                let mut window = Array::<f32>::new(comptime!(plan.kernel[1] * length));
                #[unroll]
                for b in 0..comptime!(plan.kernel[1]) {
                    let base = (row + b) * comptime!(plan.window().pitch) + first * step;
                    #[unroll]
                    for n in 0..length {
                        window[comptime!(b * length + n)] = inputs[base + n];
                    }
                }
                #[unroll]
                for run in 0..RUN {
                    let voxel = line * ACROSS + first + run;
                    let upstream = grads[voxel * comptime!(plan.pitch()) + four];
                    #[unroll]
                    for tap in 0..comptime!(plan.plane()) {
                        let (b, t) = comptime!((tap / plan.kernel[2], tap % plan.kernel[2]));
                        let at = comptime!(b * length + run * step + t);
                        sums[tap] = fma(Vector::new(window[at]), upstream, sums[tap]);
                    }
                }
                first += RUN;
            }
            line += comptime!(plan.sets);
        }
        tile += CUBE_COUNT_X as usize;
    }

    let channel = first_in + own;
    let column = first_out / FOUR + four;
    if channel < source.channels && column < sizes.padded / FOUR {
        let part = part * comptime!(plan.sets) + set;
        let first = (part * source.channels + channel) * comptime!(plan.taps());
        let fours = sizes.padded / FOUR;
        #[unroll]
        for tap in 0..comptime!(plan.plane()) {
            let row = first + a * comptime!(plan.plane()) + tap;
            partial[(row * sizes.children + child) * fours + column] = sums[tap];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FAST, PROMISED};
    use super::*;

    #[test]
    fn plans_fit_into_fast_memory() {
        let kernels = [
            ([1, 3, 3], [1; 3]),
            ([1, 3, 3], [1, 2, 2]),
            ([1, 2, 2], [1; 3]),
            ([3; 3], [1; 3]),
            ([3; 3], [2; 3]),
            ([2; 3], [1; 3]),
        ];
        for (kernel, stride) in kernels {
            for (inside, outside) in [1, 2, 5, 16, 48].iter().flat_map(|&n| [(n, 3), (n, 64)]) {
                for fast in [PROMISED, FAST] {
                    let sizes = [inside, outside];
                    let plan = Plan::new(sizes, kernel, Children::Nowhere, stride, fast);
                    assert!(plan.fits(fast), "{fast} bytes: {plan:?}");
                }
            }
        }
    }
}
