//! One block of target channels over all positions of a plane of the slab.

use super::simd::Simd;
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
#[inline(always)]
pub(super) fn sweep<S: Simd>(
    simd: S,
    width: usize,
    operands: Operands,
    epilogue: &Epilogue,
    out: &mut [f32],
    pitch: usize,
) {
    // Tiles fill the registers: 32 of them for 16 lanes, 16 otherwise.
    if S::CHANNELS == 8 {
        match width {
            1 => blocks::<S, 1, 8>(simd, operands, epilogue, out, pitch),
            2 => blocks::<S, 2, 8>(simd, operands, epilogue, out, pitch),
            3 => blocks::<S, 3, 7>(simd, operands, epilogue, out, pitch),
            4 => blocks::<S, 4, 5>(simd, operands, epilogue, out, pitch),
            5 => blocks::<S, 5, 4>(simd, operands, epilogue, out, pitch),
            6 => blocks::<S, 6, 4>(simd, operands, epilogue, out, pitch),
            7 => blocks::<S, 7, 3>(simd, operands, epilogue, out, pitch),
            _ => blocks::<S, 8, 3>(simd, operands, epilogue, out, pitch),
        }
    } else {
        match width {
            1 => blocks::<S, 1, 6>(simd, operands, epilogue, out, pitch),
            2 => blocks::<S, 2, 4>(simd, operands, epilogue, out, pitch),
            3 => blocks::<S, 3, 3>(simd, operands, epilogue, out, pitch),
            _ => blocks::<S, 4, 2>(simd, operands, epilogue, out, pitch),
        }
    }
}

/// [`sweep`] for a block of `C` channels, `N` vectors at a time and the rest one by one.
#[inline(always)]
fn blocks<S: Simd, const C: usize, const N: usize>(
    simd: S,
    operands: Operands,
    epilogue: &Epilogue,
    out: &mut [f32],
    pitch: usize,
) {
    assert!(out.len() >= C * pitch && pitch.is_multiple_of(S::LANES));
    operands.check(C, pitch);
    let vectors = pitch / S::LANES;
    let whole = vectors / N * N;
    for vector in (0..whole).step_by(N) {
        // SAFETY: the checks above cover positions up to `pitch`, which `whole` does not pass.
        unsafe { block::<S, C, N>(simd, operands, epilogue, out, pitch, vector * S::LANES) }
    }
    for vector in whole..vectors {
        // SAFETY: as above.
        unsafe { block::<S, C, 1>(simd, operands, epilogue, out, pitch, vector * S::LANES) }
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
