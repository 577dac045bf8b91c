//! Gaussian smoothing, separable.

use rayon::prelude::*;

use super::{Extent, vector};

/// Standard deviation in voxels below which nothing is smoothed.
pub const LEAST_SD: f64 = 1e-3;

/// Smooths `items` images with a Gaussian of standard deviation `sd` voxels along `[d, h, w]`.
///
/// `x` is `[items, extent]`, as is the result. The kernel ends at 3 SD and sums to one; beyond the border the edge
/// value repeats. An axis with an SD below [`LEAST_SD`] is left alone.
pub fn smooth(x: &[f32], items: usize, extent: Extent, sd: [f64; 3]) -> Vec<f32> {
    let [d, h, w] = extent;
    assert_eq!(
        x.len(),
        items * d * h * w,
        "Gaussian: values do not fill [{items}, {extent:?}]"
    );
    let taps = sd.map(kernel);
    let mut out = vec![0.0; x.len()];
    out.par_chunks_exact_mut((h * w).max(1))
        .enumerate()
        .for_each_init(Vec::new, |scratch, (at, out)| {
            let (item, z) = (at / d, at % d);
            vector::run(Plane {
                item: &x[item * d * h * w..][..d * h * w],
                extent,
                z,
                taps: &taps,
                out,
                scratch,
            });
        });
    out
}

/// Half of a symmetric kernel: the weight at distance 0, 1, 2 ...
pub(crate) fn kernel(sd: f64) -> Vec<f32> {
    if sd < LEAST_SD {
        return vec![1.0];
    }
    let radius = (3.0 * sd).ceil() as usize;
    let weight = |x: usize| (-0.5 * (x as f64 / sd).powi(2)).exp();
    let total: f64 = weight(0) + 2.0 * (1..=radius).map(weight).sum::<f64>();
    (0..=radius).map(|x| (weight(x) / total) as f32).collect()
}

/// Makes one plane of the result: along d from the planes around it, then along h and w inside the cache.
struct Plane<'a> {
    item: &'a [f32],
    extent: Extent,
    z: usize,
    taps: &'a [Vec<f32>; 3],
    out: &'a mut [f32],
    scratch: &'a mut Vec<f32>,
}

impl vector::Work for Plane<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let [d, h, w] = self.extent;
        let plane = h * w;
        let [along_d, along_h, along_w] = self.taps;
        weighted(self.out, along_d, self.z, d, |z| {
            &self.item[z * plane..][..plane]
        });
        if along_h.len() > 1 {
            self.scratch.clear();
            self.scratch.extend_from_slice(self.out);
            for (y, row) in self.out.chunks_exact_mut(w).enumerate() {
                weighted(row, along_h, y, h, |y| &self.scratch[y * w..][..w]);
            }
        }
        if along_w.len() > 1 {
            for row in self.out.chunks_exact_mut(w) {
                along_row(row, along_w, self.scratch);
            }
        }
    }
}

/// `out` becomes the weighted sum of the runs around number `at` of `n`.
#[inline(always)]
fn weighted<'a>(
    out: &mut [f32],
    taps: &[f32],
    at: usize,
    n: usize,
    run: impl Fn(usize) -> &'a [f32],
) {
    for (out, centre) in out.iter_mut().zip(run(at)) {
        *out = taps[0] * centre;
    }
    for (distance, &tap) in taps.iter().enumerate().skip(1) {
        let (before, after) = (
            run(at.saturating_sub(distance)),
            run((at + distance).min(n - 1)),
        );
        for ((out, before), after) in out.iter_mut().zip(before).zip(after) {
            *out += tap * (before + after);
        }
    }
}

/// Smooths one row in place.
#[inline(always)]
fn along_row(row: &mut [f32], taps: &[f32], padded: &mut Vec<f32>) {
    let (n, radius) = (row.len(), taps.len() - 1);
    padded.clear();
    padded.resize(radius, row[0]);
    padded.extend_from_slice(row);
    padded.resize(n + 2 * radius, row[n - 1]);
    let run = |start: usize| &padded[start..start + n];
    for (out, centre) in row.iter_mut().zip(run(radius)) {
        *out = taps[0] * centre;
    }
    for (distance, &tap) in taps.iter().enumerate().skip(1) {
        let pairs = run(radius - distance).iter().zip(run(radius + distance));
        for (out, (before, after)) in row.iter_mut().zip(pairs) {
            *out += tap * (before + after);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::oracle::random::uniform;
    use crate::kernels::oracle::{self, check, widen};

    #[test]
    fn matches_the_definition() {
        for extent in [[5, 6, 7], [1, 9, 20], [4, 1, 1], [1, 1, 1], [3, 1, 40]] {
            for sd in [[0.7, 1.0, 1.5], [0.0, 2.0, 0.0], [3.0, 0.0, 0.5]] {
                let x = uniform(1, 2 * extent.iter().product::<usize>(), 1.0);
                let expected = oracle::gaussian::smooth(&widen(&x), 2, extent, sd);
                check::assert_close(&smooth(&x, 2, extent, sd), &expected, 1e-6);
            }
        }
    }

    #[test]
    fn a_constant_stays_and_a_point_spreads_by_the_variance() {
        assert!(
            smooth(&[3.0; 60], 1, [3, 4, 5], [1.0; 3])
                .iter()
                .all(|v| (v - 3.0).abs() < 1e-5)
        );
        let mut point = vec![0.0; 41];
        point[20] = 1.0;
        let spread = smooth(&point, 1, [1, 1, 41], [0.0, 0.0, 2.0]);
        let variance: f32 = (0..41).map(|i| (i as f32 - 20.0).powi(2) * spread[i]).sum();
        // Cut at 3 SD, the variance of 4 loses a few percent.
        assert!((3.8..4.0).contains(&variance), "{variance}");
    }

    #[test]
    fn a_nan_stays_inside_the_kernel() {
        let mut x = vec![1.0; 9 * 9 * 9];
        x[4 * 81 + 4 * 9 + 4] = f32::NAN;
        let out = smooth(&x, 1, [9, 9, 9], [0.3, 0.3, 0.0]);
        assert_eq!(out.iter().filter(|v| v.is_nan()).count(), 9);
    }
}
