//! Local normalised cross-correlation, in float64, as VoxelMorph's TensorFlow loss has it.

use super::paired::Paired;
use crate::error::Result;
use crate::volume::Dimension;
use ndarray::Array3;
use rayon::prelude::*;

/// Edge of the default window in voxels.
pub const WINDOW: usize = 9;

/// Smallest covariance and variance (sums over a window) that are believed.
const FLOOR: f64 = 1e-5;

/// Planes a thread handles at once; each costs one window of planes more.
const SLAB: usize = 16;

/// A cube, or in 2-D a square, of `edge` voxels along `(i, j, k)`.
pub fn window(edge: usize, dimension: Dimension) -> [usize; 3] {
    match dimension {
        Dimension::Two => [edge, edge, 1],
        Dimension::Three => [edge; 3],
    }
}

/// Mean over voxels of the squared correlation within a window about each, 0..1.
///
/// With sums over the window (zeros outside the image) `cross = sum(FM) - sum(F) sum(M) / n`, likewise
/// both variances, each at least 1e-5: `(cross / var_f) (cross / var_m)`. Negative correlation hence
/// scores about 0. Made for intensities in 0..1. Voxels outside `mask` or not finite in either image
/// are zero inside the sums and left out of the mean; `NaN` when none is left.
///
/// # Errors
/// Shapes differ.
pub fn local_ncc(
    fixed: &Array3<f32>,
    moved: &Array3<f32>,
    window: [usize; 3],
    mask: Option<&Array3<bool>>,
) -> Result<f64> {
    let pairs: Vec<_> = Paired::new(fixed, moved, mask)?.all().collect();
    let shape = [0, 1, 2].map(|axis| fixed.shape()[axis]);
    let plane = shape[1] * shape[2];
    let (sum, count) = (0..shape[0].div_ceil(SLAB))
        .into_par_iter()
        .map(|slab| {
            let first = slab * SLAB;
            let planes = first..shape[0].min(first + SLAB);
            slab_sum(&pairs, shape, window, planes, plane)
        })
        // In the order of the slabs, so that the sum does not depend on the threads.
        .collect::<Vec<_>>()
        .into_iter()
        .fold((0.0, 0), |total, part| (total.0 + part.0, total.1 + part.1));
    Ok(sum / count as f64)
}

type Pair = Option<(f64, f64)>;

/// Sum of squared local correlations over some planes, and how many voxels it counts.
fn slab_sum(
    pairs: &[Pair],
    shape: [usize; 3],
    window: [usize; 3],
    planes: std::ops::Range<usize>,
    plane: usize,
) -> (f64, usize) {
    let radius = window[0] / 2;
    let halo = planes.start.saturating_sub(radius)..shape[0].min(planes.end + radius);
    let boxed: Vec<[Vec<f64>; 5]> = halo
        .clone()
        .map(|i| boxed_plane(&pairs[i * plane..(i + 1) * plane], shape, window))
        .collect();
    let n: f64 = window.iter().map(|&edge| edge as f64).product();
    let (mut sum, mut count) = (0.0, 0);
    for i in planes {
        let near = i.saturating_sub(radius)..shape[0].min(i + radius + 1);
        let stack = &boxed[near.start - halo.start..near.end - halo.start];
        for (voxel, pair) in pairs[i * plane..(i + 1) * plane].iter().enumerate() {
            if pair.is_some() {
                let sums = [0, 1, 2, 3, 4]
                    .map(|term: usize| stack.iter().map(|sums| sums[term][voxel]).sum::<f64>());
                sum += squared_correlation(sums, n);
                count += 1;
            }
        }
    }
    (sum, count)
}

/// From the window sums of F, M, FF, MM and FM over `n` voxels.
fn squared_correlation([f, m, ff, mm, fm]: [f64; 5], n: f64) -> f64 {
    let cross = (fm - f * m / n).max(FLOOR);
    let var_f = (ff - f * f / n).max(FLOOR);
    let var_m = (mm - m * m / n).max(FLOOR);
    (cross / var_f) * (cross / var_m)
}

/// Window sums within one plane of F, M, FF, MM and FM.
fn boxed_plane(pairs: &[Pair], shape: [usize; 3], window: [usize; 3]) -> [Vec<f64>; 5] {
    let terms: [fn(f64, f64) -> f64; 5] =
        [|f, _| f, |_, m| m, |f, _| f * f, |_, m| m * m, |f, m| f * m];
    let [_, nj, nk] = shape;
    terms.map(|term| {
        let mut values: Vec<f64> = pairs
            .iter()
            .map(|pair| pair.map_or(0.0, |(f, m)| term(f, m)))
            .collect();
        for j in 0..nj {
            box_line(&mut values, j * nk, 1, nk, window[2]);
        }
        for k in 0..nk {
            box_line(&mut values, k, nk, nj, window[1]);
        }
        values
    })
}

/// Replaces `n` values, `step` apart, by their sums over `edge` neighbours; zeros outside.
fn box_line(values: &mut [f64], first: usize, step: usize, n: usize, edge: usize) {
    let radius = edge / 2;
    let line: Vec<f64> = (0..n).map(|x| values[first + x * step]).collect();
    for x in 0..n {
        let near = &line[x.saturating_sub(radius)..n.min(x + radius + 1)];
        values[first + x * step] = near.iter().sum();
    }
}
