//! AVX-512: 16 lanes, 32 registers.
//!
//! The VL part is needed too: without it, what also lives in half registers gets only 16 of them.

use std::arch::x86_64::*;

use super::{Simd, Task};

/// Proof that the processor has AVX-512F and VL; made only by [`Avx512::detect`].
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Avx512(());

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
        found.then_some(Self(()))
    }

    pub(super) fn enter(self, task: impl Task) {
        // SAFETY: `self` exists only where the processor has AVX-512F.
        unsafe { enter(self, task) }
    }
}

#[inline(never)]
#[target_feature(enable = "avx512f,avx512vl")]
fn enter(simd: Avx512, task: impl Task) {
    task.run(simd);
}

/// Sums of the lanes of 8 vectors by a transposition that adds as it goes: 2 shuffles for each
/// vector instead of the 4 of one sum after the other.
#[target_feature(enable = "avx512f,avx512vl")]
#[inline]
fn sums_of_eight(v: &[__m512; 8]) -> __m256 {
    // Each quarter of a register: a0+a2, b0+b2, a1+a3, b1+b3 of two vectors ...
    let pair = |a, b| _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    // ... then the sums of four vectors over that quarter.
    let four = |a: &[__m512]| {
        let (x, y) = (pair(a[0], a[1]), pair(a[2], a[3]));
        let even = _mm512_shuffle_ps::<0b01_00_01_00>(x, y);
        _mm512_add_ps(even, _mm512_shuffle_ps::<0b11_10_11_10>(x, y))
    };
    let (low, high) = (four(&v[..4]), four(&v[4..]));
    // Quarters 0 + 1 and 2 + 3 of `low`, then of `high`.
    let even = _mm512_shuffle_f32x4::<0b10_00_10_00>(low, high);
    let halves = _mm512_add_ps(even, _mm512_shuffle_f32x4::<0b11_01_11_01>(low, high));
    // All of `low`, then all of `high`.
    let even = _mm512_shuffle_f32x4::<0b00_00_10_00>(halves, halves);
    let odd = _mm512_shuffle_f32x4::<0b00_00_11_01>(halves, halves);
    _mm512_castps512_ps256(_mm512_add_ps(even, odd))
}

impl Simd for Avx512 {
    type V = __m512;
    const LANES: usize = 16;
    const CHANNELS: usize = 8;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn leaky_relu(self, v: __m512, slope: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe {
            let negative = _mm512_cmp_ps_mask::<_CMP_NGT_UQ>(v, _mm512_setzero_ps());
            _mm512_mask_mul_ps(v, negative, v, slope)
        }
    }

    #[inline(always)]
    fn add_sums(self, vectors: &[__m512], totals: &mut [f32]) {
        let (octets, rest) = vectors.as_chunks::<8>();
        let (octet_totals, rest_totals) = totals.as_chunks_mut::<8>();
        for (v, total) in octets.iter().zip(octet_totals) {
            // SAFETY: `self` proves AVX-512F; `total` is 8 numbers.
            unsafe {
                let sums = sums_of_eight(v);
                let total = total.as_mut_ptr();
                _mm256_storeu_ps(total, _mm256_add_ps(_mm256_loadu_ps(total), sums));
            }
        }
        for (&v, total) in rest.iter().zip(rest_totals) {
            // SAFETY: `self` proves AVX-512F.
            *total += unsafe { _mm512_reduce_add_ps(v) };
        }
    }

    #[inline(always)]
    fn split(self, a: __m512, b: __m512) -> (__m512, __m512) {
        // SAFETY: `self` proves AVX-512F.
        unsafe {
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
            let pick = |index| _mm512_permutex2var_ps(a, index, b);
            (pick(even), pick(odd))
        }
    }

    #[inline(always)]
    fn join(self, even: __m512, odd: __m512) -> (__m512, __m512) {
        // SAFETY: `self` proves AVX-512F.
        unsafe {
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high =
                _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
            let pick = |index| _mm512_permutex2var_ps(even, index, odd);
            (pick(low), pick(high))
        }
    }

    #[inline(always)]
    fn prefetch(self, p: *const f32) {
        // SAFETY: a prefetch has no effect but on speed, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
    }

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> __m512 {
        // SAFETY: `self` proves AVX-512F; the caller vouches for the pointer.
        unsafe { _mm512_loadu_ps(p) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: __m512) {
        // SAFETY: `self` proves AVX-512F; the caller vouches for the pointer.
        unsafe { _mm512_storeu_ps(p, v) }
    }
}
