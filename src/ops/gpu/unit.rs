//! Intensities brought to the unit interval: extremes of parts, one a cube, then all values by the widest.

use cubecl::prelude::*;

use super::sums::UNITS;
use super::{Buffer, argument, elements, empty, units};
use crate::kernels::unit::parts;

/// Lowest and highest value, clipped to [0, 1], of each part of an image, `[1, 1, 1, parts, 2]`.
pub fn ranges(x: Buffer) -> Buffer {
    let items = elements(&x);
    let parts = parts(items);
    let out = empty(&x, [1, 1, 1, parts, 2]);
    unsafe {
        extremes::launch_unchecked(
            &x.client,
            CubeCount::Static(parts as u32, 1, 1),
            CubeDim::new_1d(UNITS as u32),
            argument(&x),
            argument(&out),
            items,
        );
    }
    out
}

/// Stretches what lies between the extremes of all `ranges` to [0, 1].
pub fn stretch(x: Buffer, ranges: Buffer) -> Buffer {
    let shape: [usize; 5] = x.meta.shape().dims();
    let out = empty(&x, shape);
    let items = elements(&x);
    let (count, dim) = units(&x, items);
    unsafe {
        stretched::launch_unchecked(
            &x.client,
            count,
            dim,
            argument(&x),
            argument(&ranges),
            argument(&out),
            items,
            elements(&ranges) / 2,
        );
    }
    out
}

#[cube(launch_unchecked)]
fn extremes(x: &[f32], out: &mut [f32], items: usize) {
    let unit = UNIT_POS as usize;
    let mut low = 1.0f32;
    let mut high = 0.0f32;
    let mut at = CUBE_POS_X as usize * UNITS + unit;
    while at < items {
        let value = clamp(x[at], 0.0f32, 1.0f32);
        low = min(low, value);
        high = max(high, value);
        at += CUBE_COUNT_X as usize * UNITS;
    }
    let mut lows = Shared::<[f32]>::new_slice(UNITS);
    let mut highs = Shared::<[f32]>::new_slice(UNITS);
    lows[unit] = low;
    highs[unit] = high;
    let mut half = comptime!(UNITS / 2).runtime();
    while half > 0 {
        sync_cube();
        if unit < half {
            lows[unit] = min(lows[unit], lows[unit + half]);
            highs[unit] = max(highs[unit], highs[unit + half]);
        }
        half /= 2;
    }
    if unit == 0 {
        let part = 2 * CUBE_POS_X as usize;
        out[part] = lows[0];
        out[part + 1] = highs[0];
    }
}

#[cube(launch_unchecked)]
fn stretched(x: &[f32], ranges: &[f32], out: &mut [f32], items: usize, parts: usize) {
    if ABSOLUTE_POS >= items {
        terminate!();
    }
    let mut low = 1.0f32;
    let mut high = 0.0f32;
    for part in 0..parts {
        low = min(low, ranges[2 * part]);
        high = max(high, ranges[2 * part + 1]);
    }
    // An image of one intensity becomes dark rather than being divided by zero.
    let width = high - low;
    let scale = select(width > 0.0, 1.0 / max(width, 1e-20f32), 0.0f32);
    let value = (clamp(x[ABSOLUTE_POS], low, high) - low) * scale;
    out[ABSOLUTE_POS] = min(value, 1.0f32);
}
