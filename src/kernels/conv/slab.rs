//! Zero-padded copies of source planes, laid out so that every tap is one offset.
//!
//! A slab holds `[channel][slot][parity of row][parity of column][row][pitch]`. The slots are a
//! ring: padded plane z lives in slot `z % slots`, so a job that walks along d copies each plane
//! once. Along an axis of step 2 the padded voxels are split by parity, so that neighbouring
//! positions read neighbouring numbers. Positions of a plane are numbered `row * pitch + column`:
//! the columns past the last one give sums nobody reads.

use super::axis::{Axis, Tap};
use super::simd::MAX_LANES;

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
        let pitch = width.positions() + width.reach();
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
        channels * self.channel + MAX_LANES
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

    /// Copies padded plane `z` of all channels of one item, for positions from `first_row` on.
    pub(super) fn fill(
        &self,
        axes: &[Axis; 3],
        source: &[f32],
        z: usize,
        first_row: usize,
        slab: &mut [f32],
    ) {
        let [depth, height, width] = axes;
        let volume = depth.source * height.source * width.source;
        let plane = depth.source_at(z);
        for (channel, source) in source.chunks_exact(volume).enumerate() {
            let start = channel * self.channel + z % self.slots * self.plane;
            let mut rows = slab[start..start + self.plane].chunks_exact_mut(self.pitch);
            for row_parity in 0..height.step {
                for column_parity in 0..width.step {
                    for (row, target) in (0..self.rows).zip(&mut rows) {
                        let padded = (first_row + row) * height.step + row_parity;
                        match plane.zip(height.source_at(padded)) {
                            Some((plane, row)) => {
                                let at = (plane * height.source + row) * width.source;
                                let source = &source[at..at + width.source];
                                copy_row(width, column_parity, source, target);
                            }
                            None => target.fill(0.0),
                        }
                    }
                }
            }
        }
    }
}

/// Copies the padded columns of one parity of a row.
fn copy_row(width: &Axis, parity: usize, source: &[f32], target: &mut [f32]) {
    let zeros = width.padding.saturating_sub(parity).div_ceil(width.step);
    let first = zeros * width.step + parity - width.padding;
    let inside = source.len().saturating_sub(first).div_ceil(width.step);
    let inside = inside.min(target.len() - zeros);
    let (before, rest) = target.split_at_mut(zeros);
    let (copied, after) = rest.split_at_mut(inside);
    before.fill(0.0);
    after.fill(0.0);
    if width.step == 1 {
        copied.copy_from_slice(&source[first..first + inside]);
    } else if inside > 0 {
        let source = source[first..].iter().step_by(width.step);
        for (target, source) in copied.iter_mut().zip(source) {
            *target = *source;
        }
    }
}
