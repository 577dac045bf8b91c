//! The memory of transformed tensors.

use std::ops::Range;

use super::super::simd::MAX_LANES;
use super::kernel::PLANE;

/// Sources, transformed for one product along d: `[product over rows and columns][channel][pitch]`.
pub(super) struct Products<'a> {
    values: &'a mut [f32],
    channels: usize,
    /// Numbers from one channel to the next.
    pub(super) pitch: usize,
}

impl<'a> Products<'a> {
    /// `memory` must have [`Self::len`] numbers.
    pub(super) fn new(memory: &'a mut [f32], channels: usize, positions: usize) -> Self {
        Self {
            values: memory,
            channels,
            pitch: Self::pitch(positions),
        }
    }

    /// Numbers for so many channels at so many positions, in whole vectors.
    pub(super) fn len(channels: usize, positions: usize) -> usize {
        PLANE * Self::stride(channels, Self::pitch(positions))
    }

    /// An odd number of vectors, that channels do not share the sets of the first-level cache.
    fn pitch(positions: usize) -> usize {
        ((positions / MAX_LANES) | 1) * MAX_LANES
    }

    /// Numbers from one product to the next: one vector more than needed, for the same reason.
    fn stride(channels: usize, pitch: usize) -> usize {
        channels * pitch + MAX_LANES
    }

    /// Numbers before those of the first channel of a product.
    #[inline(always)]
    pub(super) fn at(&self, product: usize) -> usize {
        product * Self::stride(self.channels, self.pitch)
    }

    /// All products.
    pub(super) fn values(&self) -> &[f32] {
        self.values
    }

    /// [`Self::values`], to change them.
    pub(super) fn values_mut(&mut self) -> &mut [f32] {
        self.values
    }

    /// `[channel][pitch]` of one product.
    #[inline(always)]
    pub(super) fn of(&self, product: usize) -> &[f32] {
        &self.values[self.at(product)..][..self.channels * self.pitch]
    }

    /// Channels of each product.
    pub(super) fn channels(&self) -> usize {
        self.channels
    }

    /// Zeros at some positions of every channel.
    pub(super) fn clear(&mut self, positions: Range<usize>) {
        for product in 0..PLANE {
            let at = self.at(product);
            for channel in 0..self.channels {
                self.values[at + channel * self.pitch..][positions.clone()].fill(0.0);
            }
        }
    }
}
