//! Vectors of f32 behind one small trait, and the choice of the widest set the processor has.
//!
//! A value of a type that implements [`Simd`] is the proof that the processor has its
//! instructions, so arithmetic needs no `unsafe` at the place of use; only memory access does.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod rows;

#[cfg(target_arch = "x86_64")]
pub(super) use {avx2::Avx2, avx512::Avx512};

#[cfg(target_arch = "aarch64")]
pub(super) use neon::Neon;

pub(super) use portable::Portable;
pub(super) use rows::{copy, deinterleave, interleave, prefetch};

/// Largest [`Simd::LANES`] of all sets.
pub(super) const MAX_LANES: usize = 16;

/// A set of vector instructions.
pub(super) trait Simd: Copy + Send + Sync {
    /// A vector of [`Self::LANES`] numbers.
    type V: Copy;
    /// Numbers in a vector.
    const LANES: usize;
    /// Output channels of the register tile.
    const CHANNELS: usize;

    /// `x` in every lane.
    fn splat(self, x: f32) -> Self::V;
    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `v` where it is positive, `slope * v` elsewhere (NaN stays NaN).
    fn leaky_relu(self, v: Self::V, slope: Self::V) -> Self::V;
    /// Adds the sum of the lanes of each vector to the number of the same index.
    fn add_sums(self, vectors: &[Self::V], totals: &mut [f32]);
    /// The even and the odd numbers of `a` followed by `b`.
    fn split(self, a: Self::V, b: Self::V) -> (Self::V, Self::V);
    /// The inverse of [`Self::split`].
    fn join(self, even: Self::V, odd: Self::V) -> (Self::V, Self::V);
    /// Asks for the cache line at `p`, which may be any address.
    fn prefetch(self, p: *const f32);
    /// Reads a vector, no alignment needed.
    ///
    /// # Safety
    /// `p` must be valid for reading `LANES` numbers.
    unsafe fn load(self, p: *const f32) -> Self::V;
    /// Writes a vector, no alignment needed.
    ///
    /// # Safety
    /// `p` must be valid for writing `LANES` numbers.
    unsafe fn store(self, p: *mut f32, v: Self::V);
}

/// Work written once for every set of instructions.
///
/// `run` and all it calls must be `#[inline(always)]`, closures included: what is not inlined is
/// compiled for the plain processor. Each task becomes one function, so a task with one hot loop
/// has the registers for itself.
pub(super) trait Task {
    fn run<S: Simd>(self, simd: S);
}

/// The set of instructions to use.
#[derive(Debug, Clone, Copy)]
pub(super) enum Level {
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
    Portable(Portable),
}

impl Level {
    /// All sets the processor has, the fastest first.
    pub(super) fn available() -> impl Iterator<Item = Self> {
        [
            #[cfg(target_arch = "x86_64")]
            Avx512::detect().map(Self::Avx512),
            #[cfg(target_arch = "x86_64")]
            Avx2::detect().map(Self::Avx2),
            #[cfg(target_arch = "aarch64")]
            Some(Self::Neon(Neon)),
            Some(Self::Portable(Portable)),
        ]
        .into_iter()
        .flatten()
    }

    /// The fastest set the processor has (the standard library caches the detection).
    pub(super) fn best() -> Self {
        Self::available().next().unwrap_or(Self::Portable(Portable))
    }

    /// Output channels of the register tile.
    pub(super) fn channels(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => Avx512::CHANNELS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => Avx2::CHANNELS,
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => Neon::CHANNELS,
            Self::Portable(_) => Portable::CHANNELS,
        }
    }

    /// Numbers in a vector.
    pub(super) fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => Avx512::LANES,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => Avx2::LANES,
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => Neon::LANES,
            Self::Portable(_) => Portable::LANES,
        }
    }

    /// Runs `task` compiled for this set.
    pub(super) fn run(self, task: impl Task) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => simd.enter(task),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => simd.enter(task),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(simd) => simd.enter(task),
            Self::Portable(simd) => task.run(simd),
        }
    }
}
