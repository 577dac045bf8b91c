//! Linear resizing with aligned corners.

use cubecl::prelude::*;

use super::{Buffer, Grid, argument, batch, channels, elements, empty, extent, grid, units};
use crate::kernels::Extent;

/// Linear resampling of `[n, c, d, h, w]` to `to` voxels, values times `scale`.
pub fn linear(x: Buffer, to: Extent, scale: f32) -> Buffer {
    let [d, h, w] = to;
    let out = empty(&x, [batch(&x), channels(&x), d, h, w]);
    let from = extent(&x);
    let items = elements(&out);
    let (count, dim) = units(&x, items);
    unsafe {
        forward::launch_unchecked(
            &x.client,
            count,
            dim,
            argument(&x),
            argument(&out),
            items,
            grid(from),
            grid(to),
            steps(from, to),
            scale,
        );
    }
    out
}

/// Gradient of [`linear`] with respect to its input of `from` voxels.
pub fn linear_grad(grad: Buffer, from: Extent, scale: f32) -> Buffer {
    let [d, h, w] = from;
    let out = empty(&grad, [batch(&grad), channels(&grad), d, h, w]);
    let to = extent(&grad);
    let items = elements(&out);
    let (count, dim) = units(&grad, items);
    unsafe {
        backward::launch_unchecked(
            &grad.client,
            count,
            dim,
            argument(&grad),
            argument(&out),
            items,
            grid(from),
            grid(to),
            steps(from, to),
            scale,
        );
    }
    out
}

/// Source voxels from one target voxel to the next, along each axis.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
#[expand(derive(Clone, Copy))]
pub(super) struct Steps {
    pub(super) d: f32,
    pub(super) h: f32,
    pub(super) w: f32,
}

pub(super) fn steps(from: Extent, to: Extent) -> StepsLaunch {
    let step = |axis: usize| match to[axis] {
        1 => 0.0,
        n => (from[axis] - 1) as f32 / (n - 1) as f32,
    };
    StepsLaunch::new(step(0), step(1), step(2))
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)] // What a launch passes one by one.
fn forward(
    x: &[f32],
    out: &mut [f32],
    items: usize,
    from: Grid,
    to: Grid,
    steps: Steps,
    scale: f32,
) {
    if ABSOLUTE_POS >= items {
        terminate!();
    }
    let (volume, i, j, k) = to.place(ABSOLUTE_POS);
    let (i0, i1, fi) = neighbours(i, steps.d, from.d);
    let (j0, j1, fj) = neighbours(j, steps.h, from.h);
    let (k0, k1, fk) = neighbours(k, steps.w, from.w);
    let base = volume * from.voxels();

    let plane = from.h * from.w;
    let near = between(x, base + i0 * plane, from.w, j0, j1, fj, k0, k1, fk);
    let far = between(x, base + i1 * plane, from.w, j0, j1, fj, k0, k1, fk);
    out[ABSOLUTE_POS] = line(near, far, fi) * scale;
}

/// The value between four voxels of one plane, which begins at `base` and is `width` voxels wide.
#[cube]
#[allow(clippy::too_many_arguments)] // Two voxels and a fraction, along two axes.
pub(super) fn between(
    x: &[f32],
    base: usize,
    width: usize,
    j0: usize,
    j1: usize,
    fj: f32,
    k0: usize,
    k1: usize,
    fk: f32,
) -> f32 {
    let row = base + j0 * width;
    let near = line(x[row + k0], x[row + k1], fk);
    let row = base + j1 * width;
    line(near, line(x[row + k0], x[row + k1], fk), fj)
}

/// The two source voxels about a target voxel, and how far it is past the first.
#[cube]
pub(super) fn neighbours(at: usize, step: f32, length: usize) -> (usize, usize, f32) {
    let position = at as f32 * step;
    let first = min(position.floor() as usize, length - 1);
    (first, min(first + 1, length - 1), position - first as f32)
}

#[cube]
pub(super) fn line(near: f32, far: f32, fraction: f32) -> f32 {
    near + (far - near) * fraction
}

/// A source voxel gathers from the target voxels whose cell it bounds, so that no two units write one value.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)] // What a launch passes one by one.
fn backward(
    grad: &[f32],
    out: &mut [f32],
    items: usize,
    from: Grid,
    to: Grid,
    steps: Steps,
    scale: f32,
) {
    if ABSOLUTE_POS >= items {
        terminate!();
    }
    let (volume, i, j, k) = from.place(ABSOLUTE_POS);
    let base = volume * to.voxels();
    let (i0, i1) = reached(i, steps.d, to.d);
    let (j0, j1) = reached(j, steps.h, to.h);
    let (k0, k1) = reached(k, steps.w, to.w);
    let mut sum = 0.0f32;
    for a in i0..i1 {
        let by_a = hat(a, steps.d, i);
        for b in j0..j1 {
            let by_b = by_a * hat(b, steps.h, j);
            for c in k0..k1 {
                let at = base + (a * to.h + b) * to.w + c;
                sum += grad[at] * (by_b * hat(c, steps.w, k));
            }
        }
    }
    out[ABSOLUTE_POS] = sum * scale;
}

/// First and past-the-last target voxel within one source voxel of `at`, or one more on either side.
#[cube]
fn reached(at: usize, step: f32, length: usize) -> (usize, usize) {
    let mut first = 0usize;
    let mut end = length;
    if step > 0.0 {
        first = max((at as f32 - 1.0) / step, 0.0) as usize;
        end = min(((at as f32 + 1.0) / step) as usize + 2, length);
    }
    (first, end)
}

#[cube]
fn hat(target: usize, step: f32, source: usize) -> f32 {
    max(1.0 - (target as f32 * step - source as f32).abs(), 0.0)
}
