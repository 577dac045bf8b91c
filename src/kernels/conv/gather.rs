//! Runs a [`Plan`], job by job: fill the slab, sweep the blocks of channels, write the rows.

use rayon::prelude::*;

use super::buffer::{Buffers, SharedOutput};
use super::plan::{Job, Phase, Plan, jobs};
use super::simd::{Level, Simd, Task, copy, interleave, prefetch};
use super::slab::{Fill, Layout};
use super::sweep::{Epilogue, MAX_WIDTH, Sweep, run_tiled};
use super::tile::Operands;

/// Computes `out` `[batch, target channel, target voxels]` from `source`.
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
        let gather = Gather {
            level,
            plan,
            job,
            layout: Layout::new(&plan.axes, job.rows.len()),
            bias,
            slope,
            out,
        };
        let source = &source[job.item * item..][..item];
        Buffers::with(|buffers| gather.run(source, buffers));
    });
}

/// One job of a plan.
struct Gather<'a> {
    level: Level,
    plan: &'a Plan,
    job: &'a Job,
    layout: Layout,
    bias: Option<&'a [f32]>,
    slope: Option<f32>,
    out: SharedOutput<'a>,
}

impl Gather<'_> {
    /// Walks along d, copying each source plane once.
    fn run(&self, source: &[f32], buffers: &mut Buffers) {
        let (layout, axes) = (&self.layout, &self.plan.axes);
        let pitch = layout.positions(self.job.rows.len());
        let columns = axes[2].phases.len();
        let [slab, sums] = buffers.get([
            layout.len(self.plan.source_channels),
            columns * MAX_WIDTH * pitch,
        ]);
        layout.clear_end(slab);
        let depth = &axes[0];
        let mut filled = 0;
        for plane in self.job.planes.clone() {
            let planes = filled.max(depth.step * plane)..depth.step * plane + depth.window();
            filled = planes.end;
            self.level.run(Fill {
                layout,
                axes,
                source,
                planes,
                first_row: self.job.rows.start,
                slab,
            });
            for phase in &self.plan.phases {
                let target = plane * depth.phases.len() + phase.parity[0];
                if target < depth.target {
                    self.phase(phase, plane, target, slab, sums);
                }
            }
        }
    }

    /// All target channels of one phase of one plane.
    fn phase(&self, phase: &Phase, plane: usize, target: usize, slab: &[f32], sums: &mut [f32]) {
        let (plan, layout) = (self.plan, &self.layout);
        let columns = phase.columns.iter();
        let offsets: Vec<Vec<usize>> = columns
            .map(|column| layout.taps(&plan.axes, plane, &column.taps))
            .collect();
        let pitch = layout.positions(self.job.rows.len());
        for (index, block) in plan.blocks.iter().enumerate() {
            let mut epilogue = Epilogue {
                bias: [0.0; MAX_WIDTH],
                slope: self.slope,
            };
            if let Some(bias) = self.bias {
                epilogue.bias[..block.len()].copy_from_slice(&bias[block.clone()]);
            }
            let columns = phase.columns.iter().zip(&offsets);
            let parts = sums.chunks_exact_mut(MAX_WIDTH * pitch);
            for ((column, taps), sums) in columns.zip(parts) {
                let operands = Operands {
                    slab,
                    channel_stride: layout.channel,
                    channels: plan.source_channels,
                    taps,
                    weights: &column.weights[index],
                };
                let sweep = Sweep {
                    operands,
                    epilogue: &epilogue,
                    out: sums,
                    pitch,
                };
                run_tiled(self.level, block.len(), sweep);
            }
            self.level.run(Write {
                gather: self,
                phase,
                plane: target,
                first_channel: block.start,
                channels: block.len(),
                sums,
                pitch,
            });
        }
    }
}

/// Writes the rows of a block of channels of one phase where they belong.
struct Write<'a> {
    gather: &'a Gather<'a>,
    phase: &'a Phase,
    plane: usize,
    first_channel: usize,
    channels: usize,
    /// `[parity of column][MAX_WIDTH][pitch]`.
    sums: &'a [f32],
    pitch: usize,
}

impl Task for Write<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Gather {
            plan, job, layout, ..
        } = self.gather;
        let [depth, height, width] = &plan.axes;
        let (even, odd) = self.sums.split_at(MAX_WIDTH * self.pitch);
        for channel in 0..self.channels {
            let volume = job.item * plan.target_channels + self.first_channel + channel;
            let first_row = (volume * depth.target + self.plane) * height.target;
            for (index, position) in job.rows.clone().enumerate() {
                let row = position * height.phases.len() + self.phase.parity[1];
                if row >= height.target {
                    continue;
                }
                let at = (first_row + row) * width.target;
                // SAFETY: jobs have disjoint rows and planes, and a job holds one row at a time.
                let target = unsafe { self.gather.out.slice(at, width.target) };
                prefetch(simd, target, depth.target * height.target * width.target);
                let from = channel * self.pitch + index * layout.pitch;
                if width.phases.len() == 1 {
                    copy(simd, &even[from..from + width.target], target);
                } else {
                    interleave(simd, &even[from..], &odd[from..], target);
                }
            }
        }
    }
}
