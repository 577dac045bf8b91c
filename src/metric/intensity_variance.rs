//! Variance of intensity over a population registered to one fixed image.

use super::labels::same_shape;
use crate::error::Result;
use ndarray::Array3;

/// Collects images moved to one fixed image, one after another, without keeping them.
///
/// Intensity variance (Christensen et al., NIREP, 2006): at each voxel
/// `1 / (M - 1) sum_m (I_m(x) - mean(x))^2`, then the mean over voxels. The better the images are
/// aligned, and the closer their intensity scales, the smaller.
#[derive(Debug, Clone, Default)]
pub struct IntensityVariance {
    images: usize,
    shape: Vec<usize>,
    /// Running mean and sum of squared deviations per voxel (Welford 1962); `NaN` once a voxel was not
    /// finite in any image.
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl IntensityVariance {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one moved image.
    ///
    /// # Errors
    /// Its shape is not that of the images before it.
    pub fn add(&mut self, moved: &Array3<f32>) -> Result<()> {
        if self.images == 0 {
            self.shape = moved.shape().to_vec();
            self.mean = vec![0.0; moved.len()];
            self.squares = vec![0.0; moved.len()];
        }
        same_shape("images of one population", &self.shape, moved.shape())?;
        self.images += 1;
        let states = self.mean.iter_mut().zip(&mut self.squares);
        for ((mean, squares), &value) in states.zip(moved) {
            let value = if value.is_finite() {
                f64::from(value)
            } else {
                f64::NAN
            };
            let deviation = value - *mean;
            *mean += deviation / self.images as f64;
            *squares += deviation * (value - *mean);
        }
        Ok(())
    }

    /// Mean variance over the voxels finite in every image; `NaN` for fewer than two images or when no
    /// voxel is left.
    pub fn mean(&self) -> f64 {
        if self.images < 2 {
            return f64::NAN;
        }
        let finite = self.squares.iter().filter(|squares| squares.is_finite());
        let (sum, count) = finite.fold((0.0, 0_usize), |(sum, n), squares| (sum + squares, n + 1));
        sum / (self.images - 1) as f64 / count as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn is_the_mean_of_the_sample_variances() {
        let mut variance = IntensityVariance::new();
        assert!(variance.mean().is_nan());
        variance.add(&array![[[1.0_f32, 10.0, 5.0]]]).unwrap();
        assert!(variance.mean().is_nan());
        variance.add(&array![[[3.0_f32, 10.0, f32::NAN]]]).unwrap();
        variance.add(&array![[[8.0_f32, 16.0, 5.0]]]).unwrap();
        // By hand: numpy.var([1, 3, 8], ddof=1) = 13, numpy.var([10, 10, 16], ddof=1) = 12.
        assert!((variance.mean() - 12.5).abs() < 1e-12);
        assert!(variance.add(&array![[[1.0_f32]]]).is_err());
    }
}
