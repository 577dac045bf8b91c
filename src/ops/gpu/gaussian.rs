//! Gaussian smoothing along one axis.

use cubecl::prelude::*;

use super::{Buffer, argument, elements, empty, units};
use crate::kernels::gaussian::kernel;

/// `x` convolved along spatial axis `axis`; see [`crate::ops::smooth_along()`].
pub fn smooth(x: Buffer, axis: usize, sd: f64) -> Buffer {
    let shape: [usize; 5] = x.meta.shape().dims();
    let out = empty(&x, shape);
    let items = elements(&x);
    let (count, dim) = units(&x, items);
    let taps = kernel(sd);
    unsafe {
        convolve::launch_unchecked(
            &x.client,
            count,
            dim,
            argument(&x),
            argument(&out),
            items,
            shape[axis + 2],
            shape[axis + 3..].iter().product::<usize>(),
            taps.len(),
            taps[0],
            (-0.5 / (sd * sd)) as f32,
        );
    }
    out
}

/// The weight at a distance follows from that at the centre: `centre * exp(slope * distance^2)`.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)] // What a launch passes one by one.
fn convolve(
    x: &[f32],
    out: &mut [f32],
    items: usize,
    length: usize,
    stride: usize,
    taps: usize,
    centre: f32,
    slope: f32,
) {
    if ABSOLUTE_POS >= items {
        terminate!();
    }
    let at = (ABSOLUTE_POS / stride) % length;
    let start = ABSOLUTE_POS - at * stride;
    let last = length - 1;
    let mut sum = x[ABSOLUTE_POS];
    for distance in 1..taps {
        let before = at - min(at, distance);
        let after = min(at + distance, last);
        let weight = (slope * (distance * distance) as f32).exp();
        sum += weight * (x[start + before * stride] + x[start + after * stride]);
    }
    out[ABSOLUTE_POS] = sum * centre;
}
