//! Sums over many values: each cube makes a part, then the parts are summed, in a fixed order, so that results repeat.

use cubecl::prelude::*;

use super::{Buffer, argument};

/// Units of a cube that makes a part, a power of two.
pub const UNITS: usize = 256;
/// Cubes that share the values of a sum, at most.
const PARTS: usize = 64;

/// How many cubes share a sum of so many values.
pub fn parts(values: usize) -> usize {
    values.div_ceil(UNITS).min(PARTS)
}

/// The sum over the units of a cube of [`UNITS`].
#[cube]
pub fn over_cube(value: f32) -> f32 {
    let unit = UNIT_POS as usize;
    let mut sums = Shared::<[f32]>::new_slice(UNITS);
    sums[unit] = value;
    let mut half = comptime!(UNITS / 2).runtime();
    while half > 0 {
        sync_cube();
        if unit < half {
            sums[unit] += sums[unit + half];
        }
        half /= 2;
    }
    sync_cube();
    sums[0]
}

/// Sums of one cube of [`total`], and how many units share the parts of one.
const ITEMS: usize = 32;
const SHARES: usize = 8;

/// The sum over all parts of `[part, in, tap, out]`, written into `[out, in, tap]`; channels behind the last are left out.
pub fn total(partial: &Buffer, out: &Buffer, out_channels: usize) {
    let [parts, inside, taps, padded]: [usize; 4] = partial.meta.shape().dims();
    let items = inside * taps * padded;
    let dim = CubeDim::new_1d((ITEMS * SHARES) as u32);
    // Along several axes where one has too few.
    let units = items.div_ceil(ITEMS) * ITEMS * SHARES;
    let count = cubecl::calculate_cube_count_elemwise(&out.client, units, dim);
    unsafe {
        sum_of_parts::launch_unchecked(
            &out.client,
            count,
            dim,
            argument(partial),
            argument(out),
            items,
            parts,
            taps,
            padded,
            out_channels,
        );
    }
}

/// A cube makes [`ITEMS`] sums, each by several units.
#[cube(launch_unchecked)]
fn sum_of_parts(
    partial: &[f32],
    out: &mut [f32],
    items: usize,
    parts: usize,
    taps: usize,
    padded: usize,
    out_channels: usize,
) {
    let unit = UNIT_POS as usize;
    let item = CUBE_POS * ITEMS + unit % ITEMS;
    let mut sum = 0.0f32;
    if item < items {
        let mut part = unit / ITEMS;
        while part < parts {
            sum += partial[part * items + item];
            part += SHARES;
        }
    }
    let mut sums = Shared::<[f32]>::new_slice(comptime!(ITEMS * SHARES));
    sums[unit] = sum;
    sync_cube();
    let channel = item % padded;
    if unit < ITEMS && item < items && channel < out_channels {
        #[unroll]
        for share in 1..SHARES {
            sum += sums[unit + comptime!(share * ITEMS)];
        }
        let inside = items / (taps * padded);
        let tap = (item / padded) % taps;
        let c = item / (padded * taps);
        out[(channel * inside + c) * taps + tap] = sum;
    }
}
