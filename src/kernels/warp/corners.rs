//! Reading the neighbours of a run of samples, and adding to them.
//!
//! The two neighbours along w lie side by side and travel as one 64-bit word; the arithmetic runs
//! over whole vectors of samples before or after.

use super::sampler::{LANES, Sampler};

/// Values around each sample: per row of the cell, in the order `(d, h)` = 00, 01, 10, 11 (2-D has
/// only the first two), the pair along w, packed.
pub(super) struct Corners(pub [[u64; LANES]; 4]);

impl Corners {
    pub fn new() -> Self {
        Self([[0; LANES]; 4])
    }

    /// Value of the corner `[d, h, w]` of sample `i`.
    #[inline(always)]
    pub fn at(&self, [d, h, w]: [usize; 3], i: usize) -> f32 {
        unpack(self.0[2 * d + h][i])[w]
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
                        let [a, b] = image.as_ptr().add(at).cast::<[f32; 2]>().read();
                        pack(a, b)
                    } else {
                        pack(*image.get_unchecked(at), 0.0)
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
                    let [a, b] = unpack(self.0[row][i]);
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

/// Two numbers in one word.
#[inline(always)]
pub(super) fn pack(a: f32, b: f32) -> u64 {
    u64::from(a.to_bits()) | u64::from(b.to_bits()) << 32
}

#[inline(always)]
fn unpack(pair: u64) -> [f32; 2] {
    [
        f32::from_bits(pair as u32),
        f32::from_bits((pair >> 32) as u32),
    ]
}
