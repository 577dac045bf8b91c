//! Gradients of the weights and the bias: dot products of shifted inputs with the gradient.
//!
//! The positions are cut into groups that depend on the shapes only; each group has its own sums,
//! and they are added in order, so the result does not depend on the number of threads.

use rayon::prelude::*;

use super::ConvSpec;
use super::axis::Axis;
use super::buffer::Buffers;
use super::forward::axes;
use super::plan::{Job, jobs, product};
use super::simd::{Level, MAX_LANES, Simd, Task};
use super::slab::Layout;
use super::tile::dots;

/// Largest number of groups of jobs, each with its own sums.
const GROUPS: usize = 64;

/// Bytes of the gradient that one block of channels keeps in the first-level cache.
const BLOCK_BYTES: usize = 32 << 10;

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
    let list = jobs(&axes, spec.batch, spec.in_channels, GROUPS);
    let sums: Vec<Vec<f32>> = list
        .par_chunks(list.len().div_ceil(GROUPS).max(1))
        .with_max_len(1)
        .map(|group| {
            let mut sums = vec![0.0; spec.weights_len() + spec.out_channels];
            for job in group {
                let correlate = Correlate {
                    spec,
                    axes: &axes,
                    job,
                    x,
                    grad_out,
                    sums: &mut sums,
                };
                Buffers::with(|buffers| level.run((correlate, buffers)));
            }
            sums
        })
        .collect();
    add_in_order(&sums, 0, grad_w);
    if let Some(grad_bias) = grad_bias {
        assert_eq!(grad_bias.len(), spec.out_channels, "bias of another shape");
        add_in_order(&sums, spec.weights_len(), grad_bias);
    }
}

/// `total[i]` = the sum over all groups of their element `first + i`.
fn add_in_order(groups: &[Vec<f32>], first: usize, total: &mut [f32]) {
    const PIECE: usize = 4096;
    let pieces = total.par_chunks_mut(PIECE).enumerate();
    pieces.for_each(|(piece, total)| {
        total.fill(0.0);
        for group in groups {
            let part = &group[first + piece * PIECE..][..total.len()];
            for (total, part) in total.iter_mut().zip(part) {
                *total += part;
            }
        }
    });
}

/// One job: adds its part of both gradients to `sums` (weights, then bias).
struct Correlate<'a> {
    spec: &'a ConvSpec,
    axes: &'a [Axis; 3],
    job: &'a Job,
    x: &'a [f32],
    grad_out: &'a [f32],
    sums: &'a mut [f32],
}

impl Task for (Correlate<'_>, &mut Buffers) {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (mut correlate, buffers) = self;
        let layout = Layout::new(correlate.axes, correlate.job.rows.len());
        let positions = correlate.job.rows.len() * layout.pitch;
        let pitch = positions.next_multiple_of(MAX_LANES);
        let slab = layout.len(correlate.spec.in_channels);
        let (slab, tile) = buffers.get(slab, correlate.spec.out_channels * pitch);
        // Positions nobody asked for meet a gradient of zero, so they must hold numbers.
        slab.fill(0.0);
        correlate.planes(simd, &layout, slab, tile, pitch);
    }
}

impl Correlate<'_> {
    /// Walks along d, copying each source plane once.
    #[inline(always)]
    fn planes<S: Simd>(
        &mut self,
        simd: S,
        layout: &Layout,
        slab: &mut [f32],
        tile: &mut [f32],
        pitch: usize,
    ) {
        let depth = &self.axes[0];
        let item = self.x.len() / self.spec.batch;
        let x = &self.x[self.job.item * item..][..item];
        let [taps_d, taps_h, taps_w] = [0, 1, 2].map(|axis| &self.axes[axis].phases[0]);
        let taps = product(taps_d, taps_h, taps_w);
        let mut next = 0;
        for plane in self.job.planes.clone() {
            let end = depth.step * plane + depth.window();
            for z in next.max(depth.step * plane)..end {
                layout.fill(self.axes, x, z, self.job.rows.start, slab);
            }
            next = end;
            self.copy_gradient(plane, tile, pitch, layout.pitch);
            let offsets = taps.iter().map(|tap| layout.tap(self.axes, plane, tap));
            let offsets: Vec<usize> = offsets.collect();
            self.blocks(simd, layout.channel, &offsets, slab, tile, pitch);
        }
    }

    /// Lays the gradient of one plane out as the positions are, with zeros between the rows, and
    /// adds it to the gradient of the bias.
    #[inline(always)]
    fn copy_gradient(&mut self, plane: usize, tile: &mut [f32], pitch: usize, row_pitch: usize) {
        let [depth, height, width] = self.spec.output();
        let bias = &mut self.sums[self.spec.weights_len()..];
        for (channel, (tile, bias)) in tile.chunks_exact_mut(pitch).zip(bias).enumerate() {
            let volume = (self.job.item * self.spec.out_channels + channel) * depth + plane;
            tile.fill(0.0);
            let mut sum = 0.0f64;
            for (row, target) in self.job.rows.clone().zip(tile.chunks_mut(row_pitch)) {
                let at = (volume * height + row) * width;
                let source = &self.grad_out[at..at + width];
                target[..width].copy_from_slice(source);
                sum += f64::from(source.iter().sum::<f32>());
            }
            *bias += sum as f32;
        }
    }

    /// All blocks of output channels, input channels and taps over one plane.
    #[inline(always)]
    fn blocks<S: Simd>(
        &mut self,
        simd: S,
        channel_stride: usize,
        taps: &[usize],
        slab: &[f32],
        tile: &[f32],
        pitch: usize,
    ) {
        let length = BLOCK_BYTES / size_of::<f32>() / S::CHANNELS;
        for start in (0..pitch).step_by(length) {
            let positions = start..pitch.min(start + length);
            for first in (0..self.spec.out_channels).step_by(S::CHANNELS) {
                let width = S::CHANNELS.min(self.spec.out_channels - first);
                let gradient = &tile[first * pitch..];
                for channel in 0..self.spec.in_channels {
                    let at = (first * self.spec.in_channels + channel) * taps.len();
                    let target = Target {
                        sums: &mut self.sums[at..],
                        stride: self.spec.in_channels * taps.len(),
                    };
                    let source = &slab[channel * channel_stride..];
                    correlate(
                        simd,
                        width,
                        source,
                        gradient,
                        pitch,
                        positions.clone(),
                        taps,
                        target,
                    );
                }
            }
        }
    }
}

/// Where the sums of a block of output channels go: one row of taps every `stride` numbers.
struct Target<'a> {
    sums: &'a mut [f32],
    stride: usize,
}

/// All taps of one input channel and `width` output channels.
#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "the innermost driver of a kernel"
)]
fn correlate<S: Simd>(
    simd: S,
    width: usize,
    source: &[f32],
    gradient: &[f32],
    pitch: usize,
    positions: std::ops::Range<usize>,
    taps: &[usize],
    target: Target,
) {
    let args = (source, gradient, pitch, positions, taps, target);
    if S::CHANNELS == 8 {
        match width {
            1 => groups::<S, 1, 9>(simd, args),
            2 => groups::<S, 2, 9>(simd, args),
            3 => groups::<S, 3, 9>(simd, args),
            4 => groups::<S, 4, 3>(simd, args),
            5 => groups::<S, 5, 3>(simd, args),
            6 => groups::<S, 6, 3>(simd, args),
            7 => groups::<S, 7, 3>(simd, args),
            _ => groups::<S, 8, 3>(simd, args),
        }
    } else {
        match width {
            1 => groups::<S, 1, 3>(simd, args),
            2 => groups::<S, 2, 3>(simd, args),
            3 => groups::<S, 3, 3>(simd, args),
            _ => groups::<S, 4, 3>(simd, args),
        }
    }
}

type Arguments<'a> = (
    &'a [f32],
    &'a [f32],
    usize,
    std::ops::Range<usize>,
    &'a [usize],
    Target<'a>,
);

/// [`correlate`] for `C` output channels, `T` taps at a time.
#[inline(always)]
fn groups<S: Simd, const C: usize, const T: usize>(
    simd: S,
    (source, gradient, pitch, positions, taps, target): Arguments,
) {
    for (group, taps) in taps.as_chunks::<T>().0.iter().enumerate() {
        let sums = dots::<S, C, T>(simd, source, gradient, pitch, positions.clone(), taps);
        for (c, sums) in sums.iter().enumerate() {
            let target = &mut target.sums[c * target.stride + group * T..][..T];
            for (target, sum) in target.iter_mut().zip(sums) {
                *target += sum;
            }
        }
    }
}
