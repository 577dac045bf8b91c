//! Mean squared intensity difference.

use super::labels::same_shape;
use super::paired::Paired;
use crate::error::Result;
use ndarray::Array3;
use std::collections::BTreeMap;

/// `mean (fixed - moved)^2` over the voxels of `mask` (all, without one) that are finite in both.
///
/// `NaN` when no voxel is left.
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

/// Average sum of squared differences of every structure: `mean (fixed - moved)^2` over the voxels of
/// each label of the fixed map that are finite in both images (`NaN` where none is).
///
/// # Errors
/// Shapes differ.
pub fn average_ssd(
    labels: &Array3<i32>,
    fixed: &Array3<f32>,
    moved: &Array3<f32>,
) -> Result<BTreeMap<i32, f64>> {
    same_shape("labels and images", labels.shape(), fixed.shape())?;
    let mut sums = BTreeMap::<i32, (f64, usize)>::new();
    for (label, pair) in labels.iter().zip(Paired::new(fixed, moved, None)?.all()) {
        let (sum, count) = sums.entry(*label).or_default();
        if let Some((f, m)) = pair {
            *sum += (f - m).powi(2);
            *count += 1;
        }
    }
    let mean = |(label, (sum, count))| (label, sum / count as f64);
    Ok(sums.into_iter().map(mean).collect())
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
    #[test]
    fn averages_each_structure_of_the_fixed_image() {
        let fixed = array![[[1.0_f32], [2.0], [3.0], [f32::NAN], [0.0]]];
        let moved = array![[[0.0_f32], [4.0], [3.0], [1.0], [7.0]]];
        let labels = array![[[3], [3], [-2], [8], [-2]]];
        let found = average_ssd(&labels, &fixed, &moved).unwrap();
        assert_eq!(found[&3], 2.5);
        assert_eq!(found[&-2], 24.5);
        assert!(found[&8].is_nan());
    }
}
