//! Global normalised cross-correlation.

use super::paired::Paired;
use crate::error::Result;
use ndarray::Array3;

/// Pearson correlation of intensities, -1..1, over the voxels of `mask` that are finite in both.
///
/// `NaN` when an image is constant there or no voxel is left.
///
/// # Errors
/// Shapes differ.
pub fn ncc(fixed: &Array3<f32>, moved: &Array3<f32>, mask: Option<&Array3<bool>>) -> Result<f64> {
    let pairs = Paired::new(fixed, moved, mask)?;
    let (sum_f, sum_m, count) = pairs
        .values()
        .fold((0.0, 0.0, 0_usize), |(f_sum, m_sum, n), (f, m)| {
            (f_sum + f, m_sum + m, n + 1)
        });
    let (mean_f, mean_m) = (sum_f / count as f64, sum_m / count as f64);
    // A second pass about the means: the textbook sums cancel when the mean is far from 0.
    let (cross, var_f, var_m) = pairs.values().fold((0.0, 0.0, 0.0), |(c, vf, vm), (f, m)| {
        let (f, m) = (f - mean_f, m - mean_m);
        (c + f * m, vf + f * f, vm + m * m)
    });
    Ok(cross / (var_f * var_m).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, array};

    #[test]
    fn equals_numpy_far_from_zero_and_ignores_unknown_voxels() {
        let fixed = array![[[10001.0_f32, 10003.0, 10002.0, 10007.0, f32::NAN]]];
        let moved = array![[[5.0_f32, 4.0, 9.0, 1.0, 2.0]]];
        // numpy.corrcoef([10001, 10003, 10002, 10007], [5, 4, 9, 1])[0, 1]
        let expected = -0.7576216859121756;
        // float64 sums of four terms.
        assert!((ncc(&fixed, &moved, None).unwrap() - expected).abs() < 1e-12);
        let constant = Array3::<f32>::ones((1, 1, 5));
        assert!(ncc(&constant, &moved, None).unwrap().is_nan());
    }
}
