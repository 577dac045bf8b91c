//! Dot products of one block of gradient channels with every channel and tap of the slab.

use std::ops::Range;

use super::simd::{Level, Simd, Task};
use super::tile::dots;

/// What a block reads.
#[derive(Clone)]
pub(super) struct Operands<'a> {
    /// Padded input planes, `[channel][...]`.
    pub(super) slab: &'a [f32],
    /// Numbers from one channel of the slab to the next.
    pub(super) channel_stride: usize,
    /// Where each tap reads, from the position, in its channel.
    pub(super) taps: &'a [usize],
    /// `[channel of the block][pitch]`.
    pub(super) gradient: &'a [f32],
    pub(super) pitch: usize,
    /// The positions to sum over, in whole vectors.
    pub(super) positions: Range<usize>,
}

/// Taps that share a tile with `width` gradient channels; divides the number of taps.
pub(super) fn taps_together(level: Level, width: usize) -> usize {
    if level.channels() == 8 && width <= 3 {
        9
    } else {
        3
    }
}

/// Adds to `totals` `[input channel][taps together][width][tap]`.
pub(super) fn correlate(level: Level, width: usize, operands: Operands, totals: &mut [f32]) {
    let block = (operands, totals);
    match (taps_together(level, width), width) {
        (9, 1) => level.run(Correlate::<1, 9>(block)),
        (9, 2) => level.run(Correlate::<2, 9>(block)),
        (9, _) => level.run(Correlate::<3, 9>(block)),
        (_, 1) => level.run(Correlate::<1, 3>(block)),
        (_, 2) => level.run(Correlate::<2, 3>(block)),
        (_, 3) => level.run(Correlate::<3, 3>(block)),
        (_, 4) => level.run(Correlate::<4, 3>(block)),
        (_, 5) => level.run(Correlate::<5, 3>(block)),
        (_, 6) => level.run(Correlate::<6, 3>(block)),
        (_, 7) => level.run(Correlate::<7, 3>(block)),
        (_, _) => level.run(Correlate::<8, 3>(block)),
    }
}

/// [`correlate`] for `C` gradient channels, `T` taps at a time.
struct Correlate<'a, const C: usize, const T: usize>((Operands<'a>, &'a mut [f32]));

impl<const C: usize, const T: usize> Task for Correlate<'_, C, T> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (operands, totals) = self.0;
        let groups = operands.taps.as_chunks::<T>().0;
        let channels = totals.chunks_exact_mut(C * operands.taps.len());
        for (channel, totals) in channels.enumerate() {
            let source = &operands.slab[channel * operands.channel_stride..];
            for (taps, totals) in groups.iter().zip(totals.chunks_exact_mut(C * T)) {
                dots::<S, C, T>(
                    simd,
                    source,
                    operands.gradient,
                    operands.pitch,
                    operands.positions.clone(),
                    taps,
                    totals,
                );
            }
        }
    }
}
