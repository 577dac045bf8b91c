//! Reading the neighbours of a run of samples, and adding to them.
//!
//! The two neighbours along w lie side by side and travel as one 64-bit pair; the arithmetic runs
//! over whole vectors of samples before or after.

use super::sampler::{LANES, Sampler};

/// Values around each sample: per row of the cell, in the order `(d, h)` = 00, 01, 10, 11 (2-D has
/// only the first two), the pair along w.
pub(super) struct Corners(pub [[[f32; 2]; LANES]; 4]);

impl Corners {
    pub fn new() -> Self {
        Self([[[0.0; 2]; LANES]; 4])
    }

    /// Value of the corner `[d, h, w]` of sample `i`.
    #[inline(always)]
    pub fn at(&self, [d, h, w]: [usize; 3], i: usize) -> f32 {
        self.0[2 * d + h][i][w]
    }

    /// Reads the neighbours in `image` (one channel) of the samples at `offsets`, which must come from
    /// `sampler`.
    #[inline(always)]
    pub fn read<const VOLUME: bool>(
        &mut self,
        sampler: &Sampler<VOLUME>,
        image: &[f32],
        offsets: &[u32],
    ) {
        let (rows, pairs) = (sampler.rows(), sampler.steps[2] == 1);
        for (i, &at) in offsets.iter().enumerate() {
            for (row, step) in rows.iter().enumerate().take(Sampler::<VOLUME>::ROWS) {
                let at = at as usize + step;
                debug_assert!(at + usize::from(pairs) < image.len());
                // SAFETY: the base of every axis is clamped so that base + step stays in the image.
                self.0[row][i] = unsafe {
                    if pairs {
                        image.as_ptr().add(at).cast::<[f32; 2]>().read()
                    } else {
                        [*image.get_unchecked(at); 2]
                    }
                };
            }
        }
    }

    /// Adds the values to the neighbours in `image` (one channel) of the samples at `offsets`, which
    /// must come from `sampler`.
    #[inline(always)]
    pub fn add_to<const VOLUME: bool>(
        &self,
        sampler: &Sampler<VOLUME>,
        image: &mut [f32],
        offsets: &[u32],
    ) {
        let (rows, pairs) = (sampler.rows(), sampler.steps[2] == 1);
        // Neighbouring samples touch overlapping pairs, and the processor waits where it reads half of
        // what it is still writing: so first the even samples, then the odd.
        for parity in 0..2 {
            for (i, &at) in offsets.iter().enumerate().skip(parity).step_by(2) {
                for (row, step) in rows.iter().enumerate().take(Sampler::<VOLUME>::ROWS) {
                    let at = at as usize + step;
                    debug_assert!(at + usize::from(pairs) < image.len());
                    let [a, b] = self.0[row][i];
                    // SAFETY: as in `read`.
                    unsafe {
                        if pairs {
                            let pair = image.as_mut_ptr().add(at).cast::<[f32; 2]>();
                            let [x, y] = pair.read();
                            pair.write([x + a, y + b]);
                        } else {
                            *image.get_unchecked_mut(at) += a;
                        }
                    }
                }
            }
        }
    }
}
