//! On a GPU, real or in software: every operation and a training step give what the CPU gives.
//!
//! Small on purpose. Software adapters compile each kernel for seconds, and sum wrongly over more than about
//! 65,000 values. Runs only where `HMORPH_TEST_GPU` names a device, or is 1 for `wgpu`: a shared machine may offer a driver
//! that it cannot use.
#![cfg(feature = "gpu")]

#[path = "support/golden.rs"]
mod golden;
#[path = "support/operations.rs"]
mod operations;
#[path = "support/pairs.rs"]
mod pairs;

use std::convert::Infallible;
use std::time::Instant;

use burn::tensor::Device;
use golden::{assert_close, values};
use hmorph::dataset::{Batch, Sample};
use hmorph::device;
use hmorph::loss::{Diffusion, LossConfig, Ncc};
use hmorph::model::{Model, ModelConfig, Prediction};
use hmorph::ops::exchange_sums;
use hmorph::synth::{LabelSource, Sharing, SynthConfig, make_pair};
use hmorph::train::{Activations, Adam, BatchTensors, ItemWeights, gradients, objective};
use hmorph::volume::Dimension;
use operations::{Case, assert_nan_won, cases, pool_of_nan, scattered};
use pairs::{Pair, assert_same_pair, everything, recipe, steps, without_noise};

/// Relative to the largest value: other orders of float32 sums, and a GPU's fused multiplications.
const OPERATIONS: f32 = 1e-4;
/// The same of 16-bit floats: 2^-10.
const HALF: f32 = 1e-3;

/// The device to test, or `None` with a message. One that is named must be there.
fn adapter() -> Option<Device> {
    let Ok(name) = std::env::var("HMORPH_TEST_GPU") else {
        eprintln!("skipped: set HMORPH_TEST_GPU=1 to test the GPU, or to vulkan or cuda");
        return None;
    };
    let named = name != "1";
    let found = device::choose(if named { &name } else { "wgpu" });
    if let Err(problem) = &found {
        assert!(!named, "{problem}");
        eprintln!("skipped: {problem}");
    }
    Some(found.ok()?.device)
}

#[test]
fn operations_agree_with_the_cpu() {
    let Some(gpu) = adapter() else { return };
    for case in cases() {
        compare(&case, &gpu);
    }
    // Not in a test of its own: it holds for the whole process, and above the device is to add floats where it can.
    exchange_sums(true);
    for case in scattered() {
        compare(&case, &gpu);
    }
    exchange_sums(false);
}

fn compare(case: &Case, gpu: &Device) {
    let started = Instant::now();
    let found = case.run(&case.public, gpu);
    println!("{:5.1} s  {}", started.elapsed().as_secs_f32(), case.name);
    let expected = case.run(&case.public, &Device::flex());
    assert_close(&case.name, &found.value, &expected.value, OPERATIONS);
    for (n, gradient) in found.gradients.iter().enumerate() {
        let what = format!("{}: gradient of input {n}", case.name);
        assert_close(&what, gradient, &expected.gradients[n], OPERATIONS);
    }
}

/// Both compute in 32 bits and round once, so that they are at most a unit in the last of 11 bits apart.
#[test]
fn operations_in_half_precision_agree_with_the_cpu() {
    let Some(gpu) = adapter() else { return };
    for case in cases().iter().filter(|case| case.features > 0) {
        let found = case.run_in_half(&gpu);
        let expected = case.run_in_half(&Device::flex());
        assert_close(&case.name, &found.value, &expected.value, HALF);
        for (n, gradient) in found.gradients.iter().enumerate() {
            let what = format!("{}: gradient of input {n}", case.name);
            assert_close(&what, gradient, &expected.gradients[n], HALF);
        }
    }
}

#[test]
fn nan_wins_in_a_max_pool() {
    let Some(gpu) = adapter() else { return };
    let case = pool_of_nan();
    assert_nan_won(&case.run(&case.public, &gpu));
    assert_nan_won(&case.run_in_half(&gpu));
}

#[test]
fn steps_of_the_synthesis_agree_with_the_cpu() {
    let Some(gpu) = adapter() else { return };
    for step in steps() {
        let [found, expected] =
            [&gpu, &Device::flex()].map(|device| pairs::values((step.run)(device)));
        assert_eq!(found.len(), expected.len(), "{}", step.name);
        for (n, (a, b)) in found.iter().zip(&expected).enumerate() {
            let near = (a - b).abs() <= step.tolerance;
            assert!(near, "{}: {a} beside {b} at {n}", step.name);
        }
    }
}

#[test]
fn synthetic_pairs_agree_with_those_of_the_cpu() {
    let Some(gpu) = adapter() else { return };
    for shape in [[16, 20, 1], [16, 12, 14]] {
        let full = everything(Sharing::Shared);
        let mut noisy = full.clone();
        noisy.gamma.prob = 0.0;
        // Gamma makes 4e-4 of a rounding near zero. Noise of SD up to 0.15 may be off by 5e-4 (see `steps`), which the
        // stretching of a narrow range multiplies by a few.
        for (config, image) in [(without_noise(full), 1e-3), (noisy, 5e-3)] {
            let recipe = recipe(&config, shape, 0);
            let found = Pair::on_device(&recipe, &gpu);
            let expected = Pair::on_device(&recipe, &Device::flex());
            assert_same_pair(&format!("{shape:?}"), &found, &expected, 1e-4, image);
        }
    }
}

#[test]
fn a_training_step_agrees_with_the_cpu() {
    // Through ten convolutions and the integration errors grow; a gradient crosses LeakyReLU's kink.
    compare_steps(Activations::default(), 1e-3);
}

#[test]
fn a_training_step_in_mixed_precision_agrees_with_the_cpu() {
    let half = Activations {
        half: true,
        ..Activations::default()
    };
    compare_steps(half, 5e-3);
}

#[test]
fn a_checkpointed_training_step_agrees_with_the_cpu() {
    let made_again = Activations {
        made_again: true,
        ..Activations::default()
    };
    compare_steps(made_again, 1e-3);
}

#[test]
fn a_checkpointed_training_step_in_mixed_precision_agrees_with_the_cpu() {
    let both = Activations {
        half: true,
        made_again: true,
    };
    compare_steps(both, 5e-3);
}

fn compare_steps(activations: Activations, tolerance: f32) {
    let Some(gpu) = adapter() else { return };
    let batch = batch();
    let found = Step::on(&gpu, &batch, activations);
    let expected = Step::on(&Device::flex(), &batch, activations);
    let fields = [&found.displacement, &expected.displacement];
    assert_close("displacement", fields[0], fields[1], tolerance);
    assert_close("moved", &found.moved, &expected.moved, tolerance);
    let scalars = |step: &Step| [step.loss, step.gradient_norm, step.next_loss];
    for (n, what) in ["loss", "gradient norm", "loss after the step"]
        .into_iter()
        .enumerate()
    {
        assert_close(
            what,
            &[scalars(&found)[n]],
            &[scalars(&expected)[n]],
            tolerance,
        );
    }
    assert!(expected.next_loss < expected.loss, "the step did not help");
}

/// A synthetic pair of 16 x 16 x 16 voxels.
fn batch() -> Batch {
    let shape = [16; 3];
    let pair = make_pair(
        &SynthConfig::default(),
        &LabelSource::Shapes,
        Dimension::Three,
        shape,
        5,
        0,
    )
    .unwrap();
    let sample = Sample::of_images(pair.fixed, pair.moving);
    Batch::from_samples(0, Dimension::Three, &[sample]).unwrap()
}

/// What one training step of a small model gives.
struct Step {
    displacement: Vec<f32>,
    moved: Vec<f32>,
    loss: f32,
    gradient_norm: f32,
    /// Of the same pair after the step.
    next_loss: f32,
}

impl Step {
    fn on(device: &Device, batch: &Batch, activations: Activations) -> Self {
        let config = ModelConfig {
            encoder_features: vec![4, 4],
            decoder_features: vec![4, 4, 4],
            int_steps: 4,
            // Large enough that no gradient drowns in rounding, which Adam would magnify.
            flow_std: 0.1,
            ..ModelConfig::default()
        };
        let model = Model::new(&config, 3, &device.clone().autodiff()).unwrap();
        let mut adam = Adam::new(&model, 0.0, 0.0, &[]).unwrap();
        let loss = LossConfig {
            ncc: Some(Ncc {
                window: 5,
                ..Ncc::default()
            }),
            diffusion: Some(Diffusion::default()),
            ..LossConfig::default()
        };
        let images = BatchTensors::new(batch, device);
        let differentiate = |model: &Model| {
            let mut predicted = None;
            let judge = |prediction: &Prediction| -> Result<_, Infallible> {
                let fields = [&prediction.displacement, &prediction.moved];
                predicted = Some(fields.map(|field| values(field.clone())));
                let weights = ItemWeights::mean(batch);
                Ok(objective(&loss, model, batch, &images, prediction, weights))
            };
            let Ok((judged, grads)) = gradients(model, &images, activations, judge);
            let loss = judged.total.into_scalar::<f32>();
            (loss, grads, predicted.expect("it was judged"))
        };
        let (loss, grads, [displacement, moved]) = differentiate(&model);
        let (model, norm) = adam.step(model.clone(), grads, 1e-3);
        Self {
            displacement,
            moved,
            loss,
            gradient_norm: norm.into_scalar(),
            next_loss: differentiate(&model).0,
        }
    }
}
