//! Runs a convolution or its transpose, job by job: fill the slabs, transform, multiply, transform back, write.

use std::ops::Range;

use rayon::prelude::*;

use super::super::buffer::{Buffers, SharedOutput};
use super::super::plan::{Job, jobs};
use super::super::simd::{Level, MAX_LANES};
use super::super::slab::Layout;
use super::super::sweep::{Epilogue, MAX_TILE, MAX_WIDTH, Sweep, run_tiled};
use super::super::tile::Operands;
use super::Channels;
use super::input::{Coarse, Fine};
use super::kernel::{Block, Kernels, PLANE, coarse_products, vanishes};
use super::multiply::{Multiply, PAIRS, updates};
use super::output::{Accumulate, Rows, WriteCoarse, WriteFine};
use super::products::Products;
use super::slab::{Slab, Source};

/// Sums are whole only after the transform back.
const PLAIN: Epilogue = Epilogue {
    bias: [0.0; MAX_WIDTH],
    slope: None,
};

/// A convolution or its transpose, ready to run.
pub(super) struct Plan<'a> {
    pub(super) level: Level,
    pub(super) batch: usize,
    pub(super) fine: Source<'a>,
    pub(super) coarse: Source<'a>,
    pub(super) targets: Channels,
    pub(super) kernels: Kernels,
    pub(super) bias: Option<&'a [f32]>,
    pub(super) slope: Option<f32>,
}

/// What a job writes.
#[derive(Clone, Copy)]
struct Targets<'a> {
    fine: SharedOutput<'a>,
    coarse: SharedOutput<'a>,
}

/// Rows that are computed together: about so many `positions`.
pub(super) fn rows_together(layout: &Layout, positions: usize, job: &Job) -> usize {
    (positions / layout.pitch).clamp(1, job.rows.len())
}

/// `rows` in parts of at most `together`.
pub(super) fn parts(rows: &Range<usize>, together: usize) -> impl Iterator<Item = Range<usize>> {
    let end = rows.end;
    let starts = rows.clone().step_by(together);
    starts.map(move |start| start..end.min(start + together))
}

impl Plan<'_> {
    /// Computes the fine and the coarse targets, `[batch, channel, voxels]`.
    pub(super) fn run(&self, [fine, coarse]: [&mut [f32]; 2]) {
        let lengths = [
            (self.fine.values.len(), self.fine.item()),
            (self.coarse.values.len(), self.coarse.item()),
            (fine.len(), self.targets.fine * self.fine.voxels()),
            (coarse.len(), self.targets.coarse * self.coarse.voxels()),
        ];
        for (found, item) in lengths {
            assert_eq!(found, self.batch * item, "tensor of another shape");
        }
        // Several jobs for each thread even out what they cost; results do not depend on the cut.
        let wanted = 4 * rayon::current_num_threads();
        let channels = self.fine.channels + self.coarse.channels;
        assert!(channels > 0, "a convolution needs channels");
        let list = jobs(self.fine.axes, self.batch, channels, wanted);
        let targets = Targets {
            fine: SharedOutput::new(fine),
            coarse: SharedOutput::new(coarse),
        };
        list.par_iter().with_max_len(1).for_each(|job| {
            Buffers::with(|buffers| self.job(job, targets, buffers));
        });
    }

    /// Planes of a position.
    fn planes(&self) -> usize {
        self.fine.axes[0].phases.len()
    }

    /// Walks along d, copying each source plane once.
    fn job(&self, job: &Job, targets: Targets, buffers: &mut Buffers) {
        let layout = self.fine.layout(job);
        let channels = self.fine.channels + self.coarse.channels;
        // Their products stay in the second-level cache.
        let positions = (8192 / channels).clamp(64, 256);
        let together = rows_together(&layout, positions, job);
        let positions = layout.positions(together);
        let [fine, coarse, entered, sums, fine_out, coarse_out] = buffers.get([
            self.fine.slab_len(job),
            self.coarse.slab_len(job),
            Products::len(channels, positions),
            (PLANE * MAX_TILE * MAX_LANES).max(MAX_WIDTH * positions),
            self.targets.fine * PAIRS * positions,
            self.targets.coarse * positions,
        ]);
        let mut slabs = [
            self.fine.slab(self.level, job, fine),
            self.coarse.slab(self.level, job, coarse),
        ];
        let mut work = Work {
            plan: self,
            layout,
            entered: Products::new(entered, channels, positions),
            sums,
            fine: fine_out,
            coarse: coarse_out,
        };
        for plane in job.planes.clone() {
            slabs.iter_mut().for_each(|slab| slab.fill(plane));
            for rows in parts(&job.rows, together) {
                work.multiply(&slabs, plane, &rows);
                work.write(targets, job.item, plane, &rows);
            }
        }
    }
}

/// The buffers of one job.
struct Work<'a, 'b> {
    plan: &'a Plan<'a>,
    layout: Layout,
    entered: Products<'b>,
    /// Room for the sums of a block.
    sums: &'b mut [f32],
    /// `[channel][PAIRS][position]`.
    fine: &'b mut [f32],
    /// `[channel][position]`.
    coarse: &'b mut [f32],
}

impl Work<'_, '_> {
    /// All targets at the positions of some rows.
    fn multiply(&mut self, [fine, coarse]: &[Slab; 2], plane: usize, rows: &Range<usize>) {
        let plan = self.plan;
        let positions = self.layout.positions(rows.len());
        for z in 0..plan.kernels.depth {
            fine.enter::<Fine, 4, 4>([plane, z], rows.clone(), 0, &mut self.entered);
            let first = plan.fine.channels;
            coarse.enter::<Coarse, 3, 3>([plane, z], rows.clone(), first, &mut self.entered);
            let coarse = if vanishes(plan.kernels.depth, z) {
                0
            } else {
                plan.coarse.channels
            };
            for block in &plan.kernels.fine {
                let multiply = Multiply {
                    entered: &self.entered,
                    channels: [plan.fine.channels, plan.fine.channels + coarse],
                    weights: &block.weights[z],
                    updates: updates(plan.planes(), z),
                    positions,
                    sums: self.sums,
                    out: &mut self.fine[block.targets.start * PAIRS * positions..],
                };
                run_tiled(plan.level, block.targets.len(), multiply);
            }
            for block in &plan.kernels.coarse {
                if !vanishes(plan.kernels.depth, z) {
                    self.coarse_products(z, block, positions);
                }
            }
        }
    }

    /// Adds one block of coarse targets, for which all products are terms of one sum.
    fn coarse_products(&mut self, z: usize, block: &Block, positions: usize) {
        let plan = self.plan;
        let width = block.targets.len();
        let taps: Vec<usize> = coarse_products()
            .map(|product| self.entered.at(product))
            .collect();
        let operands = Operands {
            slab: self.entered.values(),
            channel_stride: self.entered.pitch,
            channels: plan.fine.channels,
            taps: &taps,
            weights: &block.weights[z],
        };
        let sums = &mut self.sums[..width * positions];
        let sweep = Sweep {
            operands,
            epilogue: &PLAIN,
            out: sums,
            pitch: positions,
        };
        run_tiled(plan.level, width, sweep);
        plan.level.run(Accumulate {
            products: sums,
            first: z == 0,
            out: &mut self.coarse[block.targets.start * positions..],
        });
    }

    /// Writes all targets at the positions of some pairs of rows.
    fn write(&mut self, targets: Targets, item: usize, plane: usize, pairs: &Range<usize>) {
        let plan = self.plan;
        let positions = self.layout.positions(pairs.len());
        let extent = plan.fine.axes.each_ref().map(|axis| axis.source);
        let fine = self
            .fine
            .chunks_exact_mut(PAIRS * positions)
            .take(plan.targets.fine);
        for (channel, values) in fine.enumerate() {
            for (p, values) in values
                .chunks_exact_mut(4 * positions)
                .take(plan.planes())
                .enumerate()
            {
                let plane = plane * plan.planes() + p;
                if plane >= extent[0] {
                    continue;
                }
                plan.level.run(WriteFine {
                    rows: Rows {
                        out: targets.fine,
                        extent,
                        volume: item * plan.targets.fine + channel,
                        plane,
                        rows: 2 * pairs.start..(2 * pairs.end).min(extent[1]),
                    },
                    row_pitch: self.layout.pitch,
                    values,
                    bias: plan.bias.map_or(0.0, |bias| bias[channel]),
                    slope: plan.slope,
                });
            }
        }
        let coarse = self
            .coarse
            .chunks_exact(positions)
            .take(plan.targets.coarse);
        for (channel, values) in coarse.enumerate() {
            plan.level.run(WriteCoarse {
                rows: Rows {
                    out: targets.coarse,
                    extent: plan.coarse.axes.each_ref().map(|axis| axis.source),
                    volume: item * plan.targets.coarse + channel,
                    plane,
                    rows: pairs.clone(),
                },
                row_pitch: self.layout.pitch,
                values,
            });
        }
    }
}
