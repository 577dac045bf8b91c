//! Weighted forward differences of fields, and their gradient.

use cubecl::prelude::*;

use super::sums::{UNITS, over_cube, parts, total};
use super::{Buffer, Grid, argument, batch, elements, empty, extent, grid, units};
use crate::kernels::diffusion::Norm;

/// What a difference counts along each axis.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
#[expand(derive(Clone, Copy))]
struct Weights {
    d: f32,
    h: f32,
    w: f32,
}

/// The weighted sum of the differences of each item, `[n, 1, 1, 1, 1]`.
pub fn sums(field: Buffer, [d, h, w]: [f32; 3], norm: Norm) -> Buffer {
    let n = batch(&field);
    let length = elements(&field) / n;
    let parts = parts(length);
    let partial = empty(&field, [parts, 1, 1, n]);
    unsafe {
        partial_sums::launch_unchecked(
            &field.client,
            CubeCount::Static(parts as u32, n as u32, 1),
            CubeDim::new_1d(UNITS as u32),
            argument(&field),
            argument(&partial),
            length,
            grid(extent(&field)),
            WeightsLaunch::new(d, h, w),
            norm,
        );
    }
    let out = empty(&field, [n, 1, 1, 1, 1]);
    total(&partial, &out, n);
    out
}

/// Gradient of [`sums`], given that of each item.
pub fn gradient(field: Buffer, grad: Buffer, [d, h, w]: [f32; 3], norm: Norm) -> Buffer {
    let shape: [usize; 5] = field.meta.shape().dims();
    let out = empty(&field, shape);
    let items = elements(&field);
    let (count, dim) = units(&field, items);
    unsafe {
        gradients::launch_unchecked(
            &field.client,
            count,
            dim,
            argument(&field),
            argument(&grad),
            argument(&out),
            items,
            items / batch(&field),
            grid(extent(&field)),
            WeightsLaunch::new(d, h, w),
            norm,
        );
    }
    out
}

#[cube]
fn power(difference: f32, #[comptime] norm: Norm) -> f32 {
    let mut power = difference * difference;
    if comptime!(norm == Norm::L1) {
        power = difference.abs();
    }
    power
}

#[cube]
fn slope(difference: f32, #[comptime] norm: Norm) -> f32 {
    let mut slope = 2.0 * difference;
    if comptime!(norm == Norm::L1) {
        slope = select(difference > 0.0, 1.0f32, 0.0f32) - select(difference < 0.0, 1.0f32, 0.0f32);
    }
    slope
}

#[cube(launch_unchecked)]
fn partial_sums(
    field: &[f32],
    partial: &mut [f32],
    length: usize,
    grid: Grid,
    weights: Weights,
    #[comptime] norm: Norm,
) {
    let item = CUBE_POS_Y as usize;
    let base = item * length;
    let mut sum = 0.0f32;
    let mut at = CUBE_POS_X as usize * UNITS + UNIT_POS as usize;
    while at < length {
        let (_, i, j, k) = grid.place(at);
        let here = field[base + at];
        if i + 1 < grid.d {
            sum += weights.d * power(field[base + at + grid.h * grid.w] - here, norm);
        }
        if j + 1 < grid.h {
            sum += weights.h * power(field[base + at + grid.w] - here, norm);
        }
        if k + 1 < grid.w {
            sum += weights.w * power(field[base + at + 1] - here, norm);
        }
        at += CUBE_COUNT_X as usize * UNITS;
    }
    let sum = over_cube(sum);
    if UNIT_POS == 0 {
        partial[CUBE_POS_X as usize * CUBE_COUNT_Y as usize + item] = sum;
    }
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)] // What a launch passes one by one.
fn gradients(
    field: &[f32],
    grad: &[f32],
    out: &mut [f32],
    items: usize,
    length: usize,
    grid: Grid,
    weights: Weights,
    #[comptime] norm: Norm,
) {
    let at = ABSOLUTE_POS;
    if at >= items {
        terminate!();
    }
    let (_, i, j, k) = grid.place(at);
    let plane = grid.h * grid.w;
    let here = field[at];
    let mut sum = 0.0f32;
    if i > 0 {
        sum += weights.d * slope(here - field[at - plane], norm);
    }
    if i + 1 < grid.d {
        sum += weights.d * slope(here - field[at + plane], norm);
    }
    if j > 0 {
        sum += weights.h * slope(here - field[at - grid.w], norm);
    }
    if j + 1 < grid.h {
        sum += weights.h * slope(here - field[at + grid.w], norm);
    }
    if k > 0 {
        sum += weights.w * slope(here - field[at - 1], norm);
    }
    if k + 1 < grid.w {
        sum += weights.w * slope(here - field[at + 1], norm);
    }
    out[at] = grad[at / length] * sum;
}
