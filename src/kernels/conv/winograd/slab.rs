//! The padded planes of one tensor that a job works on, and their way into the products.

use std::marker::PhantomData;
use std::ops::Range;

use super::super::axis::Axis;
use super::super::plan::Job;
use super::super::simd::{Level, Task};
use super::super::slab::{Fill, Layout};
use super::input::{Enter, Transform, Window};
use super::products::Products;

/// One tensor of a batch.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    /// `[batch, channel, voxels]`.
    pub(super) values: &'a [f32],
    pub(super) channels: usize,
    pub(super) axes: &'a [Axis; 3],
}

impl<'a> Source<'a> {
    pub(super) fn voxels(&self) -> usize {
        self.axes.iter().map(|axis| axis.source).product()
    }

    /// Numbers of one item.
    pub(super) fn item(&self) -> usize {
        self.channels * self.voxels()
    }

    pub(super) fn layout(&self, job: &Job) -> Layout {
        Layout::new(self.axes, job.rows.len())
    }

    /// Numbers in the slab of a job.
    pub(super) fn slab_len(&self, job: &Job) -> usize {
        self.layout(job).len(self.channels)
    }

    /// The slab of a job, without planes so far.
    pub(super) fn slab<'b>(self, level: Level, job: &'b Job, memory: &'b mut [f32]) -> Slab<'b>
    where
        'a: 'b,
    {
        let layout = self.layout(job);
        layout.clear_end(memory);
        Slab {
            level,
            source: Source {
                values: &self.values[job.item * self.item()..][..self.item()],
                ..self
            },
            layout,
            first_row: job.rows.start,
            filled: 0,
            memory,
        }
    }
}

/// Planes of one item, as a ring along d.
pub(super) struct Slab<'a> {
    level: Level,
    /// Of one item.
    source: Source<'a>,
    layout: Layout,
    /// First pair of rows.
    first_row: usize,
    /// Padded planes up to here have been copied.
    filled: usize,
    memory: &'a mut [f32],
}

impl Slab<'_> {
    /// Copies what the pair of planes `plane` needs and earlier ones did not.
    pub(super) fn fill(&mut self, plane: usize) {
        if self.source.channels == 0 {
            return;
        }
        let depth = &self.source.axes[0];
        let first = depth.step * plane;
        let planes = self.filled.max(first)..first + depth.window();
        self.filled = planes.end;
        self.level.run(Fill {
            layout: &self.layout,
            axes: self.source.axes,
            source: self.source.values,
            planes,
            first_row: self.first_row,
            slab: self.memory,
        });
    }

    /// Transforms all channels at some pairs of rows for the product `z` along d; leaves `out` as it is where these
    /// channels have no such product.
    pub(super) fn enter<T, const WINDOW: usize, const MADE: usize>(
        &self,
        [plane, z]: [usize; 2],
        rows: Range<usize>,
        first: usize,
        out: &mut Products,
    ) where
        T: Transform<WINDOW, MADE>,
        for<'a, 'b> Enter<'a, 'b, T, WINDOW>: Task,
    {
        let axes = self.source.axes;
        let Some(depth) = T::depth(axes[0].phases.len(), z) else {
            return;
        };
        if self.source.channels == 0 {
            return;
        }
        let start = (rows.start - self.first_row) * self.layout.pitch;
        self.level.run(Enter {
            transform: PhantomData,
            slab: self.memory,
            channel_stride: self.layout.channel,
            channels: self.source.channels,
            window: Window::new::<T, MADE>(&self.layout, axes, plane, depth),
            positions: start..start + self.layout.positions(rows.len()),
            first,
            out,
        });
    }
}
