//! First differences of the field.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Items, LossInput, Term, item_mean};

/// Power of the differences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    L1,
    #[default]
    L2,
}

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
        let dims = field.dims();
        let axes: Vec<usize> = (2..5).filter(|&a| dims[a] > 1).collect();
        let count = field.dims()[1] as f32;
        axes.into_iter()
            .map(|axis| {
                let n = dims[axis] - 1;
                let ahead = field.clone().narrow(axis, 1, n);
                let difference = ahead - field.clone().narrow(axis, 0, n);
                item_mean(match self.norm {
                    Norm::L1 => difference.abs(),
                    Norm::L2 => difference.clone() * difference,
                })
            })
            .reduce(|a, b| a + b)
            .map_or_else(
                || Tensor::zeros([dims[0]], &field.device()),
                |sum| sum / count,
            )
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
