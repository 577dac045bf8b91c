//! One block of target channels over all positions of a plane of the slab.

use super::simd::{Level, Simd, Task};
use super::tile::{Operands, tile};

/// Widest block of target channels of any set of instructions.
pub(super) const MAX_WIDTH: usize = 8;

/// What happens to a sum before it is written.
#[derive(Clone, Copy)]
pub(super) struct Epilogue {
    /// Bias of each channel of the block.
    pub(super) bias: [f32; MAX_WIDTH],
    /// LeakyReLU, if any.
    pub(super) slope: Option<f32>,
}

/// Writes `[width][pitch]` sums of positions `0..pitch` to `out`; `pitch` is in whole vectors.
///
/// The tiles fill the registers: 32 of them with 16 lanes, 16 of them otherwise.
pub(super) fn sweep(
    level: Level,
    width: usize,
    operands: Operands,
    epilogue: &Epilogue,
    out: &mut [f32],
    pitch: usize,
) {
    let sweep = (operands, epilogue, out, pitch);
    match (level.channels(), width) {
        (8, 1) => level.run(Sweep::<1, 8>(sweep)),
        (8, 2) => level.run(Sweep::<2, 8>(sweep)),
        (8, 3) => level.run(Sweep::<3, 7>(sweep)),
        (8, 4) => level.run(Sweep::<4, 5>(sweep)),
        (8, 5) => level.run(Sweep::<5, 4>(sweep)),
        (8, 6) => level.run(Sweep::<6, 4>(sweep)),
        (8, 7) => level.run(Sweep::<7, 3>(sweep)),
        (8, _) => level.run(Sweep::<8, 3>(sweep)),
        (_, 1) => level.run(Sweep::<1, 6>(sweep)),
        (_, 2) => level.run(Sweep::<2, 4>(sweep)),
        (_, 3) => level.run(Sweep::<3, 3>(sweep)),
        (_, _) => level.run(Sweep::<4, 2>(sweep)),
    }
}

/// A sweep of `C` channels, `N` vectors at a time and the rest one by one.
struct Sweep<'a, const C: usize, const N: usize>(
    (Operands<'a>, &'a Epilogue, &'a mut [f32], usize),
);

impl<const C: usize, const N: usize> Task for Sweep<'_, C, N> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (operands, epilogue, out, pitch) = self.0;
        assert!(out.len() >= C * pitch && pitch.is_multiple_of(S::LANES));
        operands.check(C, pitch);
        let vectors = pitch / S::LANES;
        let whole = vectors / N * N;
        for vector in (0..whole).step_by(N) {
            let at = vector * S::LANES;
            // SAFETY: the checks above cover positions up to `pitch`, which `whole` stays within.
            unsafe { block::<S, C, N>(simd, operands, epilogue, out, pitch, at) }
        }
        for vector in whole..vectors {
            let at = vector * S::LANES;
            // SAFETY: as above.
            unsafe { block::<S, C, 1>(simd, operands, epilogue, out, pitch, at) }
        }
    }
}

/// One tile and its epilogue.
///
/// # Safety
/// As [`tile`], and `out` must hold `C * pitch` numbers with `position + N * LANES <= pitch`.
#[inline(always)]
unsafe fn block<S: Simd, const C: usize, const N: usize>(
    simd: S,
    operands: Operands,
    epilogue: &Epilogue,
    out: &mut [f32],
    pitch: usize,
    position: usize,
) {
    // SAFETY: the caller checked the operands for these positions.
    let mut sums: [[S::V; N]; C] = unsafe { tile(simd, operands, position, &epilogue.bias) };
    if let Some(slope) = epilogue.slope {
        let slope = simd.splat(slope);
        for sum in sums.as_flattened_mut() {
            *sum = simd.leaky_relu(*sum, slope);
        }
    }
    for (c, row) in sums.iter().enumerate() {
        for (v, &sum) in row.iter().enumerate() {
            // SAFETY: channel `c < C` and vector `v < N` lie inside `out` by the caller's promise.
            unsafe {
                let target = out.as_mut_ptr().add(c * pitch + position + v * S::LANES);
                simd.store(target, sum);
            }
        }
    }
}
