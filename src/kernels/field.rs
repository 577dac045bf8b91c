//! Displacement fields: composition, with matrices too, and inversion.
//!
//! A field `u` is `[n, nf, extent]` in voxels and stands for the pull `phi(x) = x + u(x)`.

use rayon::prelude::*;

use super::affine::Map;
use super::warp::{self, Border, Shape};
use super::{Extent, vector};

/// Displacement of `a` after `b` in the pull's order: `u(x) = b(x) + a(x + b(x))`.
///
/// Both are `[n, nf, extent]`; `border` says what `a` is outside its grid.
pub fn compose(a: &[f32], b: &[f32], nf: usize, extent: Extent, border: Border) -> Vec<f32> {
    let n = items(b, nf, extent);
    warp::compose(a, b, &Shape::fields(extent, n, nf, border))
}

/// Displacement of `x -> map(x + u(x))` for a field of one item; in 2-D the position along `d` is 0.
pub fn mapped(u: &[f32], map: &Map, nf: usize, extent: Extent) -> Vec<f32> {
    let [_, h, w] = extent;
    let (voxels, first) = (extent.iter().product::<usize>(), 3 - nf);
    assert_eq!(u.len(), nf * voxels, "field: values do not fill {extent:?}");
    let mut moved = vec![0.0; u.len()];
    let lines = moved.par_chunks_mut(w).enumerate();
    lines.for_each(|(line, out)| {
        let (component, start) = (line * w / voxels, line * w % voxels);
        let axis = first + component;
        let origin = [start / (h * w), start / w % h, 0].map(|x| x as f64);
        for (step, out) in out.iter_mut().enumerate() {
            let mut position = origin;
            position[2] += step as f64;
            let mut to = map[axis][3] - position[axis];
            for from in 0..3_usize {
                let shift = if from < first {
                    0.0
                } else {
                    f64::from(u[(from - first) * voxels + start + step])
                };
                to += map[axis][from] * (position[from] + shift);
            }
            *out = to as f32;
        }
    });
    moved
}

/// Inverse of `u`, `[n, nf, extent]`, and how far `phi o phi_inverse` is from the identity: the
/// greatest residual `|v(x) + u(x + v(x))|` in voxels, NaN if `u` holds a NaN.
///
/// Fixed point `v <- -u o (id + v)` (Chen et al., Medical Physics 2008), which converges where `u`
/// changes by less than a voxel per voxel; `u` keeps its edge values outside. Stops when the residual
/// is at most `tolerance`, or after `iterations` updates: judge the result by the residual.
pub fn invert(
    u: &[f32],
    nf: usize,
    extent: Extent,
    iterations: usize,
    tolerance: f32,
) -> (Vec<f32>, f32) {
    let n = items(u, nf, extent);
    let opposite: Vec<f32> = u.par_iter().map(|u| -u).collect();
    let mut inverse = vec![0.0; u.len()];
    let shape = Shape::fields(extent, n, nf, Border::Edge);
    for update in 0.. {
        let next = warp::linear(&opposite, &inverse, &shape);
        let residual = greatest_distance(&inverse, &next, nf, extent.iter().product());
        if residual <= tolerance || update == iterations {
            return (inverse, residual);
        }
        inverse = next;
    }
    unreachable!("the loop counts up to the iterations")
}

/// An inverse of `u`, `[nf, extent]`, that is nowhere worse than `inverse`, which has to be near.
///
/// Each voxel takes the steps of the fixed point of [`invert`] that shorten its own residual, and halves those that do not.
pub fn polish_inverse(
    u: &[f32],
    mut inverse: Vec<f32>,
    nf: usize,
    extent: Extent,
    updates: usize,
) -> Vec<f32> {
    let voxels = extent.iter().product::<usize>();
    let shape = Shape::fields(extent, 1, nf, Border::Edge);
    let residual = |v: &[f32]| {
        let mut residual = warp::linear(u, v, &shape);
        residual.par_iter_mut().zip(v).for_each(|(r, v)| *r += v);
        residual
    };
    let squares = |residual: &[f32]| -> Vec<f32> {
        let square = |at: usize| (0..nf).map(|c| residual[c * voxels + at].powi(2)).sum();
        (0..voxels).into_par_iter().map(square).collect()
    };
    let mut best = residual(&inverse);
    let mut least = squares(&best);
    let mut step = vec![1.0_f32; voxels];
    for _ in 0..updates {
        let moved = |(at, v): (usize, &f32)| v - step[at % voxels] * best[at];
        let trial: Vec<f32> = inverse.par_iter().enumerate().map(moved).collect();
        let found = residual(&trial);
        let reached = squares(&found);
        // What is not a number is never taken.
        let better: Vec<bool> = reached.iter().zip(&least).map(|(a, b)| a < b).collect();
        for (kept, new) in [(&mut inverse, &trial), (&mut best, &found)] {
            let values = kept.par_iter_mut().zip(new).enumerate();
            let taken = values.filter(|(at, _)| better[at % voxels]);
            taken.for_each(|(_, (kept, new))| *kept = *new);
        }
        for (((step, least), reached), better) in
            step.iter_mut().zip(&mut least).zip(reached).zip(better)
        {
            match better {
                true => *least = reached,
                false => *step *= 0.5,
            }
        }
    }
    inverse
}

/// Number of items in a field.
fn items(u: &[f32], nf: usize, extent: Extent) -> usize {
    let item = nf * extent.iter().product::<usize>();
    assert!(
        item > 0 && u.len().is_multiple_of(item),
        "field: {} values do not fill [n, {nf}, {extent:?}]",
        u.len()
    );
    u.len() / item
}

/// Greatest distance over all voxels between the vectors `a` and `b`; NaN if there is one.
fn greatest_distance(a: &[f32], b: &[f32], nf: usize, voxels: usize) -> f32 {
    const PART: usize = 8192;
    let greatest = |part: usize| {
        let (item, start) = (
            part / voxels.div_ceil(PART),
            part % voxels.div_ceil(PART) * PART,
        );
        let end = voxels.min(start + PART);
        let components = (item * nf..(item + 1) * nf).map(|c| c * voxels + start..c * voxels + end);
        let pairs = components.map(|run| (&a[run.clone()], &b[run])).collect();
        vector::run(Squares { pairs })
    };
    let parts = a.len() / (nf * voxels) * voxels.div_ceil(PART);
    (0..parts)
        .into_par_iter()
        .map(greatest)
        .reduce(|| 0.0, greater)
        .sqrt()
}

/// The greater of two numbers, NaN above all.
fn greater(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}

/// Greatest squared distance between two runs of vectors, given by component.
struct Squares<'a> {
    pairs: Vec<(&'a [f32], &'a [f32])>,
}

impl vector::Work for Squares<'_> {
    type Output = f32;

    #[inline(always)]
    fn run(self) -> f32 {
        let mut squares = vec![0.0_f32; self.pairs[0].0.len()];
        for (a, b) in self.pairs {
            for ((square, a), b) in squares.iter_mut().zip(a).zip(b) {
                *square += (a - b) * (a - b);
            }
        }
        squares.into_iter().fold(0.0, greater)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::oracle::check::assert_close;
    use crate::kernels::oracle::random::uniform;
    use crate::kernels::oracle::{self, widen};
    use crate::kernels::resize;

    /// Float32 positions of some ten voxels.
    const TOLERANCE: f64 = 1e-5;

    const GRIDS: [(usize, Extent); 6] = [
        (3, [5, 6, 7]),
        (3, [1, 6, 7]),
        (3, [5, 1, 1]),
        (2, [1, 9, 8]),
        (2, [1, 1, 9]),
        (3, [1, 1, 1]),
    ];

    /// Two smooth random fields that change by less than half a voxel per voxel.
    fn smooth(seed: u64, nf: usize, extent: Extent) -> Vec<f32> {
        let coarse = extent.map(|n| n.div_ceil(4));
        let values = uniform(seed, 2 * nf * coarse.iter().product::<usize>(), 0.6);
        resize::linear(&values, 2 * nf, coarse, extent, 1.0)
    }

    #[test]
    fn composition_matches_the_definition() {
        for (nf, extent) in GRIDS {
            let (a, b) = (smooth(1, nf, extent), smooth(2, nf, extent));
            for border in [Border::Zeros, Border::Edge] {
                let found = compose(&a, &b, nf, extent, border);
                let expected = oracle::field::compose(&widen(&a), &widen(&b), nf, extent, border);
                assert_close(&found, &expected, TOLERANCE);
            }
        }
    }

    #[test]
    fn polishing_ends_at_the_inverse_and_makes_nothing_worse() {
        for (nf, extent) in GRIDS {
            let u = smooth(3, nf, extent);
            let u = &u[..u.len() / 2];
            let (exact, _) = invert(u, nf, extent, 100, 1e-6);
            let off = uniform(4, u.len(), 0.2);
            let rough: Vec<f32> = exact.iter().zip(&off).map(|(v, off)| v + off).collect();
            let residual = |v: &[f32]| -> Vec<f32> {
                let there = warp::linear(u, v, &Shape::fields(extent, 1, nf, Border::Edge));
                let voxels: usize = extent.iter().product();
                let length = |at: usize| {
                    (0..nf)
                        .map(|c| (there[c * voxels + at] + v[c * voxels + at]).powi(2))
                        .sum()
                };
                (0..voxels).map(length).collect()
            };
            let polished = polish_inverse(u, rough.clone(), nf, extent, 20);
            let pairs = residual(&polished).into_iter().zip(residual(&rough));
            for (after, before) in pairs {
                assert!(
                    after <= before && after < 1e-8,
                    "{extent:?}: {before} {after}"
                );
            }
            // Where it steepens by 1.5 voxels a voxel the plain fixed point does not end.
            let steep: Vec<f32> = u.iter().map(|u| 3.0 * u).collect();
            let again = polish_inverse(&steep, rough, nf, extent, 20);
            assert!(again.iter().all(|v| v.is_finite()));
        }
    }

    #[test]
    fn an_inverse_undoes_its_field() {
        for (nf, extent) in GRIDS {
            let u = smooth(3, nf, extent);
            let (inverse, residual) = invert(&u, nf, extent, 100, 1e-5);
            assert!(residual <= 1e-5, "{extent:?}: {residual}");
            let left =
                oracle::field::compose(&widen(&u), &widen(&inverse), nf, extent, Border::Edge);
            assert!(left.iter().all(|r| r.abs() < 2e-5));
            assert!(inverse.iter().any(|v| v.abs() > 0.01), "moves at all");
        }
    }

    #[test]
    fn inverting_a_shift_turns_it_round() {
        let (inverse, residual) = invert(&[0.0, 0.0, 0.0, 1.25, 1.25, 1.25], 2, [1, 1, 3], 5, 0.0);
        assert_eq!(
            (inverse, residual),
            (vec![0.0, 0.0, 0.0, -1.25, -1.25, -1.25], 0.0)
        );
    }

    #[test]
    fn the_residual_owns_up() {
        let u = smooth(4, 3, [5, 6, 7]);
        let length = |at: usize| (0..3).map(|c| u[c * 210 + at].powi(2)).sum::<f32>().sqrt();
        let items = (0..210).map(length).chain((630..840).map(length));
        // Without any update the inverse is zero and the residual is the field itself.
        let (inverse, residual) = invert(&u, 3, [5, 6, 7], 0, 1e-5);
        assert!(inverse.iter().all(|&v| v == 0.0));
        assert_eq!(residual, items.fold(0.0, f32::max));
        // A rough field folds and has no inverse: the residual is what the definition finds.
        let rough = uniform(6, 2 * 72, 3.0);
        let (inverse, residual) = invert(&rough, 2, [1, 9, 8], 20, 1e-3);
        let left =
            oracle::field::compose(&widen(&rough), &widen(&inverse), 2, [1, 9, 8], Border::Edge);
        let expected = (0..72)
            .map(|at| left[at].hypot(left[at + 72]))
            .fold(0.0, f64::max);
        assert!(expected > 0.5 && (f64::from(residual) - expected).abs() < 1e-4 * expected);
    }

    #[test]
    fn a_nan_is_not_hidden() {
        let mut u = smooth(5, 2, [1, 9, 8]);
        u[40] = f32::NAN;
        for iterations in [0, 1, 2, 5] {
            assert!(invert(&u, 2, [1, 9, 8], iterations, 1e-3).1.is_nan());
        }
    }
}
