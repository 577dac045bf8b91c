//! Jacobian determinant of a transform: how it changes volumes, and where it folds.

use rayon::prelude::*;

use super::blocks::unwritten;
use super::{Extent, vector};

/// Determinant of the derivative of `x + u(x)` at every voxel; at most 0 where the transform folds.
///
/// `u` is `[n, nf, extent]` in voxels, `nf` 2 (h, w; in each plane) or 3; returns `[n, extent]`.
/// Central differences, one-sided at the ends (`numpy.gradient`); an axis of one voxel counts as
/// undeformed.
pub fn determinant(u: &[f32], nf: usize, extent: Extent) -> Vec<f32> {
    let voxels: usize = extent.iter().product();
    assert!(
        (nf == 2 || nf == 3) && voxels > 0 && u.len().is_multiple_of(nf * voxels),
        "Jacobian: {} values do not fill [n, {nf}, {extent:?}]",
        u.len()
    );
    // SAFETY: every plane is written.
    let mut out = unsafe { unwritten(u.len() / nf) };
    let plane = extent[1] * extent[2];
    out.par_chunks_exact_mut(plane)
        .enumerate()
        .for_each(|(at, out)| {
            let (item, z) = (at / extent[0], at % extent[0]);
            let u = &u[item * nf * voxels..][..nf * voxels];
            if nf == 3 {
                vector::run(Plane::<3> { u, extent, z, out });
            } else {
                vector::run(Plane::<2> { u, extent, z, out });
            }
        });
    out
}

/// Determinants of one plane.
struct Plane<'a, const N: usize> {
    /// One item.
    u: &'a [f32],
    extent: Extent,
    z: usize,
    out: &'a mut [f32],
}

impl<const N: usize> vector::Work for Plane<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let [_, h, w] = self.extent;
        let voxels: usize = self.extent.iter().product();
        // Derivatives along one row: component, axis, voxel.
        let mut rows: [[Vec<f32>; N]; N] =
            std::array::from_fn(|_| std::array::from_fn(|_| vec![0.0; w]));
        for (y, out) in self.out.chunks_exact_mut(w).enumerate() {
            for (component, rows) in rows.iter_mut().enumerate() {
                let values = &self.u[component * voxels..][..voxels];
                for (axis, row) in rows.iter_mut().enumerate() {
                    let identity = if axis == component { 1.0 } else { 0.0 };
                    match axis + 3 - N {
                        0 => across(
                            values,
                            [self.z, self.extent[0]],
                            h * w,
                            y * w,
                            identity,
                            row,
                        ),
                        1 => across(values, [y, h], w, self.z * h * w, identity, row),
                        _ => along(&values[(self.z * h + y) * w..][..w], identity, row),
                    }
                }
            }
            for (i, out) in out.iter_mut().enumerate() {
                let m = |component: usize, axis: usize| rows[component][axis][i];
                *out = if N == 2 {
                    m(0, 0) * m(1, 1) - m(0, 1) * m(1, 0)
                } else {
                    m(0, 0) * (m(1, 1) * m(2, 2) - m(1, 2) * m(2, 1))
                        - m(0, 1) * (m(1, 0) * m(2, 2) - m(1, 2) * m(2, 0))
                        + m(0, 2) * (m(1, 0) * m(2, 1) - m(1, 1) * m(2, 0))
                };
            }
        }
    }
}

/// Neighbours of voxel `i` of `n` along an axis, and the factor of their difference.
#[inline(always)]
fn neighbours(i: usize, n: usize) -> (usize, usize, f32) {
    let (before, after) = (i.saturating_sub(1), (i + 1).min(n - 1));
    (before, after, 1.0 / (after - before).max(1) as f32)
}

/// Derivative at position `i` of `n` along the axis of step `stride`, for the row at `offset`.
#[inline(always)]
fn across(
    values: &[f32],
    [i, n]: [usize; 2],
    stride: usize,
    offset: usize,
    identity: f32,
    row: &mut [f32],
) {
    let (before, after, factor) = neighbours(i, n);
    let before = &values[before * stride + offset..][..row.len()];
    let after = &values[after * stride + offset..][..row.len()];
    for ((out, a), b) in row.iter_mut().zip(after).zip(before) {
        *out = identity + factor * (a - b);
    }
}

/// Derivative along the row itself.
#[inline(always)]
fn along(values: &[f32], identity: f32, row: &mut [f32]) {
    let n = values.len();
    for i in [0, n - 1] {
        let (before, after, factor) = neighbours(i, n);
        row[i] = identity + factor * (values[after] - values[before]);
    }
    if n > 2 {
        let inner = row[1..n - 1].iter_mut().zip(&values[2..]).zip(values);
        inner.for_each(|((out, a), b)| *out = identity + 0.5 * (a - b));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::oracle::check::assert_close;
    use crate::kernels::oracle::random::uniform;
    use crate::kernels::oracle::{self, widen};

    #[test]
    fn matches_the_definition() {
        let grids = [
            (3, [4, 5, 6]),
            (3, [1, 5, 6]),
            (3, [3, 1, 2]),
            (3, [1, 1, 1]),
            (2, [1, 5, 6]),
            (2, [1, 1, 7]),
            (2, [3, 4, 2]),
        ];
        for (nf, extent) in grids {
            let u = uniform(1, 2 * nf * extent.iter().product::<usize>(), 1.0);
            let expected = oracle::jacobian::determinant(&widen(&u), nf, extent);
            // Products of three float32 differences of order 1.
            assert_close(&determinant(&u, nf, extent), &expected, 1e-6);
        }
    }

    #[test]
    fn agrees_with_numpy() {
        // python -c "import numpy as np; u = np.arange(24.).reshape(2,3,4)**2 % 7 / 4
        // g = np.stack(np.meshgrid(range(3), range(4), indexing='ij'))
        // (a, b), (c, d) = [np.gradient(p) for p in u + g]; print((a*d - b*c).ravel().tolist())"
        let u: Vec<f32> = (0..24).map(|i| (i * i % 7) as f32 / 4.0).collect();
        let expected = [
            0.375, 0.75, 0.1875, 1.0, 0.75, 1.015625, 1.0, 1.59375, 1.125, 1.0625, 1.8125, 2.625,
        ];
        assert_close(&determinant(&u, 2, [1, 3, 4]), &expected, 1e-6);
    }

    #[test]
    fn a_linear_map_has_its_determinant_everywhere() {
        // phi = A x with det A = 2.1 by hand: (1.5 * 1.4) * 1, with a shear that does not count.
        let [d, h, w] = [4, 5, 6];
        let mut u = Vec::new();
        for component in 0..3 {
            for at in 0..d * h * w {
                let [z, y, x] = [at / (h * w), at / w % h, at % w].map(|v| v as f32);
                u.push([0.5 * z + 0.3 * x, 0.4 * y, 0.0 * x][component]);
            }
        }
        assert_close(&determinant(&u, 3, [d, h, w]), &[2.1; 120], 1e-6);
    }

    #[test]
    fn a_nan_reaches_only_its_neighbours() {
        let mut u = vec![0.0; 3 * 125];
        u[62] = f32::NAN;
        let det = determinant(&u, 3, [5, 5, 5]);
        // Not the voxel itself: central differences skip it.
        assert_eq!(det.iter().filter(|v| v.is_nan()).count(), 6);
        assert!(det.iter().filter(|v| !v.is_nan()).all(|&v| v == 1.0));
    }
}
