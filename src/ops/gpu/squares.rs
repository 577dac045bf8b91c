//! Mean squared differences of the items of two batches.

use cubecl::prelude::*;

use super::sums::{UNITS, over_cube, parts, total};
use super::{Buffer, argument, batch, elements, empty, units};

/// `mean((a - b)^2)` of each item, `[n, 1, 1, 1, 1]`.
pub fn mean_difference(a: Buffer, b: Buffer) -> Buffer {
    let n = batch(&a);
    let length = elements(&a) / n;
    let parts = parts(length);
    let partial = empty(&a, [parts, 1, 1, n]);
    unsafe {
        partial_means::launch_unchecked(
            &a.client,
            CubeCount::Static(parts as u32, n as u32, 1),
            CubeDim::new_1d(UNITS as u32),
            argument(&a),
            argument(&b),
            argument(&partial),
            length,
        );
    }
    let out = empty(&a, [n, 1, 1, 1, 1]);
    total(&partial, &out, n);
    out
}

/// Gradients of [`mean_difference`], as far as they are wanted.
pub fn mean_difference_grad(
    a: Buffer,
    b: Buffer,
    grad: Buffer,
    wanted: [bool; 2],
) -> [Option<Buffer>; 2] {
    let items = elements(&a);
    let length = items / batch(&a);
    let of = |sign: f32| {
        let shape: [usize; 5] = a.meta.shape().dims();
        let out = empty(&a, shape);
        let (count, dim) = units(&a, items);
        unsafe {
            gradient::launch_unchecked(
                &a.client,
                count,
                dim,
                argument(&a),
                argument(&b),
                argument(&grad),
                argument(&out),
                items,
                length,
                sign * 2.0 / length as f32,
            );
        }
        out
    };
    [wanted[0].then(|| of(1.0)), wanted[1].then(|| of(-1.0))]
}

#[cube(launch_unchecked)]
fn partial_means(a: &[f32], b: &[f32], partial: &mut [f32], length: usize) {
    let item = CUBE_POS_Y as usize;
    let base = item * length;
    let mut sum = 0.0f32;
    let mut at = CUBE_POS_X as usize * UNITS + UNIT_POS as usize;
    while at < length {
        let difference = a[base + at] - b[base + at];
        sum += difference * difference;
        at += CUBE_COUNT_X as usize * UNITS;
    }
    let sum = over_cube(sum);
    if UNIT_POS == 0 {
        let part = CUBE_POS_X as usize * CUBE_COUNT_Y as usize + item;
        partial[part] = sum / length as f32;
    }
}

#[cube(launch_unchecked)]
fn gradient(
    a: &[f32],
    b: &[f32],
    grad: &[f32],
    out: &mut [f32],
    items: usize,
    length: usize,
    factor: f32,
) {
    if ABSOLUTE_POS >= items {
        terminate!();
    }
    let difference = a[ABSOLUTE_POS] - b[ABSOLUTE_POS];
    out[ABSOLUTE_POS] = factor * grad[ABSOLUTE_POS / length] * difference;
}
