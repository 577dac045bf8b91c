//! Second differences of the field.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Items, LossInput, Term, item_mean};

/// Bending energy (Rueckert et al., 1999): the sum over axes of the mean squared second difference, plus twice that
/// of each mixed difference, over interior voxels, on the field the network predicts, times its coarsening.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bending {
    pub weight: f64,
    pub on: Items,
}

impl Default for Bending {
    fn default() -> Self {
        Self {
            weight: 1.0,
            on: Items::All,
        }
    }
}

impl Bending {
    /// The penalty of each field, `[n]`.
    pub fn of(field: &Tensor<5>) -> Tensor<1> {
        let dims = field.dims();
        let axes: Vec<usize> = (2..5).filter(|&a| dims[a] > 2).collect();
        let mut sum = Tensor::zeros([dims[0]], &field.device());
        for (n, &a) in axes.iter().enumerate() {
            let along = |x| shifted(field, &[(a, x)]);
            let second = along(1) + along(-1) - along(0) * 2.0;
            sum = sum + item_mean(second.clone() * second);
            for &b in &axes[n + 1..] {
                let at = |x, y| shifted(field, &[(a, x), (b, y)]);
                let mixed = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4.0;
                sum = sum + item_mean(mixed.clone() * mixed) * 2.0;
            }
        }
        sum
    }
}

/// The field shifted by the given offsets along some axes, without the border voxels of those axes.
fn shifted(field: &Tensor<5>, offsets: &[(usize, isize)]) -> Tensor<5> {
    offsets.iter().fold(field.clone(), |x, &(axis, offset)| {
        let length = x.dims()[axis] - 2;
        x.narrow(axis, (1 + offset) as usize, length)
    })
}

impl Term for Bending {
    fn compares(&self) -> bool {
        false
    }

    fn evaluate(&self, input: &LossInput) -> Tensor<1> {
        Self::of(&input.prediction.regularised) * input.velocity_factor as f32
    }
}
