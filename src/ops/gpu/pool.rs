//! Max-pooling by two.

use cubecl::prelude::*;

use super::{
    Buffer, Grid, argument, batch, channels, element, elements, empty_like, extent, grid, units,
    zeros,
};

/// Maximum over blocks of `factor` voxels of `[n, c, d, h, w]`; what does not fill a block is left out.
pub fn max2(x: Buffer, factor: [usize; 3]) -> Buffer {
    let from = extent(&x);
    let [d, h, w] = [0, 1, 2].map(|axis| from[axis] / factor[axis]);
    let out = empty_like(&x, [batch(&x), channels(&x), d, h, w]);
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
            grid([d, h, w]),
            factor,
            element(&x),
        );
    }
    out
}

/// Gradient of [`max2`]: to the first maximum of each block.
pub fn max2_grad(x: Buffer, grad: Buffer, factor: [usize; 3]) -> Buffer {
    let shape: [usize; 5] = x.meta.shape().dims();
    let from = extent(&x);
    let whole = (0..3).all(|axis| from[axis].is_multiple_of(factor[axis]));
    // Voxels that fill no block are written by nobody.
    let out = if whole {
        empty_like(&x, shape)
    } else {
        zeros(&x, shape)
    };
    let items = elements(&grad);
    let (count, dim) = units(&x, items);
    unsafe {
        backward::launch_unchecked(
            &x.client,
            count,
            dim,
            argument(&x),
            argument(&grad),
            argument(&out),
            items,
            grid(from),
            grid(extent(&grad)),
            factor,
            element(&x),
        );
    }
    out
}

#[cube(launch_unchecked)]
fn forward<E: Float>(
    x: &[E],
    out: &mut [E],
    items: usize,
    from: Grid,
    to: Grid,
    #[comptime] factor: [usize; 3],
    #[define(E)] _element: ElemType,
) {
    if ABSOLUTE_POS >= items {
        terminate!();
    }
    let first = first_of_block(ABSOLUTE_POS, from, to, factor);
    let at = maximum(x, first, from, factor);
    out[ABSOLUTE_POS] = x[at];
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)] // What a launch passes one by one.
fn backward<E: Float>(
    x: &[E],
    grad: &[E],
    out: &mut [E],
    items: usize,
    from: Grid,
    to: Grid,
    #[comptime] factor: [usize; 3],
    #[define(E)] _element: ElemType,
) {
    if ABSOLUTE_POS >= items {
        terminate!();
    }
    let first = first_of_block(ABSOLUTE_POS, from, to, factor);
    let highest = maximum(x, first, from, factor);
    let value = grad[ABSOLUTE_POS];
    #[unroll]
    for i in 0..comptime!(factor[0]) {
        #[unroll]
        for j in 0..comptime!(factor[1]) {
            #[unroll]
            for k in 0..comptime!(factor[2]) {
                let at = first + (i * from.h + j) * from.w + k;
                out[at] = select(at == highest, value, E::new(0.0));
            }
        }
    }
}

/// Where the block begins that a pooled voxel stands for.
#[cube]
fn first_of_block(pooled: usize, from: Grid, to: Grid, #[comptime] factor: [usize; 3]) -> usize {
    let (volume, i, j, k) = to.place(pooled);
    let plane = volume * from.d + i * comptime!(factor[0]);
    let row = plane * from.h + j * comptime!(factor[1]);
    row * from.w + k * comptime!(factor[2])
}

/// Where the first maximum of a block is; what is not a number is above all.
#[cube]
fn maximum<E: Float>(x: &[E], first: usize, from: Grid, #[comptime] factor: [usize; 3]) -> usize {
    let mut best = first;
    #[unroll]
    for i in 0..comptime!(factor[0]) {
        #[unroll]
        for j in 0..comptime!(factor[1]) {
            #[unroll]
            for k in 0..comptime!(factor[2]) {
                let at = first + (i * from.h + j) * from.w + k;
                let value = f32::cast_from(x[at]);
                let highest = f32::cast_from(x[best]);
                let above = value > highest || !number(value);
                if above && number(highest) {
                    best = at;
                }
            }
        }
    }
    best
}

/// By its bits: compilers of shaders may assume that no comparison meets what is not a number.
#[cube]
fn number(x: f32) -> bool {
    (x.to_bits() & 0x7fff_ffffu32) <= 0x7f80_0000u32
}
