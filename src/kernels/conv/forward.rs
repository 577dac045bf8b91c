//! Runs a [`Plan`]: the convolution, and (with transposed axes) the gradient of its input.

use rayon::prelude::*;

use super::ConvSpec;
use super::axis::Axis;
use super::buffer::{Buffers, SharedOutput};
use super::plan::{Job, Phase, Plan, Weights, jobs};
use super::simd::{Level, MAX_LANES, Simd, Task};
use super::slab::Layout;
use super::sweep::{Epilogue, MAX_WIDTH, sweep};
use super::tile::Operands;

pub(super) fn run(
    level: Level,
    spec: &ConvSpec,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    slope: Option<f32>,
    out: &mut [f32],
) {
    spec.check();
    assert_eq!(w.len(), spec.weights_len(), "weights of another shape");
    assert!(bias.is_none_or(|bias| bias.len() == spec.out_channels));
    let taps = spec.kernel_depth * 9;
    let weights = Weights {
        values: w,
        target_stride: spec.in_channels * taps,
        source_stride: taps,
    };
    let plan = Plan::new(
        axes(spec),
        spec.in_channels,
        spec.out_channels,
        weights,
        level.channels(),
    );
    execute(level, &plan, x, bias, slope, out);
}

/// The axes of the convolution itself.
pub(super) fn axes(spec: &ConvSpec) -> [Axis; 3] {
    let kernel = [spec.kernel_depth, 3, 3];
    std::array::from_fn(|a| Axis::convolution(spec.input[a], kernel[a], spec.stride[a]))
}

/// Computes `out` `[batch, target channel, target voxels]` from `source`, job by job.
pub(super) fn execute(
    level: Level,
    plan: &Plan,
    source: &[f32],
    bias: Option<&[f32]>,
    slope: Option<f32>,
    out: &mut [f32],
) {
    let item = plan.source_channels * plan.axes.iter().map(|a| a.source).product::<usize>();
    let target = plan.target_channels * plan.axes.iter().map(|a| a.target).product::<usize>();
    assert!(item > 0 && target > 0, "a convolution needs channels");
    let batch = source.len() / item;
    assert_eq!(source.len(), batch * item, "source of another shape");
    assert_eq!(out.len(), batch * target, "target of another shape");
    // Several jobs for each thread even out what they cost; results do not depend on the cut.
    let wanted = 4 * rayon::current_num_threads();
    let list = jobs(&plan.axes, batch, plan.source_channels, wanted);
    let out = SharedOutput::new(out);
    list.par_iter().with_max_len(1).for_each(|job| {
        let source = &source[job.item * item..][..item];
        Buffers::with(|buffers| {
            let gather = Gather {
                plan,
                job,
                source,
                bias,
                slope,
                out,
            };
            level.run((gather, buffers));
        });
    });
}

/// One job of a plan.
struct Gather<'a> {
    plan: &'a Plan,
    job: &'a Job,
    source: &'a [f32],
    bias: Option<&'a [f32]>,
    slope: Option<f32>,
    out: SharedOutput<'a>,
}

impl Task for (Gather<'_>, &mut Buffers) {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (gather, buffers) = self;
        let layout = Layout::new(&gather.plan.axes, gather.job.rows.len());
        let positions = gather.job.rows.len() * layout.pitch;
        let pitch = positions.next_multiple_of(MAX_LANES);
        let slab = layout.len(gather.plan.source_channels);
        let (slab, tile) = buffers.get(slab, MAX_WIDTH * pitch);
        gather.planes(simd, &layout, slab, tile, pitch);
    }
}

impl Gather<'_> {
    /// Walks along d, copying each source plane once.
    #[inline(always)]
    fn planes<S: Simd>(
        &self,
        simd: S,
        layout: &Layout,
        slab: &mut [f32],
        tile: &mut [f32],
        pitch: usize,
    ) {
        let axes = &self.plan.axes;
        let depth = &axes[0];
        let mut next = 0;
        for plane in self.job.planes.clone() {
            let end = depth.step * plane + depth.window();
            for z in next.max(depth.step * plane)..end {
                layout.fill(axes, self.source, z, self.job.rows.start, slab);
            }
            next = end;
            for phase in &self.plan.phases {
                let target = plane * depth.phases.len() + phase.parity[0];
                if target < depth.target {
                    self.phase(simd, layout, phase, (plane, target), slab, tile, pitch);
                }
            }
        }
    }

    /// All target channels of one phase of one plane.
    #[inline(always)]
    #[expect(
        clippy::too_many_arguments,
        reason = "the innermost driver of a kernel"
    )]
    fn phase<S: Simd>(
        &self,
        simd: S,
        layout: &Layout,
        phase: &Phase,
        (plane, target): (usize, usize),
        slab: &[f32],
        tile: &mut [f32],
        pitch: usize,
    ) {
        let axes = &self.plan.axes;
        let offsets = phase.taps.iter().map(|tap| layout.tap(axes, plane, tap));
        let offsets: Vec<usize> = offsets.collect();
        let mut first = 0;
        for (width, weights) in &phase.blocks {
            let operands = Operands {
                slab,
                channel_stride: layout.channel,
                channels: self.plan.source_channels,
                taps: &offsets,
                weights,
            };
            let mut epilogue = Epilogue {
                bias: [0.0; MAX_WIDTH],
                slope: self.slope,
            };
            if let Some(bias) = self.bias {
                epilogue.bias[..*width].copy_from_slice(&bias[first..first + width]);
            }
            sweep(simd, *width, operands, &epilogue, tile, pitch);
            for channel in 0..*width {
                let sums = &tile[channel * pitch..][..pitch];
                self.write(first + channel, target, phase, sums, layout.pitch);
            }
            first += width;
        }
    }

    /// Writes the rows of one channel of one phase where they belong.
    #[inline(always)]
    fn write(&self, channel: usize, plane: usize, phase: &Phase, sums: &[f32], pitch: usize) {
        let [depth, height, width] = &self.plan.axes;
        let (rows, columns) = (height.phases.len(), width.phases.len());
        let volume = (self.job.item * self.plan.target_channels + channel) * depth.target + plane;
        for (row, sums) in self.job.rows.clone().zip(sums.chunks(pitch)) {
            let row = row * rows + phase.parity[1];
            if row >= height.target {
                continue;
            }
            let at = (volume * height.target + row) * width.target;
            // SAFETY: jobs have disjoint rows and planes, and one job writes one row at a time.
            let target = unsafe { self.out.slice(at, width.target) };
            if columns == 1 {
                target.copy_from_slice(&sums[..width.target]);
            } else {
                let target = target[phase.parity[2]..].iter_mut().step_by(columns);
                for (target, sum) in target.zip(sums) {
                    *target = *sum;
                }
            }
        }
    }
}
