//! Gradient of a convolution with respect to its weights.

use cubecl::prelude::*;

use super::super::{Grid, grid};
use super::pack::padded;
use super::source::{Source, last, source, value};
use super::{Buffer, LANE, MOST, argument, batch, channels, empty, extent};

/// Output voxels of a tile along `w`.
const ACROSS: usize = 32;
/// Of those, how many a unit takes in one go.
const RUN: usize = 4;
/// Cubes that keep a large device busy.
const BUSY: usize = 800;
/// Units of a cube, at most.
const UNITS: usize = 256;
/// Fast memory that devices promise, in bytes.
const FAST: usize = 32768;
/// Weights whose parts a cube sums, and how many units share the parts of one.
const ITEMS: usize = 32;
const SHARES: usize = 8;

/// What a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Plan {
    kernel_depth: usize,
    stride: [usize; 3],
    /// Input channels of a cube.
    depth: usize,
    /// Lots of [`LANE`] output channels of a cube.
    lanes: usize,
    /// Rows of output voxels of a tile, each summed by units of its own.
    rows: usize,
    joined: bool,
}

impl Plan {
    fn units(&self) -> usize {
        self.rows * self.depth * self.kernel_depth * self.lanes
    }

    /// Rows of the input that a tile reads.
    fn window(&self) -> usize {
        (self.rows - 1) * self.stride[1] + 3
    }

    /// From one row of a tile to the next; odd, so that rows lie in different banks.
    fn pitch(&self) -> usize {
        ((ACROSS - 1) * self.stride[2] + 3) | 1
    }

    /// Fast memory for a tile of the inputs.
    fn inputs(&self) -> usize {
        self.depth * self.kernel_depth * self.window() * self.pitch()
    }

    /// From one voxel of the gradient to the next in fast memory, in fours; odd for the same reason.
    fn fours(&self) -> usize {
        self.lanes * 2 + 1
    }

    /// Fast memory for a tile of the gradient, in fours.
    fn grads(&self) -> usize {
        self.rows * ACROSS * self.fours()
    }

    fn fits(&self) -> bool {
        self.units() <= UNITS && 4 * self.inputs() + 16 * self.grads() <= FAST
    }

    fn taps(&self) -> usize {
        9 * self.kernel_depth
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
    out_channels: usize,
    padded: usize,
}

/// See [`super::forward`] for `inputs`; `weight` gives the shape.
pub fn grad_weights(
    inputs: &[Buffer],
    grad: &Buffer,
    weight: &Buffer,
    stride: [usize; 3],
) -> Buffer {
    let (low, x) = (&inputs[0], last(inputs));
    let (inside, outside) = (channels(weight), batch(weight));
    let kernel_depth = extent(weight)[0];
    let joined = inputs.len() == 2;
    let plan = plan(inside, outside, kernel_depth, stride, joined);
    let [d, h, w] = extent(grad);
    let tiles = [d, h.div_ceil(plan.rows), w.div_ceil(ACROSS)];
    let chunks = [
        inside.div_ceil(plan.depth),
        padded(outside).div_ceil(plan.lanes * LANE),
    ];
    let wanted = BUSY.div_ceil(chunks[0] * chunks[1]);
    let parts = (batch(x) * tiles.iter().product::<usize>()).min(wanted);
    let partial = empty(
        grad,
        [parts * plan.rows, inside, plan.taps(), padded(outside)],
    );
    let sizes = SizesLaunch::new(
        grid([d, h, w]),
        grid(tiles),
        batch(x),
        outside,
        padded(outside),
    );
    let count = [parts, chunks[0], chunks[1]].map(|n| n as u32);
    unsafe {
        partial_sums::launch_unchecked(
            &grad.client,
            CubeCount::Static(count[0], count[1], count[2]),
            CubeDim::new_1d(plan.units() as u32),
            argument(low),
            argument(x),
            argument(grad),
            argument(&partial),
            source(inputs),
            sizes,
            plan,
        );
    }
    total(&partial, weight)
}

/// The largest tile that fits.
fn plan(
    inside: usize,
    outside: usize,
    kernel_depth: usize,
    stride: [usize; 3],
    joined: bool,
) -> Plan {
    let smallest = Plan {
        kernel_depth,
        stride,
        depth: inside.min(4),
        lanes: (padded(outside) / LANE).min(MOST / LANE),
        rows: 1,
        joined,
    };
    let deeper = Plan {
        depth: inside.min(if kernel_depth == 3 { 8 } else { 16 }),
        ..smallest
    };
    let start = if deeper.fits() { deeper } else { smallest };
    let taller = [8, 4, 2].map(|rows| Plan { rows, ..start });
    taller.into_iter().find(Plan::fits).unwrap_or(start)
}

/// The sum over all parts, in the order of stored weights.
fn total(partial: &Buffer, weight: &Buffer) -> Buffer {
    let shape: [usize; 5] = weight.meta.shape().dims();
    let out = empty(weight, shape);
    let [parts, inside, taps, padded]: [usize; 4] = partial.meta.shape().dims();
    let items = inside * taps * padded;
    unsafe {
        sum_of_parts::launch_unchecked(
            &weight.client,
            CubeCount::Static(items.div_ceil(ITEMS) as u32, 1, 1),
            CubeDim::new_1d((ITEMS * SHARES) as u32),
            argument(partial),
            argument(&out),
            items,
            parts,
            taps,
            padded,
            batch(weight),
        );
    }
    out
}

/// A unit sums the nine taps of one plane of the kernel for eight output channels and one input channel.
#[cube(launch_unchecked)]
fn partial_sums(
    low: &[f32],
    x: &[f32],
    grad: &[f32],
    partial: &mut [Vector<f32, Const<4>>],
    source: Source,
    sizes: Sizes,
    #[comptime] plan: Plan,
) {
    let part = CUBE_POS_X as usize;
    let first_in = CUBE_POS_Y as usize * comptime!(plan.depth);
    let first_out = CUBE_POS_Z as usize * comptime!(plan.lanes * LANE);
    let unit = UNIT_POS as usize;
    let lane = unit % comptime!(plan.lanes);
    let rest = unit / comptime!(plan.lanes);
    let a = rest % comptime!(plan.kernel_depth);
    let rest = rest / comptime!(plan.kernel_depth);
    let own = rest % comptime!(plan.depth);
    let line = rest / comptime!(plan.depth);

    let mut inputs = Shared::<[f32]>::new_slice(comptime!(plan.inputs()));
    let mut grads = Shared::<[Vector<f32, Const<4>>]>::new_slice(comptime!(plan.grads()));
    let mut sums = Array::<Vector<f32, Const<4>>>::new(18usize);
    #[unroll]
    for n in 0..18usize {
        sums[n] = Vector::new(0.0f32);
    }

    let tiles = sizes.tiles.voxels();
    let mut tile = part;
    while tile < tiles * sizes.batch {
        let item = tile / tiles;
        let first_w = (tile % sizes.tiles.w) * ACROSS;
        let rest = (tile % tiles) / sizes.tiles.w;
        let first_h = (rest % sizes.tiles.h) * comptime!(plan.rows);
        let plane = rest / sizes.tiles.h;
        sync_cube();
        let mut at = unit;
        while at < comptime!(plan.inputs()) {
            let column = at % comptime!(plan.pitch());
            let row = at / comptime!(plan.pitch());
            let r = row % comptime!(plan.window());
            let row = row / comptime!(plan.window());
            let c = first_in + row / comptime!(plan.kernel_depth);
            // Wraps below zero, so that one comparison tells.
            let i = plane * comptime!(plan.stride[0]) + row % comptime!(plan.kernel_depth)
                - comptime!(plan.kernel_depth / 2);
            let j = first_h * comptime!(plan.stride[1]) + r - 1;
            let k = first_w * comptime!(plan.stride[2]) + column - 1;
            inputs[at] = value(
                low,
                x,
                &source,
                item,
                c,
                i,
                j,
                k,
                comptime!(plan.joined),
                comptime!(plan.kernel_depth),
            );
            at += comptime!(plan.units());
        }
        let mut at = unit;
        while at < comptime!(plan.rows * ACROSS * plan.lanes * 2) {
            let voxel = at % comptime!(plan.rows * ACROSS);
            let four = at / comptime!(plan.rows * ACROSS);
            let j = first_h + voxel / ACROSS;
            let k = first_w + voxel % ACROSS;
            let mut values = Vector::<f32, Const<4>>::new(0.0f32);
            if j < sizes.to.h && k < sizes.to.w {
                #[unroll]
                for o in 0..4usize {
                    let channel = first_out + four * 4 + o;
                    if channel < sizes.out_channels {
                        let volume = (item * sizes.out_channels + channel) * sizes.to.d + plane;
                        values.insert(o, grad[(volume * sizes.to.h + j) * sizes.to.w + k]);
                    }
                }
            }
            grads[voxel * comptime!(plan.fours()) + four] = values;
            at += comptime!(plan.units());
        }
        sync_cube();

        let volume = own * comptime!(plan.kernel_depth) + a;
        let row = volume * comptime!(plan.window()) + line * comptime!(plan.stride[1]);
        let step = comptime!(plan.stride[2]);
        let length = comptime!((RUN - 1) * step + 3);
        let mut first = 0usize;
        while first < ACROSS {
            let mut window = Array::<f32>::new(comptime!(3 * length));
            #[unroll]
            for b in 0..3usize {
                let base = (row + b) * comptime!(plan.pitch()) + first * step;
                #[unroll]
                for n in 0..length {
                    window[comptime!(b * length + n)] = inputs[base + n];
                }
            }
            #[unroll]
            for run in 0..RUN {
                let from = (line * ACROSS + first + run) * comptime!(plan.fours()) + lane * 2;
                #[unroll]
                for half in 0..2usize {
                    let upstream = grads[from + half];
                    #[unroll]
                    for tap in 0..9usize {
                        let at = comptime!((tap / 3) * length + run * step + tap % 3);
                        let n = comptime!(tap * 2 + half);
                        sums[n] = fma(Vector::new(window[at]), upstream, sums[n]);
                    }
                }
            }
            first += RUN;
        }
        tile += CUBE_COUNT_X as usize;
    }

    let channel = first_in + own;
    let column = first_out / 4 + lane * 2;
    if channel < source.channels && column < sizes.padded / 4 {
        let part = part * comptime!(plan.rows) + line;
        let first = (part * source.channels + channel) * comptime!(plan.taps()) + a * 9;
        #[unroll]
        for tap in 0..9usize {
            #[unroll]
            for half in 0..2usize {
                let at = (first + tap) * (sizes.padded / 4) + column + half;
                partial[at] = sums[comptime!(tap * 2 + half)];
            }
        }
    }
}

/// A cube sums [`ITEMS`] weights, each by several units.
#[cube(launch_unchecked)]
fn sum_of_parts(
    partial: &[f32],
    out: &mut [f32],
    items: usize,
    parts: usize,
    taps: usize,
    padded: usize,
    out_channels: usize,
) {
    let unit = UNIT_POS as usize;
    let item = CUBE_POS_X as usize * ITEMS + unit % ITEMS;
    let mut sum = 0.0f32;
    if item < items {
        let mut part = unit / ITEMS;
        while part < parts {
            sum += partial[part * items + item];
            part += SHARES;
        }
    }
    let mut sums = Shared::<[f32]>::new_slice(comptime!(ITEMS * SHARES));
    sums[unit] = sum;
    sync_cube();
    let channel = item % padded;
    if unit < ITEMS && item < items && channel < out_channels {
        #[unroll]
        for share in 1..SHARES {
            sum += sums[unit + comptime!(share * ITEMS)];
        }
        let inside = items / (taps * padded);
        let tap = (item / padded) % taps;
        let c = item / (padded * taps);
        out[(channel * inside + c) * taps + tap] = sum;
    }
}
