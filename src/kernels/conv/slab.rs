//! Zero-padded copies of source planes, laid out so that every tap is one offset.
//!
//! A slab holds `[channel][slot][parity of row][parity of column][row][pitch]`. The slots are a
//! ring: padded plane z lives in slot `z % slots`, so a job that walks along d copies each plane
//! once. Along an axis of step 2 the padded voxels are split by parity, so that neighbouring
//! positions read neighbouring numbers. Positions of a plane are numbered `row * pitch + column`:
//! the columns past the last one give sums nobody reads. The zeros after a row are those before
//! the next one where both are needed.

use super::axis::{Axis, Tap};
use super::simd::{MAX_LANES, Simd, Task, copy, deinterleave, prefetch};

/// Numbers after the last row: vectors of positions may end late, and taps move them further.
const END: usize = 2 * MAX_LANES;

/// Where things are in a slab.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// Numbers from one row to the next.
    pub(super) pitch: usize,
    /// Numbers from one channel to the next.
    pub(super) channel: usize,
    rows: usize,
    plane: usize,
    slots: usize,
}

impl Layout {
    /// Layout for `rows` rows of positions.
    pub(super) fn new([depth, height, width]: &[Axis; 3], rows: usize) -> Self {
        let padded = width.positions() + width.reach();
        let after = padded.saturating_sub(width.padding + width.source);
        let shared = if width.step == 1 {
            after.min(width.padding)
        } else {
            0
        };
        let pitch = padded - shared;
        let rows = rows + height.reach();
        let plane = height.step * width.step * rows * pitch;
        let slots = depth.window();
        Self {
            pitch,
            channel: slots * plane,
            rows,
            plane,
            slots,
        }
    }

    /// Numbers in a slab of `channels` that is read in whole vectors.
    pub(super) fn len(&self, channels: usize) -> usize {
        channels * self.channel + END
    }

    /// Sets what is read past the last row to zero: the padding after it, then unused lanes.
    pub(super) fn clear_end(&self, slab: &mut [f32]) {
        let end = slab.len() - END;
        slab[end..].fill(0.0);
    }

    /// Numbers for the positions of the rows, in whole vectors of any set of instructions.
    pub(super) fn positions(&self, rows: usize) -> usize {
        (rows * self.pitch).next_multiple_of(MAX_LANES)
    }

    /// Offsets of the taps from the position, for the plane of positions `plane`.
    pub(super) fn taps(&self, axes: &[Axis; 3], plane: usize, taps: &[[Tap; 3]]) -> Vec<usize> {
        let [depth, height, width] = axes;
        let offset = |[d, h, w]: &[Tap; 3]| {
            let slot = (depth.step * plane + d.offset) % self.slots;
            let parity = (h.offset % height.step) * width.step + w.offset % width.step;
            let row = parity * self.rows + h.offset / height.step;
            slot * self.plane + row * self.pitch + w.offset / width.step
        };
        taps.iter().map(offset).collect()
    }
}

/// Copies padded planes of all channels of one item into a slab.
pub(super) struct Fill<'a> {
    pub(super) layout: &'a Layout,
    pub(super) axes: &'a [Axis; 3],
    /// `[channel][source voxels]`.
    pub(super) source: &'a [f32],
    /// Padded planes.
    pub(super) planes: std::ops::Range<usize>,
    /// First row of positions the slab serves.
    pub(super) first_row: usize,
    pub(super) slab: &'a mut [f32],
}

impl Task for Fill<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let [depth, height, width] = self.axes;
        let (layout, pitch) = (self.layout, self.layout.pitch);
        let (row, volume) = (width.source, height.source * width.source);
        let next_channel = depth.source * volume;
        let channels = self.source.chunks_exact(next_channel);
        for (source, slab) in channels.zip(self.slab.chunks_exact_mut(layout.channel)) {
            for z in self.planes.clone() {
                let plane = depth.source_at(z).map(|z| &source[z * volume..][..volume]);
                let slot = &mut slab[z % layout.slots * layout.plane..][..layout.plane];
                let parities = slot.chunks_exact_mut(width.step * layout.rows * pitch);
                for (parity, rows) in parities.enumerate() {
                    let (first, second) = rows.split_at_mut(layout.rows * pitch);
                    let mut second = second.chunks_exact_mut(pitch);
                    for (y, first) in (self.first_row..).zip(first.chunks_exact_mut(pitch)) {
                        let second = second.next().unwrap_or_default();
                        let y = height.source_at(y * height.step + parity);
                        let Some((plane, y)) = plane.zip(y) else {
                            first.fill(0.0);
                            second.fill(0.0);
                            continue;
                        };
                        let source = &plane[y * row..][..row];
                        prefetch(simd, source, next_channel);
                        if width.step == 1 {
                            place(first, width.padding, row, |to| copy(simd, source, to));
                        } else {
                            split_row(simd, source, width.padding, first, second);
                        }
                    }
                }
            }
        }
    }
}

/// Writes `len` numbers of `row` from `at` on, and zeros around them.
#[inline(always)]
fn place(row: &mut [f32], at: usize, len: usize, write: impl FnOnce(&mut [f32])) {
    let (before, rest) = row.split_at_mut(at);
    let (inside, after) = rest.split_at_mut(len);
    for zero in before.iter_mut().chain(after) {
        *zero = 0.0;
    }
    write(inside);
}

/// Splits a row by the parity of the padded column: `first` gets the even ones.
#[inline(always)]
fn split_row<S: Simd>(
    simd: S,
    source: &[f32],
    padding: usize,
    first: &mut [f32],
    second: &mut [f32],
) {
    let (even, odd) = if padding.is_multiple_of(2) {
        (first, second)
    } else {
        (second, first)
    };
    let pairs = source.len() / 2;
    place(even, padding / 2, source.len() - pairs, |even| {
        place(odd, padding.div_ceil(2), pairs, |odd| {
            deinterleave(simd, source, even, odd);
        });
    });
}
