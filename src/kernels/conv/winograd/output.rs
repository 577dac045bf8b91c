//! The epilogue, and the rows of the target.

use std::ops::Range;

use super::super::buffer::SharedOutput;
use super::super::simd::{Simd, Task, copy, interleave, prefetch};

/// Adds the products of coarse channels to what is there.
pub(super) struct Accumulate<'a> {
    pub(super) products: &'a [f32],
    pub(super) first: bool,
    pub(super) out: &'a mut [f32],
}

impl Task for Accumulate<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (out, &product) in self.out.iter_mut().zip(self.products) {
            *out = if self.first { product } else { *out + product };
        }
    }
}

/// The rows of one channel of the target that a job computes at once.
#[derive(Clone)]
pub(super) struct Rows<'a> {
    pub(super) out: SharedOutput<'a>,
    /// Planes, rows and columns of the target.
    pub(super) extent: [usize; 3],
    /// Which channel of which item.
    pub(super) volume: usize,
    pub(super) plane: usize,
    pub(super) rows: Range<usize>,
}

impl Rows<'_> {
    /// A row, for writing.
    ///
    /// # Safety
    /// No other slice of this row may live at the same time.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "disjointness is the caller's promise")]
    unsafe fn row<S: Simd>(&self, simd: S, row: usize) -> &mut [f32] {
        let [depth, height, width] = self.extent;
        let at = ((self.volume * depth + self.plane) * height + row) * width;
        // SAFETY: the caller's promise.
        let target = unsafe { self.out.slice(at, width) };
        prefetch(simd, target, depth * height * width);
        target
    }
}

/// Adds the bias, activates, and writes one plane of a channel on the fine grid.
pub(super) struct WriteFine<'a, 'b> {
    pub(super) rows: Rows<'a>,
    /// Positions from one pair of rows to the next.
    pub(super) row_pitch: usize,
    /// `[row][column][pitch]` of the pairs.
    pub(super) values: &'b mut [f32],
    pub(super) bias: f32,
    pub(super) slope: Option<f32>,
}

impl Task for WriteFine<'_, '_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let pitch = self.values.len() / 4;
        activate(simd, self.values, self.bias, self.slope);
        for (index, row) in self.rows.rows.clone().enumerate() {
            // SAFETY: jobs have disjoint rows and planes, and a job holds one row at a time.
            let target = unsafe { self.rows.row(simd, row) };
            let from = index % 2 * 2 * pitch + index / 2 * self.row_pitch;
            interleave(
                simd,
                &self.values[from..],
                &self.values[from + pitch..],
                target,
            );
        }
    }
}

/// Writes one plane of a channel on the coarse grid.
pub(super) struct WriteCoarse<'a, 'b> {
    pub(super) rows: Rows<'a>,
    pub(super) row_pitch: usize,
    pub(super) values: &'b [f32],
}

impl Task for WriteCoarse<'_, '_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (index, row) in self.rows.rows.clone().enumerate() {
            // SAFETY: jobs have disjoint rows and planes, and a job holds one row at a time.
            let target = unsafe { self.rows.row(simd, row) };
            let width = target.len();
            copy(
                simd,
                &self.values[index * self.row_pitch..][..width],
                target,
            );
        }
    }
}

/// Adds the bias, then LeakyReLU where there is a slope.
#[inline(always)]
fn activate<S: Simd>(simd: S, values: &mut [f32], bias: f32, slope: Option<f32>) {
    let (bias, factor) = (simd.splat(bias), simd.splat(slope.unwrap_or(1.0)));
    for vector in values.chunks_exact_mut(S::LANES) {
        // SAFETY: the chunk is one vector long.
        unsafe {
            let value = simd.add(simd.load(vector.as_ptr()), bias);
            simd.store(vector.as_mut_ptr(), simd.leaky_relu(value, factor));
        }
    }
}
