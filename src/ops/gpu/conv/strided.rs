//! Gradient of a strided convolution with respect to its input.

use cubecl::prelude::*;

use super::super::{Grid, element, elements, empty_like, grid, units};
use super::{Buffer, argument, batch, channels, extent};

/// Of an input `x`, which gives the shape; each of its voxels gathers from the outputs that it went into.
pub fn grad_input(grad: &Buffer, weight: &Buffer, x: &Buffer, stride: [usize; 3]) -> Buffer {
    let shape: [usize; 5] = x.meta.shape().dims();
    let out = empty_like(x, shape);
    let items = elements(&out);
    let (count, dim) = units(x, items);
    unsafe {
        gather::launch_unchecked(
            &x.client,
            count,
            dim,
            argument(grad),
            argument(weight),
            argument(&out),
            items,
            grid(extent(x)),
            grid(extent(grad)),
            channels(x),
            batch(weight),
            stride,
            extent(weight)[0],
            element(x),
        );
    }
    out
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)] // What a launch passes one by one.
fn gather<E: Float>(
    grad: &[E],
    weight: &[f32],
    out: &mut [E],
    items: usize,
    from: Grid,
    to: Grid,
    in_channels: usize,
    out_channels: usize,
    #[comptime] stride: [usize; 3],
    #[comptime] kernel_depth: usize,
    #[define(E)] _element: ElemType,
) {
    if ABSOLUTE_POS >= items {
        terminate!();
    }
    let (volume, i, j, k) = from.place(ABSOLUTE_POS);
    let c = volume % in_channels;
    let item = volume / in_channels;
    let mut sum = 0.0f32;
    #[unroll]
    for a in 0..kernel_depth {
        let (d, reaches_d) = target(
            i,
            a,
            comptime!(kernel_depth / 2),
            to.d,
            comptime!(stride[0]),
        );
        #[unroll]
        for b in 0..3usize {
            let (h, reaches_h) = target(j, b, 1usize, to.h, comptime!(stride[1]));
            #[unroll]
            for t in 0..3usize {
                let (w, reaches_w) = target(k, t, 1usize, to.w, comptime!(stride[2]));
                if reaches_d && reaches_h && reaches_w {
                    let tap = comptime!((a * 3 + b) * 3 + t);
                    for o in 0..out_channels {
                        let row = ((item * out_channels + o) * to.d + d) * to.h + h;
                        let by = weight[(o * in_channels + c) * comptime!(9 * kernel_depth) + tap];
                        sum += f32::cast_from(grad[row * to.w + w]) * by;
                    }
                }
            }
        }
    }
    out[ABSOLUTE_POS] = E::cast_from(sum);
}

/// The output voxel into which an input voxel goes by one tap of an axis, and whether there is one.
#[cube]
fn target(
    at: usize,
    #[comptime] tap: usize,
    #[comptime] margin: usize,
    length: usize,
    #[comptime] stride: usize,
) -> (usize, bool) {
    let shifted = at + margin;
    let past = shifted >= tap;
    let back = select(past, shifted - tap, 0usize);
    let target = back / stride;
    let whole = target * stride == back;
    (target, past && whole && target < length)
}
