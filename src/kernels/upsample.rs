//! Nearest-neighbour upsampling with concatenation: the step up of a U-Net's decoder.

use rayon::prelude::*;

use super::Extent;
use super::blocks::{blocks, rows_step, unwritten};

/// Upsamples `low`, `[n, cl, low_extent]`, to `skip_extent` and puts `skip`, `[n, cs, skip_extent]`,
/// behind it: `[n, cl + cs, skip_extent]`.
///
/// Along an axis where the extents are equal voxels are kept, else each is taken twice; where the skip
/// is longer than that, the last voxel repeats.
pub fn nearest_concat(
    low: &[f32],
    low_extent: Extent,
    cl: usize,
    skip: &[f32],
    skip_extent: Extent,
    cs: usize,
    n: usize,
) -> Vec<f32> {
    let (small, large) = sizes(low_extent, skip_extent);
    assert_eq!(
        low.len(),
        n * cl * small,
        "upsample: low does not fill [{n}, {cl}, {low_extent:?}]"
    );
    assert_eq!(
        skip.len(),
        n * cs * large,
        "upsample: skip does not fill [{n}, {cs}, {skip_extent:?}]"
    );
    let [planes, rows, columns] = sources(low_extent, skip_extent);
    let [_, h, w] = skip_extent;
    // SAFETY: the blocks cover it and write every voxel.
    let mut out = unsafe { unwritten(n * (cl + cs) * large) };
    blocks(&mut out, 1, large, rows_step(w))
        .into_par_iter()
        .for_each(|mut block| {
            let (item, channel) = (block.item / (cl + cs), block.item % (cl + cs));
            let out = &mut block.channels[0];
            if channel >= cl {
                let from = (item * cs + channel - cl) * large + block.start;
                out.copy_from_slice(&skip[from..][..out.len()]);
                return;
            }
            let low = &low[(item * cl + channel) * small..][..small];
            let mut last = None;
            for r in 0..out.len() / w {
                let row = block.start / w + r;
                let from = (planes[row / h] * low_extent[1] + rows[row % h]) * low_extent[2];
                if last.replace(from) == Some(from) {
                    out.copy_within((r - 1) * w..r * w, r * w);
                    continue;
                }
                let low = &low[from..][..low_extent[2]];
                for (out, &column) in out[r * w..].iter_mut().zip(&columns) {
                    *out = low[column];
                }
            }
        });
    out
}

/// Gradients of [`nearest_concat`] for `low` and `skip`, from `grad_out`, `[n, cl + cs, skip_extent]`.
pub fn nearest_concat_grad(
    grad_out: &[f32],
    low_extent: Extent,
    cl: usize,
    skip_extent: Extent,
    cs: usize,
    n: usize,
) -> (Vec<f32>, Vec<f32>) {
    let (small, large) = sizes(low_extent, skip_extent);
    let all = cl + cs;
    assert_eq!(
        grad_out.len(),
        n * all * large,
        "upsample: gradient does not fill [{n}, {all}, {skip_extent:?}]"
    );
    // SAFETY: the blocks cover both and write every voxel.
    let (mut grad_low, mut grad_skip) =
        unsafe { (unwritten(n * cl * small), unwritten(n * cs * large)) };
    let readers = [0, 1, 2].map(|a| readers(low_extent[a], skip_extent[a]));
    let [_, h, w] = low_extent;
    blocks(&mut grad_low, 1, small, rows_step(w))
        .into_par_iter()
        .for_each(|mut block| {
            let from = (block.item / cl * all + block.item % cl) * large;
            let grad = &grad_out[from..][..large];
            let mut sums = vec![0.0; skip_extent[2]];
            for (r, out) in block.channels[0].chunks_exact_mut(w).enumerate() {
                let row = block.start / w + r;
                sums.fill(0.0);
                for z in readers[0][row / h].clone() {
                    for y in readers[1][row % h].clone() {
                        let grad = &grad[(z * skip_extent[1] + y) * skip_extent[2]..];
                        sums.iter_mut().zip(grad).for_each(|(sum, g)| *sum += g);
                    }
                }
                for (out, columns) in out.iter_mut().zip(&readers[2]) {
                    *out = sums[columns.clone()].iter().sum();
                }
            }
        });
    grad_skip
        .par_chunks_mut(large.max(1))
        .enumerate()
        .for_each(|(at, out)| {
            out.copy_from_slice(&grad_out[(at / cs * all + cl + at % cs) * large..][..large]);
        });
    (grad_low, grad_skip)
}

fn sizes(low: Extent, skip: Extent) -> (usize, usize) {
    assert!(
        low.iter().all(|&n| n > 0),
        "upsample: low extent {low:?} is empty"
    );
    (low.iter().product(), skip.iter().product())
}

/// Per axis, the low voxel that each voxel of the skip copies.
fn sources(low: Extent, skip: Extent) -> [Vec<usize>; 3] {
    [0, 1, 2].map(|a| (0..skip[a]).map(|i| source(i, low[a], skip[a])).collect())
}

fn source(i: usize, low: usize, skip: usize) -> usize {
    let factor = if low == skip { 1 } else { 2 };
    (i / factor).min(low - 1)
}

/// For each low voxel of an axis, the voxels of the skip that copy it.
fn readers(low: usize, skip: usize) -> Vec<std::ops::Range<usize>> {
    let end = |at: usize| (0..skip).filter(|&i| source(i, low, skip) < at).count();
    (0..low).map(|at| end(at)..end(at + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::oracle::check::{assert_close, dot, finite_differences};
    use crate::kernels::oracle::random::uniform;
    use crate::kernels::oracle::{self, widen};

    /// Low and skip extents: even, odd from floor and from ceiling, 2-D, single voxels, same size.
    const CASES: [(Extent, Extent); 7] = [
        ([2, 3, 4], [4, 6, 8]),
        ([2, 3, 1], [5, 7, 3]),
        ([3, 2, 4], [5, 3, 7]),
        ([1, 3, 4], [1, 6, 9]),
        ([1, 1, 1], [1, 1, 1]),
        ([1, 1, 1], [2, 3, 1]),
        ([2, 3, 4], [2, 3, 4]),
    ];

    fn inputs(low: Extent, cl: usize, skip: Extent, cs: usize) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let (small, large) = (
            low.iter().product::<usize>(),
            skip.iter().product::<usize>(),
        );
        let (n, grad) = (2, 2 * (cl + cs) * large);
        (
            uniform(1, n * cl * small, 1.0),
            uniform(2, n * cs * large, 1.0),
            uniform(3, grad, 1.0),
        )
    }

    #[test]
    fn matches_the_definition() {
        for (low_extent, skip_extent) in CASES {
            for (cl, cs) in [(3, 2), (2, 0)] {
                let (low, skip, _) = inputs(low_extent, cl, skip_extent, cs);
                let found = nearest_concat(&low, low_extent, cl, &skip, skip_extent, cs, 2);
                let (low, skip) = (widen(&low), widen(&skip));
                let expected = oracle::upsample::nearest_concat(
                    &low,
                    low_extent,
                    cl,
                    &skip,
                    skip_extent,
                    cs,
                    2,
                );
                assert_close(&found, &expected, 0.0);
            }
        }
    }

    #[test]
    fn gradients_match_finite_differences() {
        for (low_extent, skip_extent) in CASES {
            let (low, skip, grad) = inputs(low_extent, 2, skip_extent, 3);
            let (of_low, of_skip) = nearest_concat_grad(&grad, low_extent, 2, skip_extent, 3, 2);
            let (low, skip, grad) = (widen(&low), widen(&skip), widen(&grad));
            let value = |low: &[f64], skip: &[f64]| {
                let all =
                    oracle::upsample::nearest_concat(low, low_extent, 2, skip, skip_extent, 3, 2);
                dot(&grad, &all)
            };
            // At most 27 float32 terms of order 1.
            assert_close(
                &of_low,
                &finite_differences(|x| value(x, &skip), &low, 0.5),
                1e-6,
            );
            assert_close(
                &of_skip,
                &finite_differences(|x| value(&low, x), &skip, 0.5),
                1e-6,
            );
        }
    }

    #[test]
    fn a_nan_reaches_only_its_copies() {
        let out = nearest_concat(&[f32::NAN, 1.0], [1, 1, 2], 1, &[2.0; 5], [1, 1, 5], 1, 1);
        assert!(out[0].is_nan() && out[1].is_nan());
        assert_eq!(out[2..], [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0]);
    }
}
