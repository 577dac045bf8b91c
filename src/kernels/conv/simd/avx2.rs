//! AVX2 with FMA: 8 lanes, 16 registers.

use std::arch::x86_64::*;

use super::{Simd, Task};

/// Proof that the processor has AVX2 and FMA; made only by [`Avx2::detect`].
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Avx2(());

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        found.then_some(Self(()))
    }

    pub(super) fn enter(self, task: impl Task) {
        // SAFETY: `self` exists only where the processor has AVX2 and FMA.
        unsafe { enter(self, task) }
    }
}

#[inline(never)]
#[target_feature(enable = "avx2,fma")]
fn enter(simd: Avx2, task: impl Task) {
    task.run(simd);
}

impl Simd for Avx2 {
    type V = __m256;
    const LANES: usize = 8;
    const CHANNELS: usize = 4;

    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: `self` proves FMA.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn leaky_relu(self, v: __m256, slope: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2.
        unsafe {
            let positive = _mm256_cmp_ps::<_CMP_GT_OQ>(v, _mm256_setzero_ps());
            _mm256_blendv_ps(_mm256_mul_ps(v, slope), v, positive)
        }
    }

    #[inline(always)]
    fn add_sums(self, vectors: &[__m256], totals: &mut [f32]) {
        let (quads, rest) = vectors.as_chunks::<4>();
        let (quad_totals, rest_totals) = totals.as_chunks_mut::<4>();
        for (v, total) in quads.iter().zip(quad_totals) {
            // SAFETY: `self` proves AVX2; `total` is 4 numbers.
            unsafe {
                let pairs = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
                let low = _mm256_castps256_ps128(pairs);
                let sums = _mm_add_ps(low, _mm256_extractf128_ps::<1>(pairs));
                let total = total.as_mut_ptr();
                _mm_storeu_ps(total, _mm_add_ps(_mm_loadu_ps(total), sums));
            }
        }
        for (&v, total) in rest.iter().zip(rest_totals) {
            // SAFETY: `self` proves AVX2.
            *total += unsafe {
                let quad = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
                let pair = _mm_add_ps(quad, _mm_movehl_ps(quad, quad));
                _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)))
            };
        }
    }

    #[inline(always)]
    fn split(self, a: __m256, b: __m256) -> (__m256, __m256) {
        // SAFETY: `self` proves AVX2.
        unsafe {
            // Halves first, so that the shuffles, which stay within halves, end in order.
            let low = _mm256_permute2f128_ps::<0x20>(a, b);
            let high = _mm256_permute2f128_ps::<0x31>(a, b);
            let even = _mm256_shuffle_ps::<0b10_00_10_00>(low, high);
            (even, _mm256_shuffle_ps::<0b11_01_11_01>(low, high))
        }
    }

    #[inline(always)]
    fn join(self, even: __m256, odd: __m256) -> (__m256, __m256) {
        // SAFETY: `self` proves AVX2.
        unsafe {
            let low = _mm256_unpacklo_ps(even, odd);
            let high = _mm256_unpackhi_ps(even, odd);
            let first = _mm256_permute2f128_ps::<0x20>(low, high);
            (first, _mm256_permute2f128_ps::<0x31>(low, high))
        }
    }

    #[inline(always)]
    fn prefetch(self, p: *const f32) {
        // SAFETY: a prefetch has no effect but on speed, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> __m256 {
        // SAFETY: `self` proves AVX2; the caller vouches for the pointer.
        unsafe { _mm256_loadu_ps(p) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: __m256) {
        // SAFETY: `self` proves AVX2; the caller vouches for the pointer.
        unsafe { _mm256_storeu_ps(p, v) }
    }
}
