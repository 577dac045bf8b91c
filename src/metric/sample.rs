//! Values of a scalar grid between its voxels, in float64.

use nalgebra::Vector3;
use ndarray::ArrayView3;

use crate::volume::resample::corners;

/// Whether a position (in voxels) lies within the outermost voxel centres.
pub fn inside(position: [f64; 3], shape: &[usize]) -> bool {
    (0..3).all(|axis| (0.0..=(shape[axis] as f64 - 1.0)).contains(&position[axis]))
}

/// Trilinear interpolation at a position in voxels; positions outside take the nearest edge value.
/// `NaN` for a position that is not a number.
pub fn linear(grid: ArrayView3<f32>, position: [f64; 3]) -> f64 {
    if position.iter().any(|x| x.is_nan()) {
        return f64::NAN;
    }
    let last = |axis: usize| grid.shape()[axis] as f64 - 1.0;
    let clamped = Vector3::from_fn(|axis, _| position[axis].clamp(0.0, last(axis)));
    // A neighbour without weight, which may be infinite, is not among the corners.
    let shares = corners(clamped).map(|(voxel, weight)| weight * f64::from(grid[voxel]));
    shares.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn is_exact_on_a_linear_ramp_and_clamps() {
        let ramp = Array3::from_shape_fn((3, 4, 5), |(i, j, k)| (100 * i + 10 * j + k) as f32);
        let at = |position| linear(ramp.view(), position);
        assert!((at([0.5, 2.25, 3.75]) - (50.0 + 22.5 + 3.75)).abs() < 1e-12);
        assert_eq!(at([2.0, 3.0, 4.0]), 234.0);
        assert_eq!(at([-1.0, 9.0, 1.0]), 31.0);
        assert!(at([f64::NAN, 0.0, 0.0]).is_nan());
        assert!(inside([2.0, 0.0, 4.0], ramp.shape()));
        assert!(!inside([2.1, 0.0, 4.0], ramp.shape()));
        assert!(!inside([f64::NAN, 0.0, 0.0], ramp.shape()));
    }
}
