//! The convolution itself.

use cubecl::prelude::*;

use super::super::{Grid, element, empty, empty_like, grid};
use super::children::{self, Children, margin};
use super::pack::{Weights, padded};
use super::plan::{Plan, RUN, cubes, depth};
use super::source::{Source, fill, source};
use super::{Buffer, LANE, MOST, argument, batch, channels, extent, fast};

/// Sizes known at launch.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
#[expand(derive(Clone, Copy))]
struct Sizes {
    to: Grid,
    /// Tiles along each axis.
    tiles: Grid,
    /// Of each child in an output by child.
    out_channels: usize,
    /// The same in packed weights.
    padded: usize,
    /// Children in the output.
    children: usize,
    /// Channels of each child in an input by child.
    child_channels: usize,
}

/// A convolution with "same" padding.
pub struct Convolution<'a> {
    pub x: &'a Buffer,
    pub weights: &'a Weights,
    /// Which of input and output is by child.
    pub children: Children,
    pub stride: [usize; 3],
    pub bias: Option<&'a Buffer>,
    /// What is added to, 32-bit floats by child.
    pub onto: Option<&'a Buffer>,
    /// Slope of the LeakyReLU that follows.
    pub slope: Option<f32>,
}

impl Convolution<'_> {
    pub fn run(&self) -> Buffer {
        let (x, stride, outside) = (self.x, self.stride, self.weights.out_channels);
        let from = extent(x);
        let to = [0, 1, 2].map(|axis| (from[axis] - 1) / stride[axis] + 1);
        let of = |side: Children| match self.children == side {
            true => children::count(self.weights.kernel),
            false => 1,
        };
        let written = of(Children::Output);
        let child_channels = channels(x) / of(Children::Input);
        let shape = [batch(x), written * outside, to[0], to[1], to[2]];
        // What another convolution goes on with is not rounded.
        let out = match self.children {
            Children::Output => empty(x, shape),
            _ => empty_like(x, shape),
        };
        let lanes = (padded(outside) / LANE)
            .min(MOST / LANE)
            .next_power_of_two();
        let plan = Plan::new(self.weights.kernel, stride, to, batch(x), lanes, fast(x));
        let plan = Plan {
            depth: depth(child_channels, plan.depth, self.children),
            children: self.children,
            biased: self.bias.is_some(),
            continued: self.onto.is_some(),
            activated: self.slope.is_some(),
            ..plan
        };
        let tiles = [0, 1, 2].map(|axis| to[axis].div_ceil(plan.tile[axis]));
        let lots = padded(outside).div_ceil(lanes * LANE);
        let count = cubes(tiles, written * lots, batch(x));
        let sizes = SizesLaunch::new(
            grid(to),
            grid(tiles),
            outside,
            padded(outside),
            written,
            child_channels,
        );
        // Four neighbours are written at once where rows begin at multiples of four.
        let width = if to[2].is_multiple_of(4) { 4 } else { 1 };
        unsafe {
            convolution::launch_unchecked(
                &x.client,
                CubeCount::Static(count[0], count[1], count[2]),
                CubeDim::new_1d(plan.units as u32),
                width,
                argument(x),
                argument(&self.weights.packed),
                argument(self.bias.unwrap_or(&self.weights.packed)),
                argument(self.onto.unwrap_or(&self.weights.packed)),
                argument(&out),
                source(x),
                sizes,
                self.slope.unwrap_or(1.0),
                plan,
                element(x),
                element(&out),
            );
        }
        out
    }
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)] // What a launch passes one by one.
fn convolution<E: Float, O: Float, N: Size>(
    x: &[E],
    weights: &[Vector<f32, Const<4>>],
    bias: &[f32],
    onto: &[f32],
    out: &mut [Vector<O, N>],
    source: Source,
    sizes: Sizes,
    slope: f32,
    #[comptime] plan: Plan,
    #[define(E)] _element: ElemType,
    #[define(O)] _written: ElemType,
) {
    // However `cubes` shares the tiles between two axes.
    let tile = CUBE_POS_Z as usize * CUBE_COUNT_X as usize + CUBE_POS_X as usize;
    let (item, tile_d, tile_h, tile_w) = sizes.tiles.place(tile);
    let first_d = tile_d * comptime!(plan.tile[0]);
    let first_h = tile_h * comptime!(plan.tile[1]);
    let first_w = tile_w * comptime!(plan.tile[2]);
    let lots = CUBE_COUNT_Y as usize / sizes.children;
    let mut child = CUBE_POS_Y as usize / lots;
    let first_out = CUBE_POS_Y as usize % lots * comptime!(plan.lanes * LANE);
    // Weights and channels of the output stand child by child.
    let first_row = child * source.channels * comptime!(plan.taps());
    let volume = (item * sizes.children + child) * sizes.out_channels;

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
    let (i, j) = (first_d + d, first_h + h);
    let mut sums = beginnings(bias, onto, &sizes, own, item, i, j, first_w + w, plan);
    let mut channel = 0usize;
    while channel < source.channels {
        if comptime!(plan.children == Children::Input) {
            child = channel / sizes.child_channels;
        }
        sync_cube();
        fill(
            &mut inputs,
            x,
            &source,
            item,
            channel,
            first_d * comptime!(plan.stride[0]) - margin(child, 0usize, plan.kernel, plan.children),
            first_h * comptime!(plan.stride[1]) - margin(child, 1usize, plan.kernel, plan.children),
            first_w * comptime!(plan.stride[2]) - margin(child, 2usize, plan.kernel, plan.children),
            comptime!(plan.window()),
        );
        bring_taps(
            &mut taps,
            weights,
            first_row,
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

    if i < sizes.to.d && j < sizes.to.h {
        #[unroll]
        for o in 0..LANE {
            let channel = own + o;
            if channel < sizes.out_channels {
                let row = ((volume + channel) * sizes.to.d + i) * sizes.to.h + j;
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
#[allow(clippy::too_many_arguments)] // Coordinates.
fn beginnings(
    bias: &[f32],
    onto: &[f32],
    sizes: &Sizes,
    own: usize,
    item: usize,
    i: usize,
    j: usize,
    k: usize,
    #[comptime] plan: Plan,
) -> Array<Vector<f32, Const<4>>> {
    let mut sums = Array::<Vector<f32, Const<4>>>::new(comptime!(RUN * 2));
    #[unroll]
    for n in 0..comptime!(RUN * 2) {
        let (run, half) = comptime!((n / 2, n % 2));
        let mut start = Vector::<f32, Const<4>>::new(0.0f32);
        #[unroll]
        for o in 0..4usize {
            let channel = min(own + comptime!(half * 4 + o), sizes.out_channels - 1);
            let mut value = 0.0f32;
            if comptime!(plan.biased) {
                value = bias[channel];
            }
            if comptime!(plan.continued) {
                let inside = i < sizes.to.d && j < sizes.to.h && k + run < sizes.to.w;
                let all = sizes.out_channels;
                let at = children::place(sizes.to, item, channel, all, i, j, k + run, plan.kernel);
                value += onto[select(inside, at, 0usize)];
            }
            start.insert(o, value);
        }
        sums[n] = start;
    }
    sums
}

/// Fills fast memory with the weights of some input channels from `channel` on, zeros behind the last.
#[cube]
#[allow(clippy::too_many_arguments)] // Coordinates.
fn bring_taps(
    taps: &mut [Vector<f32, Const<4>>],
    weights: &[Vector<f32, Const<4>>],
    first_row: usize,
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
        let index = select(known, (first_row + row) * (padded / 4) + column, 0usize);
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
        for a in 0..comptime!(plan.kernel[0]) {
            let plane = c * comptime!(plan.window().planes) + d * comptime!(plan.stride[0]) + a;
            #[unroll]
            for b in 0..comptime!(plan.kernel[1]) {
                let row = plane * comptime!(plan.window().rows) + h * comptime!(plan.stride[1]) + b;
                let base = row * comptime!(plan.window().pitch) + w * comptime!(plan.stride[2]);
                let line_of_taps =
                    (c * comptime!(plan.kernel[0]) + a) * comptime!(plan.kernel[1]) + b;
                let tap = line_of_taps * comptime!(plan.kernel[2]);
                let mut line = Array::<f32>::new(comptime!(plan.line()));
                #[unroll]
                for n in 0..comptime!(plan.line()) {
                    line[n] = inputs[base + n];
                }
                #[unroll]
                for t in 0..comptime!(plan.kernel[2]) {
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
fn store<O: Float, N: Size>(
    out: &mut [Vector<O, N>],
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
            let mut values = Vector::<O, N>::empty();
            #[unroll]
            for n in 0..width {
                let run = comptime!(part * width + n);
                let sum = sums[comptime!(run * 2 + o / 4)].extract(comptime!(o % 4));
                let mut activated = sum;
                if comptime!(plan.activated) {
                    activated = select(sum > 0.0, sum, sum * slope);
                }
                values.insert(n, O::cast_from(activated));
            }
            out[(row + k) / width] = values;
        }
    }
}
