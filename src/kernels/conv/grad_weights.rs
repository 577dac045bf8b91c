//! Gradients of the weights and the bias: dot products of shifted inputs with the gradient.
//!
//! The positions are cut into groups that depend on the shapes only; each group has its own sums,
//! and they are added in order, so the result does not depend on the number of threads.

use std::ops::Range;

use rayon::prelude::*;

use super::ConvSpec;
use super::axis::{Axis, Tap};
use super::buffer::Buffers;
use super::correlate::{Operands, correlate, taps_together};
use super::forward::axes;
use super::plan::{Job, blocks, jobs, product};
use super::simd::{Level, MAX_LANES, Simd, Task, copy, prefetch};
use super::slab::{Fill, Layout};

/// Largest number of groups of jobs, each with its own sums.
const GROUPS: usize = 32;

/// Numbers in the sums of all groups together, where that still makes 8 groups.
const SUMS: usize = 1 << 20;

/// Positions whose gradients, for one block of channels, stay in the first-level cache.
const POSITIONS: usize = 1024;

pub(super) fn run(
    level: Level,
    spec: &ConvSpec,
    x: &[f32],
    grad_out: &[f32],
    grad_w: &mut [f32],
    grad_bias: Option<&mut [f32]>,
) {
    spec.check();
    assert_eq!(x.len(), spec.input_len(), "input of another shape");
    assert_eq!(
        grad_out.len(),
        spec.output_len(),
        "gradient of another shape"
    );
    assert_eq!(grad_w.len(), spec.weights_len(), "weights of another shape");
    let axes = axes(spec);
    let [d, h, w] = [0, 1, 2].map(|axis| &axes[axis].phases[0]);
    let (jobs, together) = cut(spec, &axes);
    let groups = jobs.par_chunks(together).with_max_len(1);
    let groups: Vec<Vec<f32>> = groups
        .map(|group| {
            let mut gradient = Gradient {
                level,
                spec,
                axes: &axes,
                taps: product(d, h, w),
                blocks: blocks(spec.out_channels, level.channels()),
                sums: vec![0.0; spec.weights_len() + spec.out_channels],
            };
            Buffers::with(|buffers| {
                for job in group {
                    gradient.add(job, x, grad_out, buffers);
                }
            });
            gradient.sums
        })
        .collect();
    let sums = add_in_order(&groups, spec.weights_len() + spec.out_channels);
    unpack(level, spec, &sums, grad_w);
    if let Some(grad_bias) = grad_bias {
        grad_bias.copy_from_slice(&sums[spec.weights_len()..]);
    }
}

/// The jobs, and how many of them make a group.
fn cut(spec: &ConvSpec, axes: &[Axis; 3]) -> (Vec<Job>, usize) {
    let groups = groups(spec.weights_len());
    // The slab shares its cache with one plane of the gradient.
    let planes = axes[0].window() * axes[1].step * axes[2].step;
    let channels = spec.in_channels + spec.out_channels.div_ceil(planes);
    let jobs = jobs(axes, spec.batch, channels, groups);
    let together = jobs.len().div_ceil(groups).max(1);
    (jobs, together)
}

/// Number of groups, where each has so many sums.
pub(super) fn groups(sums: usize) -> usize {
    (SUMS / sums.max(1)).clamp(8, GROUPS)
}

/// The sum of all groups, each element in the order of the groups.
pub(super) fn add_in_order(groups: &[Vec<f32>], len: usize) -> Vec<f32> {
    const PIECE: usize = 4096;
    let mut total = vec![0.0; len];
    let pieces = total.par_chunks_mut(PIECE).enumerate();
    pieces.for_each(|(piece, total)| {
        for group in groups {
            let part = &group[piece * PIECE..][..total.len()];
            for (total, part) in total.iter_mut().zip(part) {
                *total += part;
            }
        }
    });
    total
}

/// Brings `[block][in channel][taps together][channel of the block][tap]` to the order of weights.
fn unpack(level: Level, spec: &ConvSpec, packed: &[f32], grad_w: &mut [f32]) {
    let taps = spec.kernel_depth * 9;
    let row = spec.in_channels * taps;
    for block in blocks(spec.out_channels, level.channels()) {
        let together = taps_together(level, block.len());
        let values = &packed[block.start * row..block.end * row];
        for (index, values) in values.chunks_exact(together * block.len()).enumerate() {
            for (channel, values) in block.clone().zip(values.chunks_exact(together)) {
                grad_w[channel * row + index * together..][..together].copy_from_slice(values);
            }
        }
    }
}

/// Sums over the jobs of one group.
struct Gradient<'a> {
    level: Level,
    spec: &'a ConvSpec,
    axes: &'a [Axis; 3],
    taps: Vec<[Tap; 3]>,
    blocks: Vec<Range<usize>>,
    /// Weights in the order of [`unpack`], then the bias.
    sums: Vec<f32>,
}

impl Gradient<'_> {
    /// Adds one job: walks along d, copying each plane of the input once.
    fn add(&mut self, job: &Job, x: &[f32], grad_out: &[f32], buffers: &mut Buffers) {
        let (spec, axes) = (self.spec, self.axes);
        let item = x.len() / spec.batch;
        let x = &x[job.item * item..][..item];
        let layout = Layout::new(axes, job.rows.len());
        let pitch = layout.positions(job.rows.len());
        let [slab, tile] = buffers.get([layout.len(spec.in_channels), spec.out_channels * pitch]);
        layout.clear_end(slab);
        let mut filled = 0;
        for plane in job.planes.clone() {
            let first = axes[0].step * plane;
            let planes = filled.max(first)..first + axes[0].window();
            filled = planes.end;
            self.level.run(Fill {
                layout: &layout,
                axes,
                source: x,
                planes,
                first_row: job.rows.start,
                slab,
            });
            self.level.run(CopyGradient {
                spec,
                job,
                plane,
                grad_out,
                tile,
                pitch,
                row_pitch: layout.pitch,
                bias: &mut self.sums[spec.weights_len()..],
            });
            self.correlate(plane, &layout, slab, tile, pitch);
        }
    }

    /// All channels and taps of one plane.
    fn correlate(
        &mut self,
        plane: usize,
        layout: &Layout,
        slab: &[f32],
        tile: &[f32],
        pitch: usize,
    ) {
        let taps = layout.taps(self.axes, plane, &self.taps);
        let vectors = pitch / MAX_LANES;
        let parts = pitch.div_ceil(POSITIONS);
        for part in 0..parts {
            let edge = |part: usize| part * vectors / parts * MAX_LANES;
            for block in &self.blocks {
                let row = self.spec.in_channels * taps.len();
                let operands = Operands {
                    slab,
                    channel_stride: layout.channel,
                    taps: &taps,
                    gradient: &tile[block.start * pitch..block.end * pitch],
                    pitch,
                    positions: edge(part)..edge(part + 1),
                };
                let totals = &mut self.sums[block.start * row..block.end * row];
                correlate(self.level, block.len(), operands, totals);
            }
        }
    }
}

/// Lays the gradient of one plane out as the positions are, with zeros between the rows, and
/// adds it to the gradient of the bias.
struct CopyGradient<'a> {
    spec: &'a ConvSpec,
    job: &'a Job,
    plane: usize,
    grad_out: &'a [f32],
    /// `[channel][pitch]`.
    tile: &'a mut [f32],
    pitch: usize,
    row_pitch: usize,
    bias: &'a mut [f32],
}

impl Task for CopyGradient<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let [depth, height, width] = self.spec.output();
        let channels = self.tile.chunks_exact_mut(self.pitch).zip(self.bias);
        for (channel, (tile, bias)) in channels.enumerate() {
            let volume = self.job.item * self.spec.out_channels + channel;
            let first = (volume * depth + self.plane) * height;
            let end = self.job.rows.len() * self.row_pitch;
            let rows = tile[..end].chunks_exact_mut(self.row_pitch);
            for (row, target) in self.job.rows.clone().zip(rows) {
                let source = &self.grad_out[(first + row) * width..][..width];
                prefetch(simd, source, depth * height * width);
                copy(simd, source, &mut target[..width]);
                for zero in &mut target[width..] {
                    *zero = 0.0;
                }
            }
            tile[end..].fill(0.0);
            *bias += sum(simd, tile);
        }
    }
}

/// Sum of whole vectors.
#[inline(always)]
pub(super) fn sum<S: Simd>(simd: S, values: &[f32]) -> f32 {
    let mut sums = simd.splat(0.0);
    let one = simd.splat(1.0);
    for vector in values.chunks_exact(S::LANES) {
        // SAFETY: the chunk is one vector long.
        sums = simd.mul_add(unsafe { simd.load(vector.as_ptr()) }, one, sums);
    }
    let mut total = [0.0];
    simd.add_sums(&[sums], &mut total);
    total[0]
}
