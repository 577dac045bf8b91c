//! Any processor: arrays of 8 that the compiler turns into what the target has.

use super::Simd;

/// Vectors as plain arrays.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Portable;

const LANES: usize = 8;

/// True where `f32::mul_add` is one instruction; elsewhere it would be a slow library call.
const FUSED: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));

impl Simd for Portable {
    type V = [f32; LANES];
    const LANES: usize = LANES;
    const CHANNELS: usize = 4;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        [x; LANES]
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        if FUSED {
            std::array::from_fn(|i| a[i].mul_add(b[i], c[i]))
        } else {
            std::array::from_fn(|i| a[i] * b[i] + c[i])
        }
    }

    #[inline(always)]
    fn leaky_relu(self, v: Self::V, slope: Self::V) -> Self::V {
        std::array::from_fn(|i| if v[i] > 0.0 { v[i] } else { v[i] * slope[i] })
    }

    #[inline(always)]
    fn add_sums(self, vectors: &[Self::V], totals: &mut [f32]) {
        for (v, total) in vectors.iter().zip(totals) {
            // Written out whole: else the compiler groups lanes in the order of this sum, in the
            // loop that made them too, and shuffles there.
            let v = std::hint::black_box(*v);
            *total += ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
        }
    }

    #[inline(always)]
    fn split(self, a: Self::V, b: Self::V) -> (Self::V, Self::V) {
        let at = |i: usize| if i < LANES { a[i] } else { b[i - LANES] };
        let even = std::array::from_fn(|i| at(2 * i));
        (even, std::array::from_fn(|i| at(2 * i + 1)))
    }

    #[inline(always)]
    fn join(self, even: Self::V, odd: Self::V) -> (Self::V, Self::V) {
        let at = |i: usize| {
            if i.is_multiple_of(2) {
                even[i / 2]
            } else {
                odd[i / 2]
            }
        };
        let low = std::array::from_fn(at);
        (low, std::array::from_fn(|i| at(i + LANES)))
    }

    #[inline(always)]
    fn prefetch(self, _: *const f32) {}

    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> Self::V {
        // SAFETY: the caller vouches for the pointer; an array of f32 has the alignment of f32.
        unsafe { p.cast::<Self::V>().read() }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: Self::V) {
        // SAFETY: the caller vouches for the pointer; an array of f32 has the alignment of f32.
        unsafe { p.cast::<Self::V>().write(v) }
    }
}
