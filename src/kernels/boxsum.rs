//! Sums over a sliding box, the heart of the local correlation.
//!
//! Each axis in turn, by plain additions: no running subtraction, so nothing drifts. A window of
//! `3 m` voxels is three windows of `m` voxels: 9 takes 4 additions an axis.

use rayon::prelude::*;

use super::{Extent, vector};

/// Sums `items` images over windows of odd sizes `[d, h, w]`, zeros outside.
///
/// `x` is `[items, extent]`, as is the result. The operation is its own transpose.
pub fn box_sum(x: &[f32], items: usize, extent: Extent, window: [usize; 3]) -> Vec<f32> {
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
    let mut out = vec![0.0; x.len()];
    if out.is_empty() {
        return out;
    }
    let planes = out
        .par_chunks_exact_mut(h * w)
        .zip(x.par_chunks_exact(h * w));
    planes.for_each(|(out, x)| {
        vector::run(Plane {
            x,
            out,
            width: w,
            window,
        })
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
            .for_each(|strip| vector::run(Strip { strip, window }));
    }
}

/// Sums one plane along w and h.
struct Plane<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
    width: usize,
    window: [usize; 3],
}

impl vector::Work for Plane<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (w, h) = (self.width, self.out.len() / self.width);
        let [_, rows, columns] = self.window;
        let mut line = Line::new(w, 1, columns);
        for (out, x) in self.out.chunks_exact_mut(w).zip(self.x.chunks_exact(w)) {
            line.values().copy_from_slice(x);
            out.copy_from_slice(line.sum());
        }
        if rows > 1 && h > 1 {
            let mut line = Line::new(h, w, rows);
            line.values().copy_from_slice(self.out);
            self.out.copy_from_slice(line.sum());
        }
    }
}

/// One strip through all planes.
struct Strip<'a> {
    strip: Vec<&'a mut [f32]>,
    window: usize,
}

impl vector::Work for Strip<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let lanes = self.strip[0].len();
        let mut line = Line::new(self.strip.len(), lanes, self.window);
        for (to, from) in line.values().chunks_exact_mut(lanes).zip(&self.strip) {
            to.copy_from_slice(from);
        }
        for (to, from) in self.strip.into_iter().zip(line.sum().chunks_exact(lanes)) {
            to.copy_from_slice(from);
        }
    }
}

/// `len` groups of `lanes` values with room for `window / 2` groups of zeros at both ends.
struct Line {
    padded: Vec<f32>,
    len: usize,
    lanes: usize,
    window: usize,
}

impl Line {
    fn new(len: usize, lanes: usize, window: usize) -> Self {
        Self {
            padded: vec![0.0; (len + window - 1) * lanes],
            len,
            lanes,
            window,
        }
    }

    /// The groups to be summed; [`Line::sum`] destroys them.
    fn values(&mut self) -> &mut [f32] {
        let margin = self.window / 2 * self.lanes;
        let end = (self.len + self.window - 1) * self.lanes;
        self.padded[..margin].fill(0.0);
        self.padded[margin + self.len * self.lanes..end].fill(0.0);
        &mut self.padded[margin..][..self.len * self.lanes]
    }

    /// Sums of `window` groups, in place: group `i` becomes the sum of groups `i..i + window`.
    #[inline(always)]
    fn sum(&mut self) -> &[f32] {
        let (mut left, mut spread) = (self.window, 1);
        let mut len = self.padded.len();
        while left > 1 {
            let terms = if left % 3 == 0 { 3 } else { left };
            let step = spread * self.lanes;
            len -= (terms - 1) * step;
            // Reads run ahead of writes, so the sums can take the place of the values.
            if terms == 3 {
                for i in 0..len {
                    self.padded[i] += self.padded[i + step] + self.padded[i + 2 * step];
                }
            } else {
                for i in 0..len {
                    let terms = (1..terms).map(|t| self.padded[i + t * step]);
                    self.padded[i] += terms.sum::<f32>();
                }
            }
            left /= terms;
            spread *= terms;
        }
        &self.padded[..self.len * self.lanes]
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
            for window in [[9, 9, 9], [1, 9, 9], [3, 5, 7], [1, 1, 1], [15, 1, 3]] {
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
