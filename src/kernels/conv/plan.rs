//! Everything about a convolution (or its transpose) that is known before the data: axes,
//! packed weights, and the jobs it is cut into.

use std::ops::Range;

use super::axis::{Axis, Tap};
use super::slab::Layout;

/// Bytes of a slab: about what stays in the second-level cache beside the other operands.
const SLAB_BYTES: usize = 512 << 10;

/// Part of the positions: some planes and rows of one item of the batch.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) item: usize,
    pub(super) planes: Range<usize>,
    pub(super) rows: Range<usize>,
}

/// Cuts all positions of a batch into about `wanted` jobs, or more where slabs would be too large.
///
/// Every job copies the planes around its own, so none has a single plane if it can be avoided.
pub(super) fn jobs(axes: &[Axis; 3], batch: usize, channels: usize, wanted: usize) -> Vec<Job> {
    let [depth, height, _] = axes;
    let one_row = Layout::new(axes, 1).channel / (1 + height.reach());
    let fitting = SLAB_BYTES / (size_of::<f32>() * one_row * channels.max(1));
    let fitting = fitting.saturating_sub(height.reach()).max(4);
    let row_ranges = split(height.positions(), height.positions().div_ceil(fitting));
    let parts = wanted.div_ceil((batch * row_ranges.len()).max(1));
    let parts = parts.min(depth.positions().div_ceil(2));
    let plane_ranges = split(depth.positions(), parts);
    let mut jobs = Vec::with_capacity(batch * row_ranges.len() * plane_ranges.len());
    for item in 0..batch {
        for planes in &plane_ranges {
            jobs.extend(row_ranges.iter().map(|rows| Job {
                item,
                planes: planes.clone(),
                rows: rows.clone(),
            }));
        }
    }
    jobs
}

/// `0..len` in `parts` ranges of about the same length, none of them empty.
fn split(len: usize, parts: usize) -> Vec<Range<usize>> {
    let parts = parts.clamp(1, len.max(1));
    (0..parts)
        .map(|part| part * len / parts..(part + 1) * len / parts)
        .collect()
}

/// Weights as numbers `target * target_stride + source * source_stride + tap`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights<'a> {
    pub(super) values: &'a [f32],
    pub(super) target_stride: usize,
    pub(super) source_stride: usize,
}

/// Target voxels that share their parity along d and h.
#[derive(Debug)]
pub(super) struct Phase {
    /// Target index along d and h is `phases * position + parity`.
    pub(super) parity: [usize; 2],
    /// The same for every parity along w.
    pub(super) columns: Vec<Column>,
}

/// Target voxels that share their parity along every axis.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) taps: Vec<[Tap; 3]>,
    /// For each block of target channels: `[source channel][tap][channel of the block]`.
    pub(super) weights: Vec<Vec<f32>>,
}

/// A convolution or its transpose, ready to run.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) axes: [Axis; 3],
    pub(super) source_channels: usize,
    pub(super) target_channels: usize,
    /// Target channels that are computed together.
    pub(super) blocks: Vec<Range<usize>>,
    pub(super) phases: Vec<Phase>,
}

impl Plan {
    /// Packs the weights for blocks of at most `width` target channels.
    pub(super) fn new(
        axes: [Axis; 3],
        source_channels: usize,
        target_channels: usize,
        weights: Weights,
        width: usize,
    ) -> Self {
        let blocks = blocks(target_channels, width);
        let column = |taps: Vec<[Tap; 3]>| Column {
            weights: blocks
                .iter()
                .map(|block| pack(weights, source_channels, &taps, block.clone()))
                .collect(),
            taps,
        };
        let mut phases = Vec::new();
        for (d, depth) in axes[0].phases.iter().enumerate() {
            for (h, height) in axes[1].phases.iter().enumerate() {
                let taps = axes[2].phases.iter().map(|w| product(depth, height, w));
                phases.push(Phase {
                    parity: [d, h],
                    columns: taps.map(column).collect(),
                });
            }
        }
        Self {
            axes,
            source_channels,
            target_channels,
            blocks,
            phases,
        }
    }
}

/// `0..channels` in blocks of `width` and a rest.
pub(super) fn blocks(channels: usize, width: usize) -> Vec<Range<usize>> {
    let first = (0..channels).step_by(width);
    first
        .map(|first| first..channels.min(first + width))
        .collect()
}

/// Taps of all axes together, d slowest.
pub(super) fn product(depth: &[Tap], height: &[Tap], width: &[Tap]) -> Vec<[Tap; 3]> {
    let mut taps = Vec::with_capacity(depth.len() * height.len() * width.len());
    for &d in depth {
        for &h in height {
            taps.extend(width.iter().map(|&w| [d, h, w]));
        }
    }
    taps
}

/// Weights of one block of target channels in the order in which the tile reads them.
fn pack(weights: Weights, sources: usize, taps: &[[Tap; 3]], block: Range<usize>) -> Vec<f32> {
    let mut packed = Vec::with_capacity(sources * taps.len() * block.len());
    for source in 0..sources {
        for [d, h, w] in taps {
            let tap = (d.weight * 3 + h.weight) * 3 + w.weight;
            let at = source * weights.source_stride + tap;
            packed.extend(
                block
                    .clone()
                    .map(|target| weights.values[target * weights.target_stride + at]),
            );
        }
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_cover_every_position_once() {
        let axes = [(5, 3), (37, 3), (50, 3)].map(|(n, k)| Axis::convolution(n, k, 1));
        let mut seen = vec![0; 2 * 5 * 37];
        let jobs = jobs(&axes, 2, 64, 7);
        assert!(jobs.len() >= 6);
        for job in jobs {
            for plane in job.planes {
                for row in job.rows.clone() {
                    seen[(job.item * 5 + plane) * 37 + row] += 1;
                }
            }
        }
        assert!(seen.iter().all(|&count| count == 1));
    }
}
