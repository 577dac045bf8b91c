//! The register tile of the convolution: some channels times some vectors of positions.

use std::ops::Range;

use super::simd::Simd;

/// What a tile reads, besides its own position.
#[derive(Clone, Copy)]
pub(super) struct Operands<'a> {
    /// Padded source planes, `[channel][...]`.
    pub(super) slab: &'a [f32],
    /// Numbers from one channel of the slab to the next.
    pub(super) channel_stride: usize,
    /// Source channels.
    pub(super) channels: usize,
    /// Where each tap reads, from the position, in its channel.
    pub(super) taps: &'a [usize],
    /// `[source channel][tap][target channel of this block]`.
    pub(super) weights: &'a [f32],
}

impl Operands<'_> {
    /// Panics unless tiles of `width` target channels may read positions `0..positions`.
    pub(super) fn check(&self, width: usize, positions: usize) {
        assert_eq!(self.weights.len(), self.channels * self.taps.len() * width);
        let furthest = self.taps.iter().max().copied().unwrap_or(0);
        let last = (self.channels.max(1) - 1) * self.channel_stride + furthest + positions;
        assert!(last <= self.slab.len(), "slab too short");
    }
}

/// Sums of `C` target channels at `N` vectors of positions from `position` on, begun at `start`.
///
/// # Safety
/// `operands.check(C, position + N * S::LANES)` must have passed.
#[inline(always)]
pub(super) unsafe fn tile<S: Simd, const C: usize, const N: usize>(
    simd: S,
    operands: Operands,
    position: usize,
    start: &[f32],
) -> [[S::V; N]; C] {
    let mut sums = [[simd.splat(0.0); N]; C];
    for (sum, &start) in sums.iter_mut().zip(&start[..C]) {
        *sum = [simd.splat(start); N];
    }
    let mut weights = operands.weights.as_ptr();
    let slab = operands.slab.as_ptr();
    for channel in 0..operands.channels {
        for &tap in operands.taps {
            // SAFETY: `check` proved that every tap of every channel lies in the slab and that
            // the weights hold C numbers for each of them.
            unsafe {
                let source = slab.add(channel * operands.channel_stride + position + tap);
                let mut values = [simd.splat(0.0); N];
                for (v, value) in values.iter_mut().enumerate() {
                    *value = simd.load(source.add(v * S::LANES));
                }
                for (c, sum) in sums.iter_mut().enumerate() {
                    let weight = simd.splat(*weights.add(c));
                    for (sum, &value) in sum.iter_mut().zip(&values) {
                        *sum = simd.mul_add(weight, value, *sum);
                    }
                }
                weights = weights.add(C);
            }
        }
    }
    sums
}

/// Adds to `totals` `[C][T]` the dot products over `positions` of `C` rows of `gradient` (every
/// `pitch` numbers) with the source shifted by each of `T` taps.
#[inline(always)]
pub(super) fn dots<S: Simd, const C: usize, const T: usize>(
    simd: S,
    source: &[f32],
    gradient: &[f32],
    pitch: usize,
    positions: Range<usize>,
    taps: &[usize; T],
    totals: &mut [f32],
) {
    let furthest = taps.iter().max().copied().unwrap_or(0);
    assert!(positions.len().is_multiple_of(S::LANES));
    assert!(furthest + positions.end <= source.len(), "slab too short");
    assert!((C - 1) * pitch + positions.end <= gradient.len());
    let mut sums = [[simd.splat(0.0); T]; C];
    for position in positions.step_by(S::LANES) {
        // SAFETY: the checks above cover every tap and every row up to `positions.end`.
        unsafe {
            let source = source.as_ptr().add(position);
            let gradient = gradient.as_ptr().add(position);
            // The shorter side stays in registers, the other one passes by.
            if T < C {
                let mut values = [simd.splat(0.0); T];
                for (value, &tap) in values.iter_mut().zip(taps) {
                    *value = simd.load(source.add(tap));
                }
                for (c, sums) in sums.iter_mut().enumerate() {
                    let factor = simd.load(gradient.add(c * pitch));
                    for (sum, &value) in sums.iter_mut().zip(&values) {
                        *sum = simd.mul_add(factor, value, *sum);
                    }
                }
            } else {
                let mut factors = [simd.splat(0.0); C];
                for (c, factor) in factors.iter_mut().enumerate() {
                    *factor = simd.load(gradient.add(c * pitch));
                }
                for (t, &tap) in taps.iter().enumerate() {
                    let value = simd.load(source.add(tap));
                    for (sums, &factor) in sums.iter_mut().zip(&factors) {
                        sums[t] = simd.mul_add(factor, value, sums[t]);
                    }
                }
            }
        }
    }
    simd.add_sums(sums.as_flattened(), totals);
}
