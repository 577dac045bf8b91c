//! The convolution itself.

use cubecl::prelude::*;

use super::super::{Grid, element, empty_like, grid};
use super::pack::{Weights, padded};
use super::plan::{Plan, RUN, cubes};
use super::source::{Source, depth, fill, last, low_channels, source};
use super::{Buffer, LANE, MOST, argument, batch, extent, fast};

/// Sizes known at launch.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
#[expand(derive(Clone, Copy))]
struct Sizes {
    to: Grid,
    /// Tiles along each axis.
    tiles: Grid,
    out_channels: usize,
    /// Output channels in packed weights.
    padded: usize,
}

/// See [`super::forward`]; the only input or the second of a pair comes last in `inputs`.
pub fn convolve(
    inputs: &[Buffer],
    weights: &Weights,
    bias: Option<&Buffer>,
    stride: [usize; 3],
    slope: Option<f32>,
) -> Buffer {
    let (low, x) = (&inputs[0], last(inputs));
    let from = extent(x);
    let to = [0, 1, 2].map(|axis| (from[axis] - 1) / stride[axis] + 1);
    let outside = weights.out_channels;
    let out = empty_like(x, [batch(x), outside, to[0], to[1], to[2]]);
    let lanes = (padded(outside) / LANE)
        .min(MOST / LANE)
        .next_power_of_two();
    let plan = Plan::new(weights.kernel_depth, stride, to, batch(x), lanes, fast(x));
    let plan = Plan {
        depth: depth(low_channels(inputs), plan.depth),
        joined: inputs.len() == 2,
        biased: bias.is_some(),
        activated: slope.is_some(),
        ..plan
    };
    let tiles = [0, 1, 2].map(|axis| to[axis].div_ceil(plan.tile[axis]));
    let count = cubes(tiles, padded(outside).div_ceil(lanes * LANE), batch(x));
    let sizes = SizesLaunch::new(grid(to), grid(tiles), outside, padded(outside));
    // Four neighbours are written at once where rows begin at multiples of four.
    let width = if to[2].is_multiple_of(4) { 4 } else { 1 };
    unsafe {
        convolution::launch_unchecked(
            &x.client,
            CubeCount::Static(count[0], count[1], count[2]),
            CubeDim::new_1d(plan.units as u32),
            width,
            argument(low),
            argument(x),
            argument(&weights.packed),
            argument(bias.unwrap_or(&weights.packed)),
            argument(&out),
            source(inputs),
            sizes,
            slope.unwrap_or(1.0),
            plan,
            element(x),
        );
    }
    out
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)] // What a launch passes one by one.
fn convolution<E: Float, N: Size>(
    low: &[E],
    x: &[E],
    weights: &[Vector<f32, Const<4>>],
    bias: &[f32],
    out: &mut [Vector<E, N>],
    source: Source,
    sizes: Sizes,
    slope: f32,
    #[comptime] plan: Plan,
    #[define(E)] _element: ElemType,
) {
    // However `cubes` shares the tiles between two axes.
    let tile = CUBE_POS_Z as usize * CUBE_COUNT_X as usize + CUBE_POS_X as usize;
    let (item, tile_d, tile_h, tile_w) = sizes.tiles.place(tile);
    let first_d = tile_d * comptime!(plan.tile[0]);
    let first_h = tile_h * comptime!(plan.tile[1]);
    let first_w = tile_w * comptime!(plan.tile[2]);
    let first_out = CUBE_POS_Y as usize * comptime!(plan.lanes * LANE);

    // Units of one lot of channels stand together, so that all of a plane read the same weights.
    let unit = UNIT_POS as usize;
    let lane = unit / comptime!(plan.units / plan.lanes);
    let site = unit % comptime!(plan.units / plan.lanes);
    let w = (site % comptime!(plan.across())) * RUN;
    let h = (site / comptime!(plan.across())) % comptime!(plan.tile[1]);
    let d = site / comptime!(plan.across() * plan.tile[1]);

    let mut inputs = Shared::<[f32]>::new_slice(comptime!(plan.window().memory()));
    let mut taps =
        Shared::<[Vector<f32, Const<4>>]>::new_slice(comptime!(plan.weight_rounds() * plan.units));
    let own = first_out + lane * LANE;
    let mut sums = biases(bias, own, sizes.out_channels, plan);
    let mut channel = 0usize;
    while channel < source.channels {
        sync_cube();
        fill(
            &mut inputs,
            low,
            x,
            &source,
            item,
            channel,
            first_d * comptime!(plan.stride[0]) - comptime!(plan.kernel_depth / 2),
            first_h * comptime!(plan.stride[1]) - 1,
            first_w * comptime!(plan.stride[2]) - 1,
            comptime!(plan.window()),
        );
        bring_taps(
            &mut taps,
            weights,
            channel,
            source.channels,
            first_out,
            sizes.padded,
            plan,
        );
        sync_cube();
        add_products(&mut sums, &inputs, &taps, lane, d, h, w, plan);
        channel += comptime!(plan.depth);
    }

    let (i, j) = (first_d + d, first_h + h);
    if i < sizes.to.d && j < sizes.to.h {
        #[unroll]
        for o in 0..LANE {
            let channel = own + o;
            if channel < sizes.out_channels {
                let row = ((item * sizes.out_channels + channel) * sizes.to.d + i) * sizes.to.h + j;
                store(
                    out,
                    &sums,
                    row * sizes.to.w,
                    first_w + w,
                    sizes.to.w,
                    slope,
                    o,
                    plan,
                );
            }
        }
    }
}

/// What the sums of a unit begin with: for each voxel of its run, two fours of output channels.
#[cube]
fn biases(
    bias: &[f32],
    own: usize,
    out_channels: usize,
    #[comptime] plan: Plan,
) -> Array<Vector<f32, Const<4>>> {
    let mut sums = Array::<Vector<f32, Const<4>>>::new(comptime!(RUN * 2));
    #[unroll]
    for half in 0..2usize {
        let mut start = Vector::<f32, Const<4>>::new(0.0f32);
        if comptime!(plan.biased) {
            #[unroll]
            for o in 0..4usize {
                let channel = min(own + half * 4 + o, out_channels - 1);
                start.insert(o, bias[channel]);
            }
        }
        #[unroll]
        for run in 0..RUN {
            sums[run * 2 + half] = start;
        }
    }
    sums
}

/// Fills fast memory with the weights of some input channels from `channel` on, zeros behind the last.
#[cube]
fn bring_taps(
    taps: &mut [Vector<f32, Const<4>>],
    weights: &[Vector<f32, Const<4>>],
    channel: usize,
    channels: usize,
    first_out: usize,
    padded: usize,
    #[comptime] plan: Plan,
) {
    #[unroll]
    for round in 0..comptime!(plan.weight_rounds()) {
        let at = UNIT_POS as usize + comptime!(round * plan.units);
        let part = at % comptime!(plan.lanes * 2);
        let row = channel * comptime!(plan.taps()) + at / comptime!(plan.lanes * 2);
        let column = first_out / 4 + part;
        let known = row < channels * comptime!(plan.taps()) && column < padded / 4;
        let index = select(known, row * (padded / 4) + column, 0usize);
        let none = Vector::<f32, Const<4>>::new(0.0f32);
        taps[at] = select(known, weights[index], none);
    }
}

/// Adds what the channels in fast memory give to the run of voxels that begins at `(d, h, w)` of the tile.
#[cube]
#[allow(clippy::too_many_arguments)] // Coordinates.
fn add_products(
    sums: &mut Array<Vector<f32, Const<4>>>,
    inputs: &[f32],
    taps: &[Vector<f32, Const<4>>],
    lane: usize,
    d: usize,
    h: usize,
    w: usize,
    #[comptime] plan: Plan,
) {
    for c in 0..comptime!(plan.depth) {
        for a in 0..comptime!(plan.kernel_depth) {
            let plane = c * comptime!(plan.window().planes) + d * comptime!(plan.stride[0]) + a;
            #[unroll]
            for b in 0..3usize {
                let row = plane * comptime!(plan.window().rows) + h * comptime!(plan.stride[1]) + b;
                let base = row * comptime!(plan.window().pitch) + w * comptime!(plan.stride[2]);
                let tap = ((c * comptime!(plan.kernel_depth) + a) * 3 + b) * 3;
                let mut line = Array::<f32>::new(comptime!((RUN - 1) * plan.stride[2] + 3));
                #[unroll]
                for n in 0..comptime!((RUN - 1) * plan.stride[2] + 3) {
                    line[n] = inputs[base + n];
                }
                #[unroll]
                for t in 0..3usize {
                    #[unroll]
                    for half in 0..2usize {
                        let weight = taps[(tap + t) * comptime!(plan.lanes * 2) + lane * 2 + half];
                        #[unroll]
                        for run in 0..RUN {
                            let value = line[comptime!(run * plan.stride[2] + t)];
                            let n = comptime!(run * 2 + half);
                            sums[n] = fma(Vector::new(value), weight, sums[n]);
                        }
                    }
                }
            }
        }
    }
}

/// Activates and writes one output channel of a run of voxels that begins at `k` of a row.
#[cube]
#[allow(clippy::too_many_arguments)] // Coordinates.
fn store<E: Float, N: Size>(
    out: &mut [Vector<E, N>],
    sums: &Array<Vector<f32, Const<4>>>,
    row: usize,
    k: usize,
    length: usize,
    slope: f32,
    #[comptime] o: usize,
    #[comptime] plan: Plan,
) {
    let width = N::value();
    #[unroll]
    for part in 0..comptime!(RUN / width) {
        let k = k + comptime!(part * width);
        if k < length {
            let mut values = Vector::<E, N>::empty();
            #[unroll]
            for n in 0..width {
                let run = comptime!(part * width + n);
                let sum = sums[comptime!(run * 2 + o / 4)].extract(comptime!(o % 4));
                let mut activated = sum;
                if comptime!(plan.activated) {
                    activated = select(sum > 0.0, sum, sum * slope);
                }
                values.insert(n, E::cast_from(activated));
            }
            out[(row + k) / width] = values;
        }
    }
}
