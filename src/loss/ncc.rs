//! Normalised cross-correlation, local and global.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Items, LossInput, Mask, Term, both_ways, masked_mean};
use crate::error::{Error, Result};
pub use crate::ops::CorrelationForm as NccForm;
use crate::ops::local_correlation;

/// Smallest variance of an image.
const EPSILON: f32 = 1e-5;

/// Minus the mean local correlation over cubic windows (Avants et al., 2008; VoxelMorph's form), sums not means,
/// zeros outside the image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ncc {
    pub weight: f64,
    pub on: Items,
    pub mask: Mask,
    /// Edge of the window in voxels, odd.
    pub window: usize,
    pub form: NccForm,
}

impl Default for Ncc {
    fn default() -> Self {
        Self {
            weight: 1.0,
            on: Items::All,
            mask: Mask::None,
            window: 9,
            form: NccForm::Clamped,
        }
    }
}

impl Ncc {
    pub(super) fn validate(&self) -> Result<()> {
        if self.window < 3 || self.window.is_multiple_of(2) {
            return Err(Error::invalid(format!(
                "[loss.ncc] window is {}; expected an odd number of at least 3 voxels",
                self.window
            )));
        }
        Ok(())
    }

    /// The local correlation at each voxel, `[n, 1, d, h, w]`.
    pub fn map(&self, fixed: &Tensor<5>, moved: &Tensor<5>) -> Tensor<5> {
        let depth = if fixed.dims()[2] == 1 { 1 } else { self.window };
        let window = [depth, self.window, self.window];
        local_correlation(fixed.clone(), moved.clone(), window, self.form)
    }
}

impl Term for Ncc {
    fn mask(&self) -> Mask {
        self.mask
    }

    fn evaluate(&self, input: &LossInput) -> Tensor<1> {
        both_ways(input, |target, moved| {
            masked_mean(self.map(target, moved), target, self.mask).neg()
        })
    }
}

/// Minus Pearson's correlation of the two whole images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GlobalNcc {
    pub weight: f64,
    pub on: Items,
    pub mask: Mask,
}

impl Default for GlobalNcc {
    fn default() -> Self {
        Self {
            weight: 1.0,
            on: Items::All,
            mask: Mask::None,
        }
    }
}

impl Term for GlobalNcc {
    fn mask(&self) -> Mask {
        self.mask
    }

    fn evaluate(&self, input: &LossInput) -> Tensor<1> {
        both_ways(input, |target, moved| {
            let mean = |x: Tensor<5>| masked_mean(x, target, self.mask);
            let centred = |x: &Tensor<5>| x.clone() - mean(x.clone()).reshape([-1, 1, 1, 1, 1]);
            let (f, m) = (centred(target), centred(moved));
            let variance = |x: &Tensor<5>| mean(x.clone() * x.clone()).clamp_min(EPSILON);
            let correlation = mean(f.clone() * m.clone()) / (variance(&f) * variance(&m)).sqrt();
            correlation.neg()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::case::{Case, assert_term, images};
    use super::*;

    #[test]
    fn global_correlation_is_pearsons() {
        let fixed = images([[1.0, 2.0, 3.0, 4.0]; 4]);
        let moved = images([
            [2.0, 4.0, 6.0, 8.0],
            [4.0, 3.0, 2.0, 1.0],
            [1.0, 3.0, 2.0, 4.0],
            [3.0; 4],
        ]);
        // The third: deviations (-3 -1 1 3) / 2 and (-3 1 -1 3) / 2, covariance 4 over variances of 5. The last is flat.
        let expected = [-1.0, 1.0, -0.8, 0.0];
        assert_term(&GlobalNcc::default(), &Case::new(fixed, moved), &expected);
    }

    #[test]
    fn global_correlation_within_a_mask_sees_nothing_else() {
        let fixed = images([[0.0, 1.0, 2.0, 3.0]]);
        let moved = images([[9.0, 1.0, 3.0, 2.0]]);
        let masked = GlobalNcc {
            mask: Mask::Foreground,
            ..GlobalNcc::default()
        };
        // Deviations (-1 0 1) and (-1 1 0): 1 over 2.
        assert_term(&masked, &Case::new(fixed, moved), &[-0.5]);
    }
}
