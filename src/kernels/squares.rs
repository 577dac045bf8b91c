//! Mean squared difference of pairs of images or fields, and its gradients, each in one pass.

use rayon::prelude::*;

use super::blocks::unwritten;
use super::vector;

/// Values of one task; independent of the number of threads.
const PART: usize = 1 << 15;

/// `mean((a - b)^2)` of each of `items` equally long items.
pub fn mean_difference(a: &[f32], b: &[f32], items: usize) -> Vec<f32> {
    let length = length(a, b, items);
    let mean = |(a, b): (&[f32], &[f32])| {
        let parts = a.par_chunks(PART).zip(b.par_chunks(PART));
        let parts: Vec<f64> = parts.map(|(a, b)| vector::run(Sum { a, b })).collect();
        (parts.iter().sum::<f64>() / length as f64) as f32
    };
    let pairs = a.par_chunks_exact(length).zip(b.par_chunks_exact(length));
    pairs.map(mean).collect()
}

/// Gradients of [`mean_difference`] for both, each only if `wanted`; `grad` holds one value an item.
pub fn mean_difference_grad(
    a: &[f32],
    b: &[f32],
    grad: &[f32],
    wanted: [bool; 2],
) -> [Option<Vec<f32>>; 2] {
    let length = length(a, b, grad.len());
    let of = |sign: f32| {
        // SAFETY: each part of each item is written.
        let mut out = unsafe { unwritten(a.len()) };
        let items = out.par_chunks_exact_mut(length).zip(grad).enumerate();
        items.for_each(|(item, (out, grad))| {
            let factor = sign * 2.0 * grad / length as f32;
            let at = item * length..(item + 1) * length;
            let pairs = a[at.clone()].par_chunks(PART).zip(b[at].par_chunks(PART));
            let parts = out.par_chunks_mut(PART).zip(pairs);
            parts.for_each(|(out, (a, b))| vector::run(Scale { a, b, factor, out }));
        });
        out
    };
    [wanted[0].then(|| of(1.0)), wanted[1].then(|| of(-1.0))]
}

fn length(a: &[f32], b: &[f32], items: usize) -> usize {
    assert!(
        a.len() == b.len() && items > 0 && !a.is_empty() && a.len().is_multiple_of(items),
        "mean squared difference: {} and {} values in {items} items",
        a.len(),
        b.len()
    );
    a.len() / items
}

struct Sum<'a> {
    a: &'a [f32],
    b: &'a [f32],
}

impl vector::Work for Sum<'_> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        // Short runs in float32, their sums in float64.
        const RUN: usize = 512;
        const LANES: usize = 16;
        let mut sum = 0.0;
        for (a, b) in self.a.chunks(RUN).zip(self.b.chunks(RUN)) {
            let mut lanes = [0.0_f32; LANES];
            for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
                for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
                    *lane += (a - b) * (a - b);
                }
            }
            sum += lanes.into_iter().map(f64::from).sum::<f64>();
        }
        sum
    }
}

struct Scale<'a> {
    a: &'a [f32],
    b: &'a [f32],
    factor: f32,
    out: &'a mut [f32],
}

impl vector::Work for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for ((out, a), b) in self.out.iter_mut().zip(self.a).zip(self.b) {
            *out = self.factor * (a - b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::oracle::check::{assert_close, dot, finite_differences};
    use crate::kernels::oracle::random::uniform;
    use crate::kernels::oracle::widen;

    fn oracle(a: &[f64], b: &[f64], items: usize) -> Vec<f64> {
        let length = a.len() / items;
        let squares: Vec<f64> = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).collect();
        let items = squares.chunks_exact(length);
        items
            .map(|item| item.iter().sum::<f64>() / length as f64)
            .collect()
    }

    #[test]
    fn values_agree_with_the_definition() {
        for (items, length) in [(1, 1), (2, 17), (3, 513), (2, 2 * PART + 5)] {
            let [a, b] = [1, 2].map(|seed| uniform(seed, items * length, 1.0));
            let expected = oracle(&widen(&a), &widen(&b), items);
            assert_close(&mean_difference(&a, &b, items), &expected, 1e-6);
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let (items, length) = (2, 37);
        let [a, b] = [1, 2].map(|seed| uniform(seed, items * length, 1.0));
        let grad = [0.7, -1.3];
        let loss = |a: &[f64], b: &[f64]| dot(&oracle(a, b, items), &widen(&grad));
        let [of_a, of_b] = mean_difference_grad(&a, &b, &grad, [true; 2]).map(Option::unwrap);
        let expected = finite_differences(|a| loss(a, &widen(&b)), &widen(&a), 1e-4);
        assert_close(&of_a, &expected, 1e-5);
        let expected = finite_differences(|b| loss(&widen(&a), b), &widen(&b), 1e-4);
        assert_close(&of_b, &expected, 1e-5);
    }

    #[test]
    fn long_items_are_written_to_their_end() {
        let length = PART + 3;
        let [a, b] = [1, 2].map(|seed| uniform(seed, length, 1.0));
        let [of_a, of_b] = mean_difference_grad(&a, &b, &[1.0], [true, false]);
        let expected = |at: usize| 2.0 * f64::from(a[at] - b[at]) / length as f64;
        let expected: Vec<f64> = (0..length).map(expected).collect();
        assert_close(&of_a.unwrap(), &expected, 1e-6);
        assert!(of_b.is_none());
    }

    #[test]
    fn a_nan_is_not_hidden() {
        let mut a = uniform(1, 80, 1.0);
        a[41] = f32::NAN;
        let means = mean_difference(&a, &[0.5; 80], 2);
        assert!(means[0].is_finite() && means[1].is_nan());
    }
}
