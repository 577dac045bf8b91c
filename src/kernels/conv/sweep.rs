//! One block of target channels over all positions of a plane of the slab.

use super::simd::{Level, Simd, Task};
use super::tile::{Operands, tile};

/// Widest block of target channels of any set of instructions.
pub(super) const MAX_WIDTH: usize = 8;

/// Most vectors of positions in a tile of a block of `width` channels, times `width`.
pub(super) const MAX_TILE: usize = 24;

/// Work on tiles of `C` target channels and `N` vectors of positions.
pub(super) trait Tiled {
    fn run<S: Simd, const C: usize, const N: usize>(self, simd: S);
}

/// Runs `work` with tiles that fill the registers: 32 of them where blocks have 8 channels, 16 of them otherwise.
pub(super) fn run_tiled(level: Level, width: usize, work: impl Tiled) {
    match (level.channels(), width) {
        (8, 1) => level.run(OfSize::<_, 1, 8>(work)),
        (8, 2) => level.run(OfSize::<_, 2, 8>(work)),
        (8, 3) => level.run(OfSize::<_, 3, 7>(work)),
        (8, 4) => level.run(OfSize::<_, 4, 5>(work)),
        (8, 5) => level.run(OfSize::<_, 5, 4>(work)),
        (8, 6) => level.run(OfSize::<_, 6, 4>(work)),
        (8, 7) => level.run(OfSize::<_, 7, 3>(work)),
        (8, _) => level.run(OfSize::<_, 8, 3>(work)),
        (_, 1) => level.run(OfSize::<_, 1, 6>(work)),
        (_, 2) => level.run(OfSize::<_, 2, 4>(work)),
        (_, 3) => level.run(OfSize::<_, 3, 3>(work)),
        (_, _) => level.run(OfSize::<_, 4, 2>(work)),
    }
}

struct OfSize<W, const C: usize, const N: usize>(W);

impl<W: Tiled, const C: usize, const N: usize> Task for OfSize<W, C, N> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.0.run::<S, C, N>(simd);
    }
}

/// What happens to a sum before it is written.
#[derive(Clone, Copy)]
pub(super) struct Epilogue {
    /// Bias of each channel of the block.
    pub(super) bias: [f32; MAX_WIDTH],
    /// LeakyReLU, if any.
    pub(super) slope: Option<f32>,
}

/// Writes `[width][pitch]` sums of positions `0..pitch` to `out`; `pitch` is in whole vectors.
pub(super) struct Sweep<'a> {
    pub(super) operands: Operands<'a>,
    pub(super) epilogue: &'a Epilogue,
    pub(super) out: &'a mut [f32],
    pub(super) pitch: usize,
}

impl Tiled for Sweep<'_> {
    /// `N` vectors at a time and the rest one by one.
    #[inline(always)]
    fn run<S: Simd, const C: usize, const N: usize>(self, simd: S) {
        let Self {
            operands,
            epilogue,
            out,
            pitch,
        } = self;
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
