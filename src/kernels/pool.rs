//! Max-pooling over windows of two voxels.

use rayon::prelude::*;

use super::blocks::unwritten;
use super::{Extent, vector};

/// Greatest value of each window of `factor` voxels (1 or 2 along each axis), without overlap; voxels
/// left over at the end are dropped, as PyTorch's `MaxPool`. NaN is greater than all.
///
/// `x` is `[items, extent]`. Returns the pooled images, `[items, extent / factor]`, and where in its
/// image each value was found (the first of equals).
pub fn max2(x: &[f32], items: usize, extent: Extent, factor: [usize; 3]) -> (Vec<f32>, Vec<u32>) {
    let [d, h, w] = extent;
    let (volume, pooled) = (d * h * w, output(extent, factor));
    assert_eq!(
        x.len(),
        items * volume,
        "max-pool: values do not fill [{items}, {extent:?}]"
    );
    assert!(
        volume <= u32::MAX as usize,
        "max-pool: image {extent:?} has too many voxels"
    );
    let len = items * pooled.iter().product::<usize>();
    // SAFETY: every row is written.
    let (mut values, mut argmax) = unsafe { (unwritten(len), unwritten(len)) };
    if len == 0 {
        return (values, argmax);
    }
    let plane = pooled[1] * pooled[2];
    let planes = values
        .par_chunks_exact_mut(plane)
        .zip(argmax.par_chunks_exact_mut(plane));
    planes.enumerate().for_each(|(at, (values, argmax))| {
        let (item, z) = (at / pooled[0], at % pooled[0]);
        let x = &x[item * volume..][..volume];
        let rows = values
            .chunks_exact_mut(pooled[2])
            .zip(argmax.chunks_exact_mut(pooled[2]));
        for (y, (values, argmax)) in rows.enumerate() {
            let corner = (z * factor[0] * h + y * factor[1]) * w;
            let steps = [h * w, w];
            vector::run(Row {
                x,
                steps,
                corner,
                factor,
                values,
                argmax,
            });
        }
    });
    (values, argmax)
}

/// Gradient of [`max2`]: `grad_out`, `[items, extent / factor]`, goes back to where `argmax` says.
pub fn max2_grad(
    grad_out: &[f32],
    argmax: &[u32],
    items: usize,
    extent: Extent,
    factor: [usize; 3],
) -> Vec<f32> {
    let volume: usize = extent.iter().product();
    let pooled: usize = output(extent, factor).iter().product();
    assert_eq!(
        grad_out.len(),
        items * pooled,
        "max-pool: gradient has another size"
    );
    assert_eq!(
        argmax.len(),
        items * pooled,
        "max-pool: positions have another size"
    );
    let mut grad = vec![0.0; items * volume];
    if pooled > 0 {
        let sources = grad_out
            .par_chunks_exact(pooled)
            .zip(argmax.par_chunks_exact(pooled));
        grad.par_chunks_exact_mut(volume)
            .zip(sources)
            .for_each(|(grad, (grad_out, argmax))| {
                for (&g, &at) in grad_out.iter().zip(argmax) {
                    grad[at as usize] = g;
                }
            });
    }
    grad
}

/// Extent after pooling.
fn output(extent: Extent, factor: [usize; 3]) -> Extent {
    assert!(
        factor.iter().all(|f| [1, 2].contains(f)),
        "max-pool: factor {factor:?} is not 1 or 2"
    );
    [0, 1, 2].map(|a| extent[a] / factor[a])
}

/// Pools one output row, whose first window starts at `corner` of image `x`.
struct Row<'a> {
    x: &'a [f32],
    /// Steps in memory along d and h.
    steps: [usize; 2],
    corner: usize,
    factor: [usize; 3],
    values: &'a mut [f32],
    argmax: &'a mut [u32],
}

impl vector::Work for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let first = self.x[self.corner..].iter().step_by(self.factor[2]);
        for (i, (value, first)) in self.values.iter_mut().zip(first).enumerate() {
            (*value, self.argmax[i]) = (*first, (self.corner + i * self.factor[2]) as u32);
        }
        for z in 0..self.factor[0] {
            for y in 0..self.factor[1] {
                let at = self.corner + z * self.steps[0] + y * self.steps[1];
                match self.factor[2] {
                    2 => self.take::<2>(at),
                    _ => self.take::<1>(at),
                }
            }
        }
    }
}

impl Row<'_> {
    /// Takes what is greater in the row of windows, each `N` voxels wide, that starts at `at`.
    #[inline(always)]
    fn take<const N: usize>(&mut self, at: usize) {
        let windows = self.x[at..][..self.values.len() * N].as_chunks::<N>().0;
        let best = self.values.iter_mut().zip(self.argmax.iter_mut());
        for (i, ((value, argmax), window)) in best.zip(windows).enumerate() {
            for (dx, &x) in window.iter().enumerate() {
                let greater = (x > *value) | (x.is_nan() & !value.is_nan());
                *value = if greater { x } else { *value };
                *argmax = if greater {
                    (at + i * N + dx) as u32
                } else {
                    *argmax
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::oracle::check::{assert_close, dot, finite_differences};
    use crate::kernels::oracle::random::uniform;
    use crate::kernels::oracle::{self, widen};

    const CASES: [(Extent, [usize; 3]); 5] = [
        ([4, 6, 8], [2, 2, 2]),
        ([5, 7, 3], [2, 2, 2]),
        ([1, 5, 6], [1, 2, 2]),
        ([1, 1, 5], [1, 1, 2]),
        ([3, 1, 1], [2, 1, 1]),
    ];

    #[test]
    fn matches_the_definition() {
        for (extent, factor) in CASES {
            let volume: usize = extent.iter().product();
            let x = uniform(1, 3 * volume, 1.0);
            let (values, argmax) = max2(&x, 3, extent, factor);
            let expected = oracle::pool::max2(&widen(&x), 3, extent, factor);
            assert_close(&values, &expected, 0.0);
            let per_item = values.len() / 3;
            for (i, (&value, &at)) in values.iter().zip(&argmax).enumerate() {
                assert_eq!(x[i / per_item * volume + at as usize], value);
            }
        }
    }

    #[test]
    fn gradient_matches_finite_differences() {
        for (extent, factor) in CASES {
            let x = uniform(2, 2 * extent.iter().product::<usize>(), 1.0);
            let (values, argmax) = max2(&x, 2, extent, factor);
            let grad = uniform(3, values.len(), 1.0);
            let found = max2_grad(&grad, &argmax, 2, extent, factor);
            let grad = widen(&grad);
            let of_x = |x: &[f64]| dot(&grad, &oracle::pool::max2(x, 2, extent, factor));
            // Exact but for the step's rounding: the gradient only copies.
            assert_close(&found, &finite_differences(of_x, &widen(&x), 1e-6), 1e-8);
        }
    }

    #[test]
    fn an_axis_too_short_for_a_window_leaves_nothing() {
        let (values, argmax) = max2(&[1.0, 2.0], 1, [1, 1, 2], [2, 2, 2]);
        assert!(values.is_empty() && argmax.is_empty());
        assert_eq!(max2_grad(&[], &[], 1, [1, 1, 2], [2, 2, 2]), [0.0, 0.0]);
    }

    #[test]
    fn nan_wins_and_the_first_of_equals_is_taken() {
        let (values, argmax) = max2(&[1.0, f32::NAN, 3.0, 3.0], 1, [1, 1, 4], [1, 1, 2]);
        assert!(values[0].is_nan() && values[1] == 3.0);
        assert_eq!(argmax, [1, 2]);
        let (values, _) = max2(&[f32::NEG_INFINITY; 2], 1, [1, 1, 2], [1, 1, 2]);
        assert_eq!(values, [f32::NEG_INFINITY]);
    }
}
