//! Gradient of a convolution with respect to its weights.

use cubecl::prelude::*;

use super::super::{Grid, grid, units};
use super::forward::joined_value;
use super::pack::padded;
use super::{Buffer, LANE, MOST, argument, batch, channels, empty, extent};

/// Output voxels of a tile.
const ACROSS: usize = 32;
const ROWS: usize = 2;
/// Cubes that share the voxels, at most; each writes a gradient of its own.
const PARTS: usize = 256;

/// What a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Plan {
    kernel_depth: usize,
    stride: [usize; 3],
    /// Input channels of a cube.
    depth: usize,
    /// Lots of [`LANE`] output channels of a cube.
    lanes: usize,
    joined: bool,
}

impl Plan {
    fn units(&self) -> usize {
        self.depth * self.kernel_depth * 3 * self.lanes
    }

    /// Rows of the input that a tile reads.
    fn rows(&self) -> usize {
        (ROWS - 1) * self.stride[1] + 3
    }

    /// From one row of a tile to the next; odd, so that rows lie in different banks.
    fn pitch(&self) -> usize {
        ((ACROSS - 1) * self.stride[2] + 3) | 1
    }

    /// Fast memory for a tile of the inputs.
    fn inputs(&self) -> usize {
        self.depth * self.kernel_depth * self.rows() * self.pitch()
    }

    /// From one voxel of the gradient to the next in fast memory, in fours; odd for the same reason.
    fn fours(&self) -> usize {
        self.lanes * 2 + 1
    }

    fn taps(&self) -> usize {
        9 * self.kernel_depth
    }
}

/// Sizes known at launch.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
#[expand(derive(Clone, Copy))]
struct Sizes {
    from: Grid,
    to: Grid,
    /// Tiles along each axis.
    tiles: Grid,
    batch: usize,
    in_channels: usize,
    low_channels: usize,
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
    let (low, x) = (&inputs[0], inputs.last().expect("one input or two"));
    let (inside, outside) = (channels(weight), batch(weight));
    let kernel_depth = extent(weight)[0];
    let lanes = (padded(outside) / LANE).min(MOST / LANE);
    let plan = Plan {
        kernel_depth,
        stride,
        depth: inside.min(if kernel_depth == 3 { 8 } else { 16 }),
        lanes,
        joined: inputs.len() == 2,
    };
    let [d, h, w] = extent(grad);
    let tiles = [d, h.div_ceil(ROWS), w.div_ceil(ACROSS)];
    let parts = (batch(x) * tiles.iter().product::<usize>()).min(PARTS);
    let partial = empty(grad, [parts, inside, plan.taps(), padded(outside)]);
    let sizes = SizesLaunch::new(
        grid(extent(x)),
        grid([d, h, w]),
        grid(tiles),
        batch(x),
        inside,
        if plan.joined { channels(low) } else { 0 },
        outside,
        padded(outside),
    );
    let count = [
        parts,
        inside.div_ceil(plan.depth),
        padded(outside).div_ceil(lanes * LANE),
    ]
    .map(|n| n as u32);
    unsafe {
        partial_sums::launch_unchecked(
            &grad.client,
            CubeCount::Static(count[0], count[1], count[2]),
            CubeDim::new_1d(plan.units() as u32),
            argument(low),
            argument(x),
            argument(grad),
            argument(&partial),
            sizes,
            plan,
        );
    }
    total(&partial, weight)
}

/// The sum over all parts, in the order of stored weights.
fn total(partial: &Buffer, weight: &Buffer) -> Buffer {
    let shape: [usize; 5] = weight.meta.shape().dims();
    let out = empty(weight, shape);
    let [parts, inside, taps, padded]: [usize; 4] = partial.meta.shape().dims();
    let items = inside * taps * padded;
    let (count, dim) = units(weight, items);
    unsafe {
        sum_of_parts::launch_unchecked(
            &weight.client,
            count,
            dim,
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

/// A unit sums three neighbouring taps of eight output channels, for one input channel.
#[cube(launch_unchecked)]
fn partial_sums(
    low: &[f32],
    x: &[f32],
    grad: &[f32],
    partial: &mut [Vector<f32, Const<4>>],
    sizes: Sizes,
    #[comptime] plan: Plan,
) {
    let part = CUBE_POS_X as usize;
    let first_in = CUBE_POS_Y as usize * comptime!(plan.depth);
    let first_out = CUBE_POS_Z as usize * comptime!(plan.lanes * LANE);
    let unit = UNIT_POS as usize;
    let lane = unit % comptime!(plan.lanes);
    let rest = unit / comptime!(plan.lanes);
    let b = rest % 3;
    let a = (rest / 3) % comptime!(plan.kernel_depth);
    let own = rest / comptime!(3 * plan.kernel_depth);

    let mut inputs = Shared::<[f32]>::new_slice(comptime!(plan.inputs()));
    let mut grads =
        Shared::<[Vector<f32, Const<4>>]>::new_slice(comptime!(ROWS * ACROSS * plan.fours()));
    let mut sums = Array::<Vector<f32, Const<4>>>::new(6usize);
    #[unroll]
    for n in 0..6usize {
        sums[n] = Vector::new(0.0f32);
    }

    let tiles = sizes.tiles.voxels();
    let mut tile = part;
    while tile < tiles * sizes.batch {
        let item = tile / tiles;
        let first_w = (tile % sizes.tiles.w) * ACROSS;
        let rest = (tile % tiles) / sizes.tiles.w;
        let first_h = (rest % sizes.tiles.h) * ROWS;
        let plane = rest / sizes.tiles.h;
        sync_cube();
        let mut at = unit;
        while at < comptime!(plan.inputs()) {
            let column = at % comptime!(plan.pitch());
            let row = at / comptime!(plan.pitch());
            let r = row % comptime!(plan.rows());
            let row = row / comptime!(plan.rows());
            let c = first_in + row / comptime!(plan.kernel_depth);
            // Wraps below zero, so that one comparison tells.
            let i = plane * comptime!(plan.stride[0]) + row % comptime!(plan.kernel_depth)
                - comptime!(plan.kernel_depth / 2);
            let j = first_h * comptime!(plan.stride[1]) + r - 1;
            let k = first_w * comptime!(plan.stride[2]) + column - 1;
            let inside =
                i < sizes.from.d && j < sizes.from.h && k < sizes.from.w && c < sizes.in_channels;
            let mut value = 0.0f32;
            if inside {
                value = joined_value(
                    low,
                    x,
                    item,
                    c,
                    i,
                    j,
                    k,
                    sizes.from,
                    sizes.in_channels,
                    sizes.low_channels,
                    comptime!(plan.joined),
                    comptime!(plan.kernel_depth),
                );
            }
            inputs[at] = value;
            at += comptime!(plan.units());
        }
        let mut at = unit;
        while at < comptime!(ROWS * ACROSS * plan.lanes * 2) {
            let voxel = at % comptime!(ROWS * ACROSS);
            let four = at / comptime!(ROWS * ACROSS);
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

        #[unroll]
        for r in 0..ROWS {
            let volume = own * comptime!(plan.kernel_depth) + a;
            let row = volume * comptime!(plan.rows()) + comptime!(r * plan.stride[1]) + b;
            let base = row * comptime!(plan.pitch());
            let step = comptime!(plan.stride[2]);
            let mut left = inputs[base];
            let mut middle = inputs[base + 1];
            for k in 0..ACROSS {
                if comptime!(step == 2) {
                    left = inputs[base + 2 * k];
                    middle = inputs[base + 2 * k + 1];
                }
                let right = inputs[base + k * step + 2];
                let from = (comptime!(r * ACROSS) + k) * comptime!(plan.fours()) + lane * 2;
                #[unroll]
                for half in 0..2usize {
                    let upstream = grads[from + half];
                    sums[half] = fma(Vector::new(left), upstream, sums[half]);
                    let n = comptime!(2 + half);
                    sums[n] = fma(Vector::new(middle), upstream, sums[n]);
                    let n = comptime!(4 + half);
                    sums[n] = fma(Vector::new(right), upstream, sums[n]);
                }
                left = middle;
                middle = right;
            }
        }
        tile += CUBE_COUNT_X as usize;
    }

    let channel = first_in + own;
    let column = first_out / 4 + lane * 2;
    if channel < sizes.in_channels && column < sizes.padded / 4 {
        let tap = (a * 3 + b) * 3;
        #[unroll]
        for t in 0..3usize {
            let row = (part * sizes.in_channels + channel) * comptime!(plan.taps()) + tap + t;
            #[unroll]
            for half in 0..2usize {
                partial[row * (sizes.padded / 4) + column + half] = sums[comptime!(t * 2 + half)];
            }
        }
    }
}

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
    if ABSOLUTE_POS >= items {
        terminate!();
    }
    let channel = ABSOLUTE_POS % padded;
    if channel < out_channels {
        let mut sum = 0.0f32;
        for part in 0..parts {
            sum += partial[part * items + ABSOLUTE_POS];
        }
        let inside = items / (taps * padded);
        let tap = (ABSOLUTE_POS / padded) % taps;
        let c = ABSOLUTE_POS / (padded * taps);
        out[(channel * inside + c) * taps + tap] = sum;
    }
}
