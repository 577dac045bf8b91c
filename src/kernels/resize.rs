//! Linear resizing with aligned corners: the first and last voxels of both grids coincide.
//!
//! Output voxel `i` of an axis reads position `i (from - 1) / (to - 1)`, or 0 where `to` is 1
//! (PyTorch's `interpolate` with `align_corners`; VoxelMorph's `ResizeTransform`).

use rayon::prelude::*;

use super::blocks::{Block, blocks, rows_step, unwritten};
use super::{Extent, vector};

/// Resizes `items` images from extent `from` to `to` and multiplies the values by `scale`.
///
/// `x` is `[items, from]`; returns `[items, to]`. `scale` serves displacements, whose voxels change
/// size with the grid.
pub fn linear(x: &[f32], items: usize, from: Extent, to: Extent, scale: f32) -> Vec<f32> {
    check(x, items, from, to);
    let [planes, rows, mut columns] = axes(from, to);
    for tap in &mut columns {
        tap.lower *= scale;
        tap.upper *= scale;
    }
    let (volume, voxels) = (from.iter().product::<usize>(), to.iter().product::<usize>());
    // SAFETY: the blocks cover it and write every voxel.
    let mut out = unsafe { unwritten(items * voxels) };
    blocks(&mut out, 1, voxels, rows_step(to[2]))
        .into_par_iter()
        .for_each(|block| {
            let x = &x[block.item * volume..][..volume];
            let taps = [&planes[..], &rows, &columns];
            vector::run(Rows {
                x,
                from,
                taps,
                block,
            });
        });
    out
}

/// The sum of several stacks of `factors.len()` images, each `(values, extent)` resized to `to`; image `c` of it times
/// `factors[c]`.
pub fn sum<'a>(
    stacks: impl Iterator<Item = (&'a [f32], Extent)>,
    factors: &[f32],
    to: Extent,
) -> Vec<f32> {
    let items = factors.len();
    let mut fine = stacks.map(|(values, from)| linear(values, items, from, to, 1.0));
    let voxels: usize = to.iter().product();
    let mut sum = fine.next().unwrap_or_else(|| vec![0.0; items * voxels]);
    for term in fine {
        let pairs = sum.par_chunks_mut(CHUNK).zip(term.par_chunks(CHUNK));
        pairs.for_each(|(sum, term)| sum.iter_mut().zip(term).for_each(|(s, t)| *s += t));
    }
    for (image, &factor) in sum.chunks_exact_mut(voxels).zip(factors) {
        if factor != 1.0 {
            image.par_iter_mut().for_each(|v| *v *= factor);
        }
    }
    sum
}

/// Values of a parallel task of a sum.
const CHUNK: usize = 1 << 14;

/// Gradient of [`linear`] for `x`: its transpose, from `grad_out`, `[items, to]`, to `[items, from]`.
pub fn linear_grad(
    grad_out: &[f32],
    items: usize,
    from: Extent,
    to: Extent,
    scale: f32,
) -> Vec<f32> {
    check(grad_out, items, to, from);
    let [planes, rows, columns] = axes(from, to);
    let (planes, rows) = (transpose(&planes, from[0]), transpose(&rows, from[1]));
    let (volume, plane) = (to.iter().product::<usize>(), to[1] * to[2]);
    let mut out = vec![0.0; items * from.iter().product::<usize>()];
    out.par_chunks_mut((from[1] * from[2]).max(1))
        .enumerate()
        .for_each(|(at, out)| {
            let (item, z) = (at / from[0], at % from[0]);
            let grad = &grad_out[item * volume..][..volume];
            let mut stacked = vec![0.0; plane];
            for &(to_z, weight) in &planes[z] {
                vector::run(AddScaled {
                    sum: &mut stacked,
                    x: &grad[to_z * plane..][..plane],
                    weight,
                });
            }
            let mut row = vec![0.0; to[2]];
            for (out, terms) in out.chunks_exact_mut(from[2]).zip(&rows) {
                row.fill(0.0);
                for &(to_y, weight) in terms {
                    let x = &stacked[to_y * to[2]..][..to[2]];
                    vector::run(AddScaled {
                        sum: &mut row,
                        x,
                        weight,
                    });
                }
                for (tap, g) in columns.iter().zip(&row) {
                    out[tap.at] += scale * tap.lower * g;
                    out[tap.next] += scale * tap.upper * g;
                }
            }
        });
    out
}

/// The two neighbours of an output voxel along one axis, and their weights.
struct Tap {
    at: usize,
    next: usize,
    lower: f32,
    upper: f32,
}

fn axes(from: Extent, to: Extent) -> [Vec<Tap>; 3] {
    [0, 1, 2].map(|a| axis(from[a], to[a]))
}

fn axis(from: usize, to: usize) -> Vec<Tap> {
    let ratio = if to > 1 {
        (from - 1) as f64 / (to - 1) as f64
    } else {
        0.0
    };
    let tap = |i: usize| {
        let position = i as f64 * ratio;
        let at = (position as usize).min(from - 1);
        let upper = (position - at as f64) as f32;
        Tap {
            at,
            next: (at + 1).min(from - 1),
            lower: 1.0 - upper,
            upper,
        }
    };
    (0..to).map(tap).collect()
}

/// For each input voxel of an axis, the output voxels that read it and with which weight.
fn transpose(taps: &[Tap], from: usize) -> Vec<Vec<(usize, f32)>> {
    let mut readers = vec![Vec::new(); from];
    for (i, tap) in taps.iter().enumerate() {
        for (at, weight) in [(tap.at, tap.lower), (tap.next, tap.upper)] {
            if weight != 0.0 {
                readers[at].push((i, weight));
            }
        }
    }
    readers
}

/// Panics unless `x` fills `[items, from]`: a caller's mistake, not a user's.
fn check(x: &[f32], items: usize, from: Extent, to: Extent) {
    let voxels: usize = from.iter().product();
    assert_eq!(
        x.len(),
        items * voxels,
        "resize: values do not fill [{items}, {from:?}]"
    );
    assert!(
        voxels > 0 && to.iter().all(|&n| n > 0),
        "resize: {from:?} to {to:?} is empty"
    );
}

/// Makes the output rows of a block, each from four input rows.
struct Rows<'a> {
    /// One item.
    x: &'a [f32],
    from: Extent,
    taps: [&'a [Tap]; 3],
    block: Block<'a, f32>,
}

impl vector::Work for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        let ([planes, rows, columns], [_, h, w]) = (self.taps, self.from);
        let first = self.block.start / columns.len();
        let mut blend = vec![0.0; w];
        for (r, out) in self.block.channels[0]
            .chunks_exact_mut(columns.len())
            .enumerate()
        {
            let (z, y) = (
                &planes[(first + r) / rows.len()],
                &rows[(first + r) % rows.len()],
            );
            let row = |z: usize, y: usize| &self.x[(z * h + y) * w..][..w];
            let (a, b) = (row(z.at, y.at), row(z.at, y.next));
            let (c, d) = (row(z.next, y.at), row(z.next, y.next));
            for (i, blend) in blend.iter_mut().enumerate() {
                let near = y.lower * a[i] + y.upper * b[i];
                let far = y.lower * c[i] + y.upper * d[i];
                *blend = z.lower * near + z.upper * far;
            }
            for (out, tap) in out.iter_mut().zip(columns) {
                *out = tap.lower * blend[tap.at] + tap.upper * blend[tap.next];
            }
        }
    }
}

/// `sum += weight * x`.
struct AddScaled<'a> {
    sum: &'a mut [f32],
    x: &'a [f32],
    weight: f32,
}

impl vector::Work for AddScaled<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (sum, x) in self.sum.iter_mut().zip(self.x) {
            *sum += self.weight * x;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::oracle::check::{assert_close, dot, finite_differences};
    use crate::kernels::oracle::random::uniform;
    use crate::kernels::oracle::{self, widen};

    /// Float32 sums of at most eight (forward) or a few dozen (gradient) terms of order 1.
    const TOLERANCE: f64 = 1e-6;

    const SIZES: [(Extent, Extent); 8] = [
        ([3, 4, 5], [6, 8, 10]),
        ([6, 8, 10], [3, 4, 5]),
        ([3, 5, 7], [5, 4, 9]),
        ([1, 5, 7], [1, 10, 14]),
        ([4, 1, 1], [2, 1, 3]),
        ([2, 3, 4], [1, 1, 1]),
        ([1, 1, 1], [2, 3, 2]),
        ([3, 4, 5], [3, 4, 5]),
    ];

    #[test]
    fn matches_the_definition() {
        for (from, to) in SIZES {
            let x = uniform(1, 3 * from.iter().product::<usize>(), 1.0);
            let expected = oracle::resize::linear(&widen(&x), 3, from, to, 0.5);
            assert_close(&linear(&x, 3, from, to, 0.5), &expected, TOLERANCE);
        }
    }

    #[test]
    fn gradient_matches_finite_differences() {
        for (from, to) in SIZES {
            let x = widen(&uniform(2, 2 * from.iter().product::<usize>(), 1.0));
            let grad = uniform(3, 2 * to.iter().product::<usize>(), 1.0);
            let found = linear_grad(&grad, 2, from, to, 2.0);
            let grad = widen(&grad);
            let of_x = |x: &[f64]| dot(&grad, &oracle::resize::linear(x, 2, from, to, 2.0));
            assert_close(&found, &finite_differences(of_x, &x, 0.5), TOLERANCE);
        }
    }

    #[test]
    fn a_straight_line_stays_straight() {
        // By hand: 0, 1, 2 to five voxels, corners kept.
        let out = linear(&[0.0, 1.0, 2.0], 1, [1, 1, 3], [1, 1, 5], 1.0);
        assert_eq!(out, [0.0, 0.5, 1.0, 1.5, 2.0]);
    }

    #[test]
    fn same_size_keeps_every_bit() {
        let x = uniform(4, 60, 1.0);
        assert_eq!(linear(&x, 1, [3, 4, 5], [3, 4, 5], 1.0), x);
    }

    #[test]
    fn a_nan_stays_in_its_neighbourhood() {
        let mut x = vec![1.0; 64];
        x[0] = f32::NAN;
        let out = linear(&x, 1, [4, 4, 4], [8, 8, 8], 1.0);
        assert!(out[0].is_nan());
        // Beyond the first cell in any axis nothing is lost.
        assert!((0..512).filter(|i| i % 8 > 3).all(|i| out[i] == 1.0));
    }
}
