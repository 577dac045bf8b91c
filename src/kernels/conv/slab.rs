//! Zero-padded copies of source planes, laid out so that every tap is one offset.
//!
//! A slab holds `[channel][slot][parity of row][parity of column][row][pitch]`. The slots are a
//! ring: padded plane z lives in slot `z % slots`, so a job that walks along d copies each plane
//! once. Along an axis of step 2 the padded voxels are split by parity, so that neighbouring
//! positions read neighbouring numbers. Positions of a plane are numbered `row * pitch + column`:
//! the columns past the last one give sums nobody reads. The zeros after a row are those before
//! the next one where both are needed.

use super::axis::{Axis, Tap};
use super::simd::{MAX_LANES, Simd, Task};

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

    /// Offset of a tap from the position, for the plane of positions `plane`.
    pub(super) fn tap(&self, axes: &[Axis; 3], plane: usize, taps: &[Tap; 3]) -> usize {
        let [depth, height, width] = axes;
        let slot = (depth.step * plane + taps[0].offset) % self.slots;
        let (row, column) = (taps[1].offset, taps[2].offset);
        let parity = (row % height.step) * width.step + column % width.step;
        slot * self.plane
            + (parity * self.rows + row / height.step) * self.pitch
            + column / width.step
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
    fn run<S: Simd>(self, _: S) {
        let [depth, height, width] = self.axes;
        let layout = self.layout;
        let (row, volume) = (width.source, height.source * width.source);
        let channels = self.source.chunks_exact(depth.source * volume);
        for (source, slab) in channels.zip(self.slab.chunks_exact_mut(layout.channel)) {
            for z in self.planes.clone() {
                let plane = depth.source_at(z).map(|z| &source[z * volume..][..volume]);
                let slot = &mut slab[z % layout.slots * layout.plane..][..layout.plane];
                for (index, target) in slot.chunks_exact_mut(layout.pitch).enumerate() {
                    let (parity, y) = (index / layout.rows, index % layout.rows);
                    let y = (self.first_row + y) * height.step + parity / width.step;
                    match plane.zip(height.source_at(y)) {
                        Some((plane, y)) => {
                            copy_row(width, parity % width.step, &plane[y * row..][..row], target);
                        }
                        None => target.fill(0.0),
                    }
                }
            }
        }
    }
}

/// Copies the padded columns of one parity of a row.
#[inline(always)]
fn copy_row(width: &Axis, parity: usize, source: &[f32], target: &mut [f32]) {
    let zeros = width.padding.saturating_sub(parity).div_ceil(width.step);
    let source = &source[(zeros * width.step + parity - width.padding).min(source.len())..];
    let inside = source.len().div_ceil(width.step).min(target.len() - zeros);
    let (before, rest) = target.split_at_mut(zeros);
    let (copied, after) = rest.split_at_mut(inside);
    before.fill(0.0);
    after.fill(0.0);
    if width.step == 1 {
        copied.copy_from_slice(&source[..inside]);
    } else {
        let (pairs, last) = source.as_chunks::<2>();
        let firsts = pairs.iter().map(|pair| pair[0]).chain(last.iter().copied());
        for (target, source) in copied.iter_mut().zip(firsts) {
            *target = source;
        }
    }
}
