//! Each operation on the CPU (kernels, hand-written gradients) against its form made of burn's operations.

use burn::tensor::{Device, Tensor, TensorData};
use hmorph::ops::{self, Border, reference};

use crate::golden::{assert_close, values};
use crate::operations::{Case, assert_nan_won, cases, pool_of_nan};

/// Relative to the largest value: float32 sums of at most some 2,000 products, in another order.
const TOLERANCE: f32 = 1e-5;

#[test]
fn kernels_agree_with_the_composed_forms() {
    let device = Device::flex();
    let cases = cases();
    assert_eq!(cases.len(), 39, "an operation has lost or gained cases");
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
fn a_displacement_that_is_not_a_finite_number_gives_zero() {
    let device = Device::flex();
    let image = Tensor::<5>::ones([1, 1, 1, 2, 2], &device);
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut field = vec![0.0; 8];
        field[1] = wrong;
        let field = TensorData::new(field, [1, 2, 1, 2, 2]);
        let field = Tensor::<5>::from_data(field, &device);
        for border in [Border::Zeros, Border::Edge] {
            for warp in [ops::warp, reference::warp] {
                let moved = warp(image.clone(), field.clone(), border);
                assert_eq!(values(moved), [1.0, 0.0, 1.0, 1.0], "{wrong}, {border:?}");
            }
        }
    }
}

/// On both edges, and beyond, the slope is 0; at a whole position between them that from the right.
#[test]
fn a_sample_on_an_edge_does_not_move() {
    for warp in [ops::warp, reference::warp] {
        let device = Device::flex().autodiff();
        let image = TensorData::new(vec![1.0_f32, 3.0, 7.0, 20.0], [1, 1, 1, 1, 4]);
        let image = Tensor::<5>::from_data(image, &device);
        // Samples at 0, 2, 3 and 4.
        let field = vec![0.0_f32, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0];
        let field = TensorData::new(field, [1, 2, 1, 1, 4]);
        let field = Tensor::<5>::from_data(field, &device).require_grad();
        let moved = warp(image, field.clone(), Border::Edge);
        assert_eq!(values(moved.clone()), [1.0, 7.0, 20.0, 20.0]);
        let gradient = field.grad(&moved.sum().backward()).unwrap();
        assert_eq!(values(gradient)[4..], [0.0, 13.0, 0.0, 0.0]);
    }
}

#[test]
fn nan_wins_in_a_max_pool() {
    let case = pool_of_nan();
    for form in [&case.public, &case.composed] {
        assert_nan_won(&case.run(form, &Device::flex()));
    }
}
