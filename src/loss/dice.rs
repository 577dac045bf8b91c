//! Overlap of labels.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Items, LossInput, Term};

/// Minus the mean soft Dice over the labels of the item's fixed image, or one minus it with `offset = 1`.
///
/// VoxelMorph's form, but that labels which only other items of the batch have do not count.
///
/// Labels are needed in training only (Balakrishnan et al., 2019; SynthMorph, Hoffmann et al., 2022).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dice {
    pub weight: f64,
    pub on: Items,
    /// Added to the negative overlap; SynthMorph uses 1. Changes no gradient.
    pub offset: f64,
    /// Labels compared in one step, a random few of those present; 0 compares all. Bounds memory.
    pub max_labels: usize,
}

impl Default for Dice {
    fn default() -> Self {
        Self {
            weight: 1.0,
            on: Items::All,
            offset: 0.0,
            max_labels: 16,
        }
    }
}

/// Soft Dice of each label, `[n, label]`; the sum of both is clamped at 1e-5 as in VoxelMorph.
pub fn soft_dice(fixed: &Tensor<5>, moved: &Tensor<5>) -> Tensor<2> {
    dice_of(fixed, moved, volumes(fixed.clone()))
}

/// [`soft_dice`], given the volumes of the fixed labels.
fn dice_of(fixed: &Tensor<5>, moved: &Tensor<5>, of_fixed: Tensor<2>) -> Tensor<2> {
    let both = volumes(fixed.clone() * moved.clone()) * 2.0;
    both / (of_fixed + volumes(moved.clone())).clamp_min(1e-5)
}

/// Sum over the voxels of each label, `[n, label]`.
fn volumes(x: Tensor<5>) -> Tensor<2> {
    let [n, labels, ..] = x.dims();
    x.reshape([n as i32, labels as i32, -1])
        .sum_dim(2)
        .reshape([n, labels])
}

impl Term for Dice {
    fn needs_labels(&self) -> bool {
        true
    }

    fn evaluate(&self, input: &LossInput) -> Tensor<1> {
        let labels = input
            .labels
            .as_ref()
            .expect("the trainer gives labels to terms that need them");
        let of_fixed = volumes(labels.fixed.clone());
        let present = of_fixed.clone().greater_elem(0.0).float();
        // Zero where the fixed image lacks the label, so that the sum is over those it has.
        let dice = dice_of(&labels.fixed, &labels.moved, of_fixed);
        let [n, _] = dice.dims();
        let mean = dice.sum_dim(1) / present.sum_dim(1).clamp_min(1.0);
        mean.reshape([n]).neg() + self.offset
    }
}

#[cfg(test)]
mod tests {
    use super::super::OneHot;
    use super::super::case::{Case, assert_term, images, voxels};
    use super::*;

    const NONE: [f32; 4] = [0.0; 4];

    #[test]
    fn the_mean_is_over_the_labels_of_the_items_own_fixed_image() {
        let image = images([NONE; 3]);
        let labels = OneHot {
            fixed: voxels([
                [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], NONE],
                [[1.0, 1.0, 0.0, 0.0], NONE, [0.0, 0.0, 1.0, 1.0]],
                [NONE; 3],
            ]),
            moved: voxels([
                [
                    [1.0, 0.0, 0.0, 0.0],
                    [0.0, 0.0, 1.0, 0.0],
                    [0.0, 1.0, 0.0, 0.0],
                ],
                [NONE, NONE, [0.0, 0.0, 0.5, 0.5]],
                [[1.0; 4], NONE, NONE],
            ]),
        };
        let case = Case {
            labels: Some(labels),
            ..Case::new(image.clone(), image)
        };
        // Overlaps: 2/3 and 1, the third label is not the fixed image's; 0 (lost) and 2/3; no label at all.
        let expected = [-5.0 / 6.0, -1.0 / 3.0, 0.0];
        assert_term(&Dice::default(), &case, &expected);
        let offset = Dice {
            offset: 1.0,
            ..Dice::default()
        };
        assert_term(&offset, &case, &expected.map(|value| 1.0 + value));
    }
}
