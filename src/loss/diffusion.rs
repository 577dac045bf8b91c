//! First differences of the field.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Items, LossInput, Term};
use crate::ops::{Norm, diffusion};

/// Mean forward difference (absolute or squared) along each axis, averaged over axes, on the field the network
/// predicts, times the coarsening of its grid (VoxelMorph's `Grad` with `loss_mult = int_downsize`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Diffusion {
    pub weight: f64,
    pub on: Items,
    pub norm: Norm,
}

impl Default for Diffusion {
    fn default() -> Self {
        Self {
            weight: 1.0,
            on: Items::All,
            norm: Norm::L2,
        }
    }
}

impl Diffusion {
    /// The penalty of each field, `[n]`.
    pub fn of(&self, field: &Tensor<5>) -> Tensor<1> {
        diffusion(field.clone(), self.norm)
    }
}

impl Term for Diffusion {
    fn compares(&self) -> bool {
        false
    }

    fn evaluate(&self, input: &LossInput) -> Tensor<1> {
        self.of(&input.prediction.regularised) * input.velocity_factor as f32
    }
}
