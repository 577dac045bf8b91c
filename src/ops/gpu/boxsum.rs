//! Sums over boxes, one axis after the other.

use cubecl::prelude::*;

use super::{Buffer, argument, elements, empty, extent, units};

/// Sum over the box of `window` voxels (odd numbers) about each voxel of `[n, c, d, h, w]`; zeros outside.
pub fn box_sum(x: Buffer, window: [usize; 3]) -> Buffer {
    let [d, h, w] = extent(&x);
    let mut x = x;
    for (axis, (length, stride)) in [(w, 1), (h, w), (d, h * w)].into_iter().enumerate() {
        let radius = window[2 - axis] / 2;
        if radius == 0 || length == 1 {
            continue;
        }
        let shape: [usize; 5] = x.meta.shape().dims();
        let out = empty(&x, shape);
        let items = elements(&out);
        let (count, dim) = units(&x, items);
        unsafe {
            along_axis::launch_unchecked(
                &x.client,
                count,
                dim,
                argument(&x),
                argument(&out),
                items,
                length,
                stride,
                radius,
            );
        }
        x = out;
    }
    x
}

#[cube(launch_unchecked)]
fn along_axis(
    x: &[f32],
    out: &mut [f32],
    items: usize,
    length: usize,
    stride: usize,
    radius: usize,
) {
    if ABSOLUTE_POS >= items {
        terminate!();
    }
    let at = (ABSOLUTE_POS / stride) % length;
    let before = min(at, radius);
    let after = min(length - 1 - at, radius);
    let first = ABSOLUTE_POS - before * stride;
    let mut sum = 0.0f32;
    for step in 0..before + after + 1 {
        sum += x[first + step * stride];
    }
    out[ABSOLUTE_POS] = sum;
}
