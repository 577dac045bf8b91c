//! Mean squared difference of intensities.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Items, LossInput, Mask, Term, both_ways, foreground};
use crate::ops::mean_squared_difference;

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

impl Mse {
    /// One value for each item, `[n]`.
    pub fn between(&self, fixed: &Tensor<5>, moved: &Tensor<5>) -> Tensor<1> {
        match self.mask {
            Mask::None => mean_squared_difference(moved.clone(), fixed.clone()),
            Mask::Foreground => {
                let (inside, share) = foreground(fixed);
                let [moved, fixed] = [moved, fixed].map(|image| image.clone() * inside.clone());
                mean_squared_difference(moved, fixed) / share
            }
        }
    }
}

impl Term for Mse {
    fn mask(&self) -> Mask {
        self.mask
    }

    fn evaluate(&self, input: &LossInput) -> Tensor<1> {
        both_ways(input, |target, moved| self.between(target, moved))
    }
}

#[cfg(test)]
mod tests {
    use super::super::case::{Case, assert_term, images};
    use super::*;

    #[test]
    fn a_mask_leaves_the_voxels_above_zero_of_the_fixed_image() {
        let fixed = images([[0.0, 1.0, 2.0, -1.0], [0.0; 4]]);
        let moved = images([[5.0, 2.0, 4.0, 9.0], [1.0, 2.0, 3.0, 4.0]]);
        let case = Case::new(fixed, moved);
        // (25 + 1 + 4 + 100) / 4 and (1 + 4 + 9 + 16) / 4
        assert_term(&Mse::default(), &case, &[32.5, 7.5]);
        let masked = Mse {
            mask: Mask::Foreground,
            ..Mse::default()
        };
        // (1 + 4) / 2; nothing to compare without foreground.
        assert_term(&masked, &case, &[2.5, 0.0]);
    }
}
