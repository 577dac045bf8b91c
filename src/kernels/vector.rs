//! Runs portable code with the widest vectors that the processor has.
//!
//! The program is built for the oldest processor of its kind; the same source, compiled again for
//! AVX2 and AVX-512, is chosen at run time. No fused multiply-add is used, so that every processor
//! computes the same bits.

/// A piece of work whose `run` is `#[inline(always)]`, so that it takes on the caller's vector width.
pub(super) trait Work {
    type Output;
    fn run(self) -> Self::Output;
}

/// Runs `work`, compiled for this processor.
#[inline]
pub(super) fn run<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
        {
            // SAFETY: the processor has just been asked.
            return unsafe { run_avx512(work) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has just been asked.
            return unsafe { run_avx2(work) };
        }
    }
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq")]
fn run_avx512<W: Work>(work: W) -> W::Output {
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2<W: Work>(work: W) -> W::Output {
    work.run()
}
