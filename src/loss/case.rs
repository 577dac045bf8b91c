//! Pairs of four voxels, for tests of the terms by numbers worked out by hand.

use burn::tensor::{Device, Tensor, TensorData};

use super::{LossInput, OneHot, Term};
use crate::model::Prediction;

/// What a term is asked about.
pub struct Case {
    pub fixed: Tensor<5>,
    pub moving: Tensor<5>,
    pub prediction: Prediction,
    pub labels: Option<OneHot>,
}

/// `[n, channel, 1, 2, 2]` from the four voxels of each channel of each item.
pub fn voxels<const N: usize, const C: usize>(values: [[[f32; 4]; C]; N]) -> Tensor<5> {
    let values = values.concat().concat();
    Tensor::from_data(TensorData::new(values, [N, C, 1, 2, 2]), &Device::flex())
}

/// One image an item.
pub fn images<const N: usize>(values: [[f32; 4]; N]) -> Tensor<5> {
    voxels(values.map(|image| [image]))
}

impl Case {
    /// A network that sees `fixed` and makes `moved` of the other image, in one direction.
    pub fn new(fixed: Tensor<5>, moved: Tensor<5>) -> Self {
        let field = Tensor::zeros([fixed.dims()[0], 2, 1, 2, 2], &fixed.device());
        Self {
            moving: moved.clone(),
            fixed,
            prediction: Prediction {
                displacement: field.clone(),
                inverse: None,
                regularised: field,
                moved,
                moved_fixed: None,
            },
            labels: None,
        }
    }

    pub fn input(&self) -> LossInput<'_> {
        LossInput {
            fixed: &self.fixed,
            moving: &self.moving,
            prediction: &self.prediction,
            velocity_factor: 1,
            labels: self.labels.clone(),
            true_field: None,
        }
    }
}

/// Fails unless the term has these values, one an item.
pub fn assert_term(term: &dyn Term, case: &Case, expected: &[f32]) {
    assert_values(term.evaluate(&case.input()), expected);
}

/// Fails unless the values are these but for rounding.
pub fn assert_values(found: Tensor<1>, expected: &[f32]) {
    let found: Vec<f32> = found.into_data().try_to_vec().unwrap();
    let close = |(found, expected): (&f32, &f32)| (found - expected).abs() < 1e-6;
    let same = found.len() == expected.len() && found.iter().zip(expected).all(close);
    assert!(same, "{found:?}, expected {expected:?}");
}
