//! Dot products over positions: what the gradient of the weights is made of.

use super::super::grad_weights::sum;
use super::super::simd::{Simd, Task};
use super::products::Products;

/// Channels of either side that are multiplied together; the last block may reach past the last channel.
pub(super) const BLOCK: usize = 4;

/// Dot products over positions of input channels with all output channels, of one product.
pub(super) struct Outer<'a, 'b> {
    pub(super) left: &'a Products<'b>,
    pub(super) right: &'a Products<'b>,
    pub(super) product: usize,
    /// Input channels that have the product.
    pub(super) channels: usize,
    pub(super) positions: usize,
    pub(super) sums: &'a mut [f32],
}

/// [`Outer`] where there are 32 registers.
pub(super) struct Wide<'a, 'b>(pub(super) Outer<'a, 'b>);

/// [`Outer`] where there are 16.
pub(super) struct Narrow<'a, 'b>(pub(super) Outer<'a, 'b>);

impl Task for Wide<'_, '_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.0.run::<S, BLOCK>(simd);
    }
}

impl Task for Narrow<'_, '_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.0.run::<S, { BLOCK / 2 }>(simd);
    }
}

impl Outer<'_, '_> {
    /// `ROWS` input channels at a time.
    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        let (left, right) = (self.left.of(self.product), self.right.of(self.product));
        let (pitch, outputs) = (self.left.pitch, self.right.channels() / BLOCK);
        let inputs = self.channels.div_ceil(BLOCK);
        assert!(self.right.pitch == pitch && self.positions <= pitch);
        assert!(self.positions.is_multiple_of(S::LANES));
        assert!(inputs * BLOCK * pitch <= left.len() && outputs * BLOCK * pitch <= right.len());
        let blocks = self
            .sums
            .chunks_exact_mut(BLOCK * BLOCK)
            .take(inputs * outputs);
        for (block, totals) in blocks.enumerate() {
            let [n, out] = [block / outputs, block % outputs].map(|index| index * BLOCK * pitch);
            for (part, totals) in totals.chunks_exact_mut(ROWS * BLOCK).enumerate() {
                let mut sums = [[simd.splat(0.0); BLOCK]; ROWS];
                for at in (0..self.positions).step_by(S::LANES) {
                    // SAFETY: by the checks above both sides hold `positions` numbers for each channel of the blocks.
                    unsafe {
                        let mut factors = [simd.splat(0.0); BLOCK];
                        for (c, factor) in factors.iter_mut().enumerate() {
                            *factor = simd.load(right.as_ptr().add(out + c * pitch + at));
                        }
                        for (c, sums) in sums.iter_mut().enumerate() {
                            let row = n + (part * ROWS + c) * pitch + at;
                            let value = simd.load(left.as_ptr().add(row));
                            for (sum, &factor) in sums.iter_mut().zip(&factors) {
                                *sum = simd.mul_add(value, factor, *sum);
                            }
                        }
                    }
                }
                simd.add_sums(sums.as_flattened(), totals);
            }
        }
    }
}

/// Adds the sum over positions of one product of the gradient.
pub(super) struct Bias<'a, 'b> {
    pub(super) right: &'a Products<'b>,
    pub(super) product: usize,
    pub(super) positions: usize,
    pub(super) sums: &'a mut [f32],
}

impl Task for Bias<'_, '_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let channels = self.right.of(self.product).chunks_exact(self.right.pitch);
        for (channel, total) in channels.zip(self.sums) {
            *total += sum(simd, &channel[..self.positions]);
        }
    }
}
