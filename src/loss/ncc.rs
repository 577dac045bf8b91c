//! Normalised cross-correlation, local and global.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Items, LossInput, Mask, Term, both_ways, masked_mean};
use crate::error::{Error, Result};
use crate::ops::box_sum;

/// Smallest window covariance and variance, as in VoxelMorph.
const EPSILON: f32 = 1e-5;

/// Which local correlation is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NccForm {
    /// `cov^2 / (var_f var_m + eps)`: VoxelMorph in PyTorch. Rewards anti-correlation as well.
    Plain,
    /// `max(cov, eps)^2 / (max(var_f, eps) max(var_m, eps))`: VoxelMorph in TensorFlow.
    #[default]
    Clamped,
    /// `cov / sqrt(max(var_f, eps) max(var_m, eps))`: anti-correlation counts against.
    Signed,
}

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
        let [n, _, d, ..] = fixed.dims();
        let depth = if d == 1 { 1 } else { self.window };
        let window = [depth, self.window, self.window];
        let voxels = window.iter().product::<usize>() as f32;
        // One pass over all five sums; the images enter as channels.
        let (f, m) = (fixed.clone(), moved.clone());
        let products = vec![
            f.clone(),
            m.clone(),
            f.clone() * f.clone(),
            m.clone() * m.clone(),
            f * m,
        ];
        let sums = box_sum(Tensor::cat(products, 1), window);
        debug_assert_eq!(sums.dims()[..2], [n, 5]);
        let sum = |c| sums.clone().narrow(1, c, 1);
        let (f, m) = (sum(0), sum(1));
        let var_f = sum(2) - f.clone() * f.clone() / voxels;
        let var_m = sum(3) - m.clone() * m.clone() / voxels;
        let cov = sum(4) - f * m / voxels;
        match self.form {
            NccForm::Plain => cov.clone() * cov / (var_f * var_m + EPSILON),
            NccForm::Clamped => {
                let cov = cov.clamp_min(EPSILON);
                let (var_f, var_m) = (var_f.clamp_min(EPSILON), var_m.clamp_min(EPSILON));
                (cov.clone() / var_f) * (cov / var_m)
            }
            NccForm::Signed => {
                let product = var_f.clamp_min(EPSILON) * var_m.clamp_min(EPSILON);
                cov / product.sqrt()
            }
        }
    }
}

impl Term for Ncc {
    fn weight(&self) -> f64 {
        self.weight
    }

    fn items(&self) -> Items {
        self.on
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
    fn weight(&self) -> f64 {
        self.weight
    }

    fn items(&self) -> Items {
        self.on
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
