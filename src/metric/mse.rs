//! Mean squared intensity difference.

use super::paired::Paired;
use crate::error::Result;
use ndarray::Array3;

/// `mean (fixed - moved)^2` over the voxels of `mask` (all, without one) that are finite in both.
///
/// With the mask of a structure in the fixed image this is the average sum of squared differences of
/// that structure. `NaN` when no voxel is left.
///
/// # Errors
/// Shapes differ.
pub fn mse(fixed: &Array3<f32>, moved: &Array3<f32>, mask: Option<&Array3<bool>>) -> Result<f64> {
    let pairs = Paired::new(fixed, moved, mask)?;
    let (sum, count) = pairs.values().fold((0.0, 0_usize), |(sum, count), (f, m)| {
        (sum + (f - m).powi(2), count + 1)
    });
    Ok(sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn leaves_out_masked_and_unknown_voxels() {
        let fixed = array![[[1.0_f32], [2.0], [3.0], [f32::NAN]]];
        let moved = array![[[0.0_f32], [4.0], [f32::INFINITY], [1.0]]];
        assert_eq!(mse(&fixed, &moved, None).unwrap(), 2.5);
        let mask = array![[[false], [true], [true], [true]]];
        assert_eq!(mse(&fixed, &moved, Some(&mask)).unwrap(), 4.0);
        let nothing = array![[[false], [false], [true], [true]]];
        assert!(mse(&fixed, &moved, Some(&nothing)).unwrap().is_nan());
        let short = array![[[1.0_f32], [2.0]]];
        assert!(mse(&fixed, &short, None).is_err());
    }
}
