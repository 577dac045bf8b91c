//! Each operation on the CPU (kernels, hand-written gradients) against its form made of burn's operations.

use burn::tensor::{Device, Tensor, TensorData};
use hmorph::ops::{self, Border};

use crate::golden::{assert_close, values};
use crate::operations::{Case, cases};

/// Relative to the largest value: float32 sums of at most some 2,000 products, in another order.
const TOLERANCE: f32 = 1e-5;

#[test]
fn kernels_agree_with_the_composed_forms() {
    let device = Device::flex();
    let cases = cases();
    assert_eq!(cases.len(), 36, "an operation has lost or gained cases");
    for case in &cases {
        let found = case.run(&case.public, &device);
        let expected = case.run(&case.composed, &device);
        assert_close(&case.name, &found.value, &expected.value, TOLERANCE);
        assert_eq!(found.gradients.len(), case.inputs.len());
        for (n, gradient) in found.gradients.iter().enumerate() {
            let what = format!("{}: gradient of input {n}", case.name);
            assert_close(&what, gradient, &expected.gradients[n], TOLERANCE);
        }
    }
}

/// The value and the gradients that come in and go out are rounded to 11 bits, by 2^-12 on average; roundings of either sign
/// do not add up.
#[test]
fn features_in_half_precision_change_results_by_their_rounding() {
    let device = Device::flex();
    let halved = cases().into_iter().filter(|case| case.features > 0);
    let cases: Vec<_> = halved.map(Case::with_rounded_features).collect();
    assert!(
        cases.len() >= 15,
        "an operation of networks has lost its cases"
    );
    for case in &cases {
        let found = case.run_in_half(&device);
        let expected = case.run(&case.public, &device);
        assert_close(&case.name, &found.value, &expected.value, 2e-3);
        for (n, gradient) in found.gradients.iter().enumerate() {
            let what = format!("{}: gradient of input {n}", case.name);
            assert_close(&what, gradient, &expected.gradients[n], 2e-3);
        }
        let [found, expected] = [found, expected].map(|outcome| outcome.gradients[0].clone());
        assert_ne!(found, expected, "{}: nothing was rounded", case.name);
    }
}

#[test]
fn a_position_that_is_not_a_number_gives_zero() {
    let device = Device::flex();
    let image = Tensor::<5>::ones([1, 1, 1, 2, 2], &device);
    let mut field = vec![0.0; 8];
    field[1] = f32::NAN;
    let field = TensorData::new(field, [1, 2, 1, 2, 2]);
    let field = Tensor::<5>::from_data(field, &device);
    for border in [Border::Zeros, Border::Edge] {
        let moved = ops::warp(image.clone(), field.clone(), border);
        assert_eq!(values(moved), [1.0, 0.0, 1.0, 1.0], "{border:?}");
    }
}
