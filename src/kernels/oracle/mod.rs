//! Naive float64 versions of the kernels, for tests and benchmarks: slow, plain, easy to check.

pub mod boxsum;
pub mod check;
pub mod conv;
pub mod correlation;
pub mod field;
pub mod gaussian;
pub mod jacobian;
pub mod pool;
pub mod random;
pub mod resize;
pub mod upsample;
pub mod warp;

use super::Extent;

/// Coordinates `[z, y, x]` of voxel `at` of a grid.
pub(crate) fn coordinates(at: usize, [_, h, w]: Extent) -> [usize; 3] {
    [at / (h * w), at / w % h, at % w]
}

/// Index of the voxel `[z, y, x]`, or `None` outside the grid.
pub(crate) fn index([z, y, x]: [i64; 3], extent: Extent) -> Option<usize> {
    let inside = |v: i64, n: usize| (0..n as i64).contains(&v);
    let [d, h, w] = extent;
    (inside(z, d) && inside(y, h) && inside(x, w))
        .then(|| (z as usize * h + y as usize) * w + x as usize)
}

/// Widens to float64.
pub fn widen(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&v| f64::from(v)).collect()
}
