//! Upsampling within a convolution: three taps on the fine grid meet two coarse voxels.
//!
//! The eight fine voxels that repeat a coarse one (in 2-D four) are its children, numbered row-major. All children of one
//! number are a convolution of the coarse tensor with two taps along each axis, which are sums of the three: 8 products a fine
//! voxel instead of 27. A tensor *by child* holds them one behind another, `[n, child * channels + c, d, h, w]`, each on the coarse grid.

use cubecl::prelude::*;

use super::super::{Grid, element, elements, empty_like, grid, units};
use super::pack::{Weights, padded};
use super::{Buffer, argument, batch, channels, empty, extent};
use crate::kernels::Extent;

/// Which side of a convolution is a tensor by child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Children {
    Nowhere,
    Input,
    Output,
}

/// Children of a coarse voxel under a kernel of three taps, or of two.
pub fn count(kernel: Extent) -> usize {
    if kernel[0] == 1 { 4 } else { 8 }
}

/// Taps on the coarse grid in place of those on the fine one.
pub fn folded(kernel: Extent) -> Extent {
    kernel.map(|taps| if taps == 3 { 2 } else { taps })
}

/// How far before a voxel the taps of an axis begin.
#[cube]
pub fn margin(
    child: usize,
    #[comptime] axis: usize,
    #[comptime] kernel: Extent,
    #[comptime] children: Children,
) -> usize {
    let mut margin = comptime!(kernel[axis] / 2).runtime();
    // An even child meets the voxel before its own, an odd one the voxel behind it; gradients go the other way.
    if comptime!(children == Children::Output && kernel[axis] == 2) {
        margin = 1 - side(child, axis);
    }
    if comptime!(children == Children::Input && kernel[axis] == 2) {
        margin = side(child, axis);
    }
    margin
}

/// On which side of its coarse voxel a child lies: 0 before, 1 behind.
#[cube]
fn side(child: usize, #[comptime] axis: usize) -> usize {
    (child / comptime!(4usize >> axis)) % 2
}

/// A tensor on the fine grid, by child.
pub fn by_child(fine: &Buffer, kernel: Extent) -> Buffer {
    let children = count(kernel);
    let [d, h, w] = extent(fine);
    let low = [if children == 8 { d / 2 } else { d }, h / 2, w / 2];
    let (n, c) = (batch(fine), channels(fine));
    let out = empty_like(fine, [n, children * c, low[0], low[1], low[2]]);
    let items = elements(&out);
    let (cubes, dim) = units(fine, items);
    unsafe {
        gather::launch_unchecked(
            &fine.client,
            cubes,
            dim,
            argument(fine),
            argument(&out),
            items,
            grid(low),
            c,
            children,
            element(fine),
        );
    }
    out
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)] // What a launch passes one by one.
fn gather<E: Float>(
    fine: &[E],
    out: &mut [E],
    items: usize,
    low: Grid,
    channels: usize,
    #[comptime] children: usize,
    #[define(E)] _element: ElemType,
) {
    if ABSOLUTE_POS >= items {
        terminate!();
    }
    let (volume, i, j, k) = low.place(ABSOLUTE_POS);
    let child = (volume / channels) % children;
    let channel = volume / (channels * children) * channels + volume % channels;
    let mut depth = low.d;
    let mut plane = i;
    if comptime!(children == 8) {
        depth = 2 * low.d;
        plane = 2 * i + side(child, 0usize);
    }
    let row = (channel * depth + plane) * (2 * low.h) + 2 * j + side(child, 1usize);
    out[ABSOLUTE_POS] = fine[row * (2 * low.w) + 2 * k + side(child, 2usize)];
}

/// Where a fine voxel `(i, j, k)` of a channel is in a tensor by child.
#[cube]
#[allow(clippy::too_many_arguments)] // Coordinates.
pub fn place(
    fine: Grid,
    item: usize,
    channel: usize,
    channels: usize,
    i: usize,
    j: usize,
    k: usize,
    #[comptime] kernel: Extent,
) -> usize {
    let children = comptime!(count(kernel));
    let mut child = (j % 2) * 2 + k % 2;
    let mut depth = fine.d;
    let mut plane = i;
    if comptime!(children == 8) {
        child += (i % 2) * 4;
        depth = fine.d / 2;
        plane = i / 2;
    }
    let volume = (item * children + child) * channels + channel;
    ((volume * depth + plane) * (fine.h / 2) + j / 2) * (fine.w / 2) + k / 2
}

impl Weights {
    /// Of the first `inside` channels of a tensor `[out, in, 3 or 1, 3, 3]`, for an output by child: `[child, in, tap, out]`.
    pub fn folded(weight: &Buffer, inside: usize) -> Self {
        Self::fold(weight, inside, false)
    }

    /// What makes the gradient with respect to these channels out of the output's by child, `[child, out, tap, in]`: taps
    /// in reverse.
    pub fn folded_turned(weight: &Buffer, inside: usize) -> Self {
        Self::fold(weight, inside, true)
    }

    fn fold(weight: &Buffer, low_channels: usize, turned: bool) -> Self {
        let (stored, kernel) = (extent(weight), folded(extent(weight)));
        let [inside, out_channels] = match turned {
            false => [low_channels, batch(weight)],
            true => [batch(weight), low_channels],
        };
        let taps = kernel.iter().product::<usize>();
        let packed = empty(weight, [count(stored) * inside, taps, padded(out_channels)]);
        let items = elements(&packed);
        let (cubes, dim) = units(weight, items);
        unsafe {
            fold::launch_unchecked(
                &weight.client,
                cubes,
                dim,
                argument(weight),
                argument(&packed),
                items,
                inside,
                out_channels,
                padded(out_channels),
                channels(weight),
                stored,
                turned,
            );
        }
        Self {
            packed,
            out_channels,
            kernel,
        }
    }
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)] // What a launch passes one by one.
fn fold(
    weight: &[f32],
    packed: &mut [f32],
    items: usize,
    inside: usize,
    outside: usize,
    padded: usize,
    stored_in: usize,
    #[comptime] kernel: Extent,
    #[comptime] turned: bool,
) {
    if ABSOLUTE_POS >= items {
        terminate!();
    }
    let taps = comptime!(folded(kernel).iter().product::<usize>());
    let out = ABSOLUTE_POS % padded;
    let mut tap = (ABSOLUTE_POS / padded) % taps;
    let inner = (ABSOLUTE_POS / (padded * taps)) % inside;
    let child = ABSOLUTE_POS / (padded * taps * inside);
    let mut row = out * stored_in + inner;
    if comptime!(turned) {
        tap = taps - 1 - tap;
        row = inner * stored_in + out;
    }
    let mut sum = 0.0f32;
    if out < outside {
        #[unroll]
        for fine in 0..comptime!(kernel.iter().product::<usize>()) {
            let meets = coarse_tap(child, fine.runtime(), kernel) == tap;
            let at = row * comptime!(kernel.iter().product::<usize>()) + fine;
            sum += select(meets, weight[at], 0.0f32);
        }
    }
    packed[ABSOLUTE_POS] = sum;
}

/// The tap on the coarse grid that a tap on the fine one falls into, for a child.
#[cube]
fn coarse_tap(child: usize, fine: usize, #[comptime] kernel: Extent) -> usize {
    let mut tap = axis_tap(child, fine / 3 % 3, 1usize) * 2 + axis_tap(child, fine % 3, 2usize);
    if comptime!(kernel[0] == 3) {
        tap += axis_tap(child, fine / 9, 0usize) * 4;
    }
    tap
}

#[cube]
fn axis_tap(child: usize, fine: usize, #[comptime] axis: usize) -> usize {
    // The last two taps of a child before its coarse voxel meet that, of one behind it the first two.
    select(side(child, axis) == 0, min(fine, 1usize), fine / 2)
}

/// The gradient of all weights, `[out, a + b, 3 or 1, 3, 3]` as `weight`: of the first `a` input channels from those of the taps on
/// the coarse grid, `[child, padded out, a, tap]`, of the others as it is in `skip`.
pub fn unfold(low: &Buffer, skip: &Buffer, weight: &Buffer) -> Buffer {
    let shape: [usize; 5] = weight.meta.shape().dims();
    let out = empty(weight, shape);
    let items = elements(&out);
    let (cubes, dim) = units(weight, items);
    unsafe {
        unfolded::launch_unchecked(
            &weight.client,
            cubes,
            dim,
            argument(low),
            argument(skip),
            argument(&out),
            items,
            channels(weight) - channels(skip),
            channels(skip),
            padded(batch(weight)),
            extent(weight),
        );
    }
    out
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)] // What a launch passes one by one.
fn unfolded(
    low: &[f32],
    skip: &[f32],
    out: &mut [f32],
    items: usize,
    low_channels: usize,
    skip_channels: usize,
    padded: usize,
    #[comptime] kernel: Extent,
) {
    if ABSOLUTE_POS >= items {
        terminate!();
    }
    let taps = comptime!(kernel.iter().product::<usize>());
    let coarse_taps = comptime!(folded(kernel).iter().product::<usize>());
    let tap = ABSOLUTE_POS % taps;
    let c = (ABSOLUTE_POS / taps) % (low_channels + skip_channels);
    let o = ABSOLUTE_POS / (taps * (low_channels + skip_channels));
    let mut sum = 0.0f32;
    if c < low_channels {
        #[unroll]
        for child in 0..comptime!(count(kernel)) {
            let row = (child * padded + o) * low_channels + c;
            sum += low[row * coarse_taps + coarse_tap(child.runtime(), tap, kernel)];
        }
    } else {
        sum = skip[(o * skip_channels + c - low_channels) * taps + tap];
    }
    out[ABSOLUTE_POS] = sum;
}
