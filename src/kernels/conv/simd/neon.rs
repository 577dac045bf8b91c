//! NEON: 4 lanes, 32 registers.

use std::arch::aarch64::*;

use super::{Simd, Task};

/// Every 64-bit ARM processor that this program is built for has NEON.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Neon;

impl Neon {
    /// Its own function, so that the task has all registers.
    #[inline(never)]
    pub(super) fn enter(self, task: impl Task) {
        task.run(self);
    }
}

impl Simd for Neon {
    type V = float32x4_t;
    const LANES: usize = 4;
    const CHANNELS: usize = 8;

    #[inline(always)]
    fn splat(self, x: f32) -> float32x4_t {
        // SAFETY: NEON is part of the target.
        unsafe { vdupq_n_f32(x) }
    }

    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: NEON is part of the target.
        unsafe { vaddq_f32(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: NEON is part of the target.
        unsafe { vsubq_f32(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: NEON is part of the target.
        unsafe { vfmaq_f32(c, a, b) }
    }

    #[inline(always)]
    fn leaky_relu(self, v: float32x4_t, slope: float32x4_t) -> float32x4_t {
        // SAFETY: NEON is part of the target.
        unsafe { vbslq_f32(vcgtzq_f32(v), v, vmulq_f32(v, slope)) }
    }

    #[inline(always)]
    fn add_sums(self, vectors: &[float32x4_t], totals: &mut [f32]) {
        for (&v, total) in vectors.iter().zip(totals) {
            // SAFETY: NEON is part of the target.
            *total += unsafe { vaddvq_f32(v) };
        }
    }

    #[inline(always)]
    fn split(self, a: float32x4_t, b: float32x4_t) -> (float32x4_t, float32x4_t) {
        // SAFETY: NEON is part of the target.
        unsafe { (vuzp1q_f32(a, b), vuzp2q_f32(a, b)) }
    }

    #[inline(always)]
    fn join(self, even: float32x4_t, odd: float32x4_t) -> (float32x4_t, float32x4_t) {
        // SAFETY: NEON is part of the target.
        unsafe { (vzip1q_f32(even, odd), vzip2q_f32(even, odd)) }
    }

    /// The standard library has no stable prefetch for this processor.
    #[inline(always)]
    fn prefetch(self, _: *const f32) {}

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> float32x4_t {
        // SAFETY: NEON is part of the target; the caller vouches for the pointer.
        unsafe { vld1q_f32(p) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: float32x4_t) {
        // SAFETY: NEON is part of the target; the caller vouches for the pointer.
        unsafe { vst1q_f32(p, v) }
    }
}
