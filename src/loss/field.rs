//! Distance to the true field of a synthetic pair.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Items, LossInput, Term};
use crate::ops::mean_squared_difference;

/// `mean((u - u_true)^2)` over components and voxels, in voxels squared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FieldMse {
    pub weight: f64,
    pub on: Items,
}

impl Default for FieldMse {
    fn default() -> Self {
        Self {
            weight: 1.0,
            // Real pairs have no true field.
            on: Items::Synthetic,
        }
    }
}

impl Term for FieldMse {
    fn needs_field(&self) -> bool {
        true
    }

    fn evaluate(&self, input: &LossInput) -> Tensor<1> {
        let truth = input
            .true_field
            .as_ref()
            .expect("the trainer gives true fields to terms that need them");
        mean_squared_difference(input.prediction.displacement.clone(), truth.clone())
    }
}
