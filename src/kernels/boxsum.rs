//! Sums over a sliding box, the heart of the local correlation.
//!
//! Each axis in turn, by plain additions: no running subtraction, so nothing drifts. A window of
//! `3 m` voxels is three windows of `m` voxels: 9 takes 4 additions an axis.

use rayon::prelude::*;

use super::blocks::unwritten;
use super::{Extent, vector};

/// What is summed: values, or products that are made on the way and stored nowhere.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    Values(&'a [f32]),
    Products(&'a [f32], &'a [f32]),
}

impl<'a> Source<'a> {
    fn len(self) -> usize {
        match self {
            Self::Values(x) => x.len(),
            Self::Products(x, y) => {
                assert_eq!(x.len(), y.len(), "box sum: factors of different lengths");
                x.len()
            }
        }
    }

    /// Piece `n` of pieces of `len` values.
    fn piece(self, n: usize, len: usize) -> Self {
        let part = |x: &'a [f32]| &x[n * len..][..len];
        match self {
            Self::Values(x) => Self::Values(part(x)),
            Self::Products(x, y) => Self::Products(part(x), part(y)),
        }
    }

    #[inline(always)]
    fn write(self, to: &mut [f32]) {
        match self {
            Self::Values(x) => to.copy_from_slice(x),
            Self::Products(x, y) => {
                for ((to, x), y) in to.iter_mut().zip(x).zip(y) {
                    *to = x * y;
                }
            }
        }
    }
}

/// Sums `items` images over windows of odd sizes `[d, h, w]`, zeros outside.
///
/// `x` is `[items, extent]`, as is the result. The operation is its own transpose.
pub fn box_sum(x: &[f32], items: usize, extent: Extent, window: [usize; 3]) -> Vec<f32> {
    sum_of(Source::Values(x), items, extent, window)
}

/// [`box_sum`] of values or of products.
pub fn sum_of(x: Source, items: usize, extent: Extent, window: [usize; 3]) -> Vec<f32> {
    let [d, h, w] = extent;
    assert_eq!(
        x.len(),
        items * d * h * w,
        "box sum: values do not fill [{items}, {extent:?}]"
    );
    assert!(
        window.iter().all(|n| n % 2 == 1),
        "box sum: window {window:?} must be odd"
    );
    if x.len() == 0 {
        return Vec::new();
    }
    // SAFETY: every plane is written.
    let mut out = unsafe { unwritten(x.len()) };
    let planes = out.par_chunks_exact_mut(h * w).enumerate();
    planes.for_each_init(Sums::default, |sums, (n, out)| {
        vector::run(Plane {
            x: x.piece(n, h * w),
            out,
            width: w,
            window,
            sums,
        });
    });
    if window[0] > 1 && d > 1 {
        sum_depth(&mut out, d, h * w, window[0]);
    }
    out
}

/// Values of a strip of a plane: with all its planes, small enough for the second-level cache.
const STRIP: usize = 256;

/// Sums along d, in place: every task takes a strip through all planes of one item.
fn sum_depth(x: &mut [f32], depth: usize, plane: usize, window: usize) {
    for item in x.chunks_exact_mut(depth * plane) {
        let mut strips: Vec<Vec<&mut [f32]>> = Vec::new();
        strips.resize_with(plane.div_ceil(STRIP), || Vec::with_capacity(depth));
        for values in item.chunks_exact_mut(plane) {
            for (strip, values) in strips.iter_mut().zip(values.chunks_mut(STRIP)) {
                strip.push(values);
            }
        }
        strips
            .into_par_iter()
            .for_each_init(Sums::default, |sums, strip| {
                vector::run(Strip {
                    strip,
                    window,
                    sums,
                });
            });
    }
}

/// Sums one plane along w and h.
struct Plane<'a> {
    x: Source<'a>,
    out: &'a mut [f32],
    width: usize,
    window: [usize; 3],
    sums: &'a mut Sums,
}

impl vector::Work for Plane<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (width, [_, rows, columns]) = (self.width, self.window);
        let height = self.out.len() / width;
        // Rows with their margins are summed as one line: what runs over from row to row lands in
        // the margins.
        let pitch = width + columns - 1;
        let padded = self.sums.zeros((height + rows - 1) * pitch);
        let margin = rows / 2 * pitch + columns / 2;
        for (row, to) in padded[margin..].chunks_mut(pitch).take(height).enumerate() {
            self.x.piece(row, width).write(&mut to[..width]);
        }
        self.sums.sum(columns, 1);
        let sums = self.sums.sum(rows, pitch);
        for (out, sums) in self.out.chunks_exact_mut(width).zip(sums.chunks(pitch)) {
            out.copy_from_slice(&sums[..width]);
        }
    }
}

/// Sums one strip through all planes.
struct Strip<'a> {
    strip: Vec<&'a mut [f32]>,
    window: usize,
    sums: &'a mut Sums,
}

impl vector::Work for Strip<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let lanes = self.strip[0].len();
        let padded = self
            .sums
            .zeros((self.strip.len() + self.window - 1) * lanes);
        let inner = padded[self.window / 2 * lanes..].chunks_exact_mut(lanes);
        for (to, from) in inner.zip(&self.strip) {
            to.copy_from_slice(from);
        }
        let sums = self.sums.sum(self.window, lanes);
        for (to, sums) in self.strip.into_iter().zip(sums.chunks_exact(lanes)) {
            to.copy_from_slice(sums);
        }
    }
}

/// Values being summed, and the memory for the next partial sums.
#[derive(Default)]
struct Sums {
    from: Vec<f32>,
    to: Vec<f32>,
}

impl Sums {
    /// Starts again with `len` zeros, to be filled by the caller.
    fn zeros(&mut self, len: usize) -> &mut [f32] {
        self.from.clear();
        self.from.resize(len, 0.0);
        self.to.resize(len, 0.0);
        &mut self.from
    }

    /// Value `i` becomes the sum of `window` values from `i` on, `step` apart; the last ones go.
    #[inline(always)]
    fn sum(&mut self, window: usize, step: usize) -> &[f32] {
        let (mut left, mut step) = (window, step);
        while left > 1 {
            let terms = [3, 5, 7]
                .into_iter()
                .find(|terms| left.is_multiple_of(*terms));
            let terms = terms.unwrap_or(left);
            let len = self.from.len() - (terms - 1) * step;
            self.to.truncate(len);
            match terms {
                3 => add_terms::<3>(&self.from, &mut self.to, step),
                5 => add_terms::<5>(&self.from, &mut self.to, step),
                7 => add_terms::<7>(&self.from, &mut self.to, step),
                _ => add_many(&self.from, &mut self.to, step, terms),
            }
            std::mem::swap(&mut self.from, &mut self.to);
            left /= terms;
            step *= terms;
        }
        &self.from
    }
}

/// `to[i]` becomes the sum of `N` values of `from`, `step` apart.
#[inline(always)]
fn add_terms<const N: usize>(from: &[f32], to: &mut [f32], step: usize) {
    let terms: [&[f32]; N] = std::array::from_fn(|t| &from[t * step..][..to.len()]);
    for (i, to) in to.iter_mut().enumerate() {
        let mut sum = terms[0][i];
        for term in &terms[1..] {
            sum += term[i];
        }
        *to = sum;
    }
}

/// [`add_terms`] for any number.
#[inline(always)]
fn add_many(from: &[f32], to: &mut [f32], step: usize, terms: usize) {
    to.copy_from_slice(&from[..to.len()]);
    for term in 1..terms {
        for (to, from) in to.iter_mut().zip(&from[term * step..]) {
            *to += from;
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
        // Odd and one-voxel extents, one wider than a strip; windows longer than the image.
        let extents = [
            [5, 6, 7],
            [1, 9, 11],
            [4, 1, 1],
            [1, 1, 1],
            [3, 1, 260],
            [11, 2, 3],
        ];
        for extent in extents {
            for window in [[9, 9, 9], [1, 9, 9], [3, 5, 7], [1, 1, 1], [15, 1, 11]] {
                let x = uniform(1, 2 * extent.iter().product::<usize>(), 1.0);
                let expected = oracle::boxsum::box_sum(&widen(&x), 2, extent, window);
                // Up to 729 float32 terms.
                check::assert_close(&box_sum(&x, 2, extent, window), &expected, 2e-6);
            }
        }
    }

    #[test]
    fn is_its_own_transpose() {
        let (extent, window) = ([4, 5, 6], [3, 9, 5]);
        let (a, b) = (uniform(2, 120, 1.0), uniform(3, 120, 1.0));
        let forward = check::dot(&widen(&box_sum(&a, 1, extent, window)), &widen(&b));
        let backward = check::dot(&widen(&a), &widen(&box_sum(&b, 1, extent, window)));
        assert!(
            (forward - backward).abs() < 1e-5 * forward.abs(),
            "{forward} {backward}"
        );
    }

    #[test]
    fn a_nan_stays_inside_its_window() {
        let mut x = vec![1.0; 11 * 11 * 11];
        x[5 * 121 + 5 * 11 + 5] = f32::NAN;
        let out = box_sum(&x, 1, [11, 11, 11], [3, 5, 3]);
        assert_eq!(out.iter().filter(|v| v.is_nan()).count(), 45);
    }
}
