//! Nearest-neighbour upsampling joined with a skip connection.

use cubecl::prelude::*;

use super::{
    Buffer, Grid, argument, batch, channels, element, elements, empty_like, extent, grid, units,
};
use crate::kernels::Extent;

/// `low` on the grid of `skip` by repeating voxels, then the channels of `skip`.
pub fn nearest_concat(low: Buffer, skip: Buffer) -> Buffer {
    let [d, h, w] = extent(&skip);
    let (a, b) = (channels(&low), channels(&skip));
    let out = empty_like(&skip, [batch(&skip), a + b, d, h, w]);
    let items = elements(&out);
    let (count, dim) = units(&skip, items);
    unsafe {
        forward::launch_unchecked(
            &skip.client,
            count,
            dim,
            argument(&low),
            argument(&skip),
            argument(&out),
            items,
            a,
            b,
            grid(extent(&low)),
            grid([d, h, w]),
            element(&skip),
        );
    }
    out
}

/// Gradients of [`nearest_concat`], where `low` has the given channels and voxels.
pub fn nearest_concat_grad(
    grad: Buffer,
    (a, low): (usize, Extent),
    wanted: [bool; 2],
) -> [Option<Buffer>; 2] {
    let b = channels(&grad) - a;
    let [d, h, w] = extent(&grad);
    let grad_low = wanted[0].then(|| summed_children(&grad, (a, low)));
    let grad_skip = wanted[1].then(|| {
        let out = empty_like(&grad, [batch(&grad), b, d, h, w]);
        let items = elements(&out);
        let (count, dim) = units(&grad, items);
        unsafe {
            last_channels::launch_unchecked(
                &grad.client,
                count,
                dim,
                argument(&grad),
                argument(&out),
                items,
                a * d * h * w,
                b * d * h * w,
                element(&grad),
            );
        }
        out
    });
    [grad_low, grad_skip]
}

/// The first `a` channels of a gradient, summed over the voxels that repeat each voxel of `low`.
fn summed_children(grad: &Buffer, (a, low): (usize, Extent)) -> Buffer {
    let [d, h, w] = low;
    let out = empty_like(grad, [batch(grad), a, d, h, w]);
    let items = elements(&out);
    let (count, dim) = units(grad, items);
    unsafe {
        children::launch_unchecked(
            &grad.client,
            count,
            dim,
            argument(grad),
            argument(&out),
            items,
            a,
            channels(grad),
            grid(low),
            grid(extent(grad)),
            element(grad),
        );
    }
    out
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)] // What a launch passes one by one.
fn forward<E: Float>(
    low: &[E],
    skip: &[E],
    out: &mut [E],
    items: usize,
    a: usize,
    b: usize,
    from: Grid,
    to: Grid,
    #[define(E)] _element: ElemType,
) {
    if ABSOLUTE_POS >= items {
        terminate!();
    }
    let (volume, i, j, k) = to.place(ABSOLUTE_POS);
    let channel = volume % (a + b);
    let n = volume / (a + b);
    if channel < a {
        let row = ((n * a + channel) * from.d + parent(i, from.d, to.d)) * from.h
            + parent(j, from.h, to.h);
        out[ABSOLUTE_POS] = low[row * from.w + parent(k, from.w, to.w)];
    } else {
        let row = ((n * b + channel - a) * to.d + i) * to.h + j;
        out[ABSOLUTE_POS] = skip[row * to.w + k];
    }
}

/// The coarse voxel that a fine one repeats; the last one repeats once more where the fine axis is odd.
#[cube]
fn parent(fine: usize, from: usize, to: usize) -> usize {
    let mut coarse = fine;
    if to > from {
        coarse = min(fine / 2, from - 1);
    }
    coarse
}

#[cube(launch_unchecked)]
fn last_channels<E: Float>(
    grad: &[E],
    out: &mut [E],
    items: usize,
    before: usize,
    kept: usize,
    #[define(E)] _element: ElemType,
) {
    if ABSOLUTE_POS >= items {
        terminate!();
    }
    let n = ABSOLUTE_POS / kept;
    out[ABSOLUTE_POS] = grad[ABSOLUTE_POS + (n + 1) * before];
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)] // What a launch passes one by one.
fn children<E: Float>(
    grad: &[E],
    out: &mut [E],
    items: usize,
    a: usize,
    all: usize,
    low: Grid,
    fine: Grid,
    #[define(E)] _element: ElemType,
) {
    if ABSOLUTE_POS >= items {
        terminate!();
    }
    let (volume, i, j, k) = low.place(ABSOLUTE_POS);
    let (i0, i1) = repeats(i, low.d, fine.d);
    let (j0, j1) = repeats(j, low.h, fine.h);
    let (k0, k1) = repeats(k, low.w, fine.w);
    let base = ((volume / a) * all + volume % a) * fine.voxels();
    let mut sum = 0.0f32;
    for i in i0..i1 {
        for j in j0..j1 {
            for k in k0..k1 {
                sum += f32::cast_from(grad[base + (i * fine.h + j) * fine.w + k]);
            }
        }
    }
    out[ABSOLUTE_POS] = E::cast_from(sum);
}

/// First and past-the-last fine voxel that repeat a coarse one.
#[cube]
fn repeats(coarse: usize, from: usize, to: usize) -> (usize, usize) {
    let mut first = coarse;
    let mut end = coarse + 1;
    if to > from {
        first = 2 * coarse;
        end = min(2 * coarse + 2, to);
        if coarse + 1 == from {
            end = to;
        }
    }
    (first, end)
}
