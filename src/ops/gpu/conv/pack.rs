//! Weights in the order in which the kernels read them.

use cubecl::prelude::*;

use super::super::units;
use super::{Buffer, LANE, argument, batch, channels, empty, extent};
use crate::kernels::Extent;

/// `[in, tap, out]`, `out` filled with zeros up to a multiple of [`LANE`].
pub struct Weights {
    pub packed: Buffer,
    pub out_channels: usize,
    /// Taps along each axis.
    pub kernel: Extent,
}

impl Weights {
    /// Of a tensor `[out, in, 3 or 1, 3, 3]`, its input channels from `first` on.
    pub fn as_stored(weight: &Buffer, first: usize) -> Self {
        let inside = channels(weight) - first;
        Self::pack(weight, inside, batch(weight), first, false)
    }

    /// What makes the gradient with respect to the input channels from `first` on out of the output's: channels
    /// exchanged, taps in reverse.
    pub fn turned(weight: &Buffer, first: usize) -> Self {
        let outside = channels(weight) - first;
        Self::pack(weight, batch(weight), outside, first, true)
    }

    fn pack(weight: &Buffer, inside: usize, outside: usize, first: usize, turned: bool) -> Self {
        let kernel = extent(weight);
        let taps = kernel.iter().product::<usize>();
        let padded = padded(outside);
        let packed = empty(weight, [inside, taps, padded]);
        let items = inside * taps * padded;
        let (count, dim) = units(weight, items);
        unsafe {
            pack::launch_unchecked(
                &weight.client,
                count,
                dim,
                argument(weight),
                argument(&packed),
                items,
                taps,
                outside,
                padded,
                channels(weight),
                first,
                turned,
            );
        }
        Self {
            packed,
            out_channels: outside,
            kernel,
        }
    }
}

/// Output channels, and zeros behind them, of packed weights.
pub fn padded(out_channels: usize) -> usize {
    out_channels.next_multiple_of(LANE)
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)] // What a launch passes one by one.
fn pack(
    weight: &[f32],
    packed: &mut [f32],
    items: usize,
    taps: usize,
    outside: usize,
    padded: usize,
    stored_in: usize,
    first: usize,
    #[comptime] turned: bool,
) {
    if ABSOLUTE_POS >= items {
        terminate!();
    }
    let out = ABSOLUTE_POS % padded;
    let tap = (ABSOLUTE_POS / padded) % taps;
    let inside = ABSOLUTE_POS / (padded * taps);
    let mut value = 0.0f32;
    if out < outside {
        if comptime!(turned) {
            value = weight[(inside * stored_in + first + out) * taps + taps - 1 - tap];
        } else {
            value = weight[(out * stored_in + first + inside) * taps + tap];
        }
    }
    packed[ABSOLUTE_POS] = value;
}
