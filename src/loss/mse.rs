//! Mean squared difference of intensities.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Items, LossInput, Mask, Term, both_ways, masked_mean};

/// `mean((moved - fixed)^2)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mse {
    pub weight: f64,
    pub on: Items,
    pub mask: Mask,
}

impl Default for Mse {
    fn default() -> Self {
        Self {
            weight: 1.0,
            on: Items::All,
            mask: Mask::None,
        }
    }
}

impl Term for Mse {
    fn evaluate(&self, input: &LossInput) -> Tensor<1> {
        both_ways(input, |target, moved| {
            let difference = moved.clone() - target.clone();
            masked_mean(difference.clone() * difference, target, self.mask)
        })
    }
}
