//! What the processor could do at best, to which benchmarks compare the kernels.

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

use super::simd::{Level, Simd, Task};

/// Multiply-adds of each vector in a run.
const ROUNDS: usize = 1 << 20;

/// Independent sums, enough to hide the latency of a multiply-add and few enough for 16 registers.
const SUMS: usize = 12;

/// Floating-point operations a second of all threads together on numbers in registers; a multiply-add is two.
///
/// The best of several runs, with the vectors that the kernels use.
pub fn peak() -> f64 {
    let threads = rayon::current_num_threads();
    let level = Level::best();
    let run = || {
        let started = Instant::now();
        (0..threads)
            .into_par_iter()
            .with_max_len(1)
            .for_each(|_| level.run(Chains));
        2.0 * (threads * ROUNDS * SUMS * level.lanes()) as f64 / started.elapsed().as_secs_f64()
    };
    (0..20).map(|_| run()).fold(0.0, f64::max)
}

struct Chains;

impl Task for Chains {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (a, b) = (simd.splat(black_box(0.5)), simd.splat(black_box(1.0)));
        let mut sums = [b; SUMS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = simd.mul_add(*sum, a, b);
            }
        }
        let mut total = [0.0; SUMS];
        simd.add_sums(&sums, &mut total);
        black_box(total);
    }
}
