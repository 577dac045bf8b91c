//! Training on the CPU kernels beside training on burn's own operations, from the same weights and pairs.
//!
//! The switch between them is of the whole process, so this program holds one test.

#[path = "support/golden.rs"]
mod golden;

use std::convert::Infallible;

use burn::tensor::Device;
use golden::{relative_distance, values};
use hmorph::dataset::{Batch, Sample};
use hmorph::kernels::oracle::random::uniform;
use hmorph::kernels::resize;
use hmorph::loss::{Diffusion, LossConfig, Ncc};
use hmorph::model::{Model, ModelConfig, Prediction};
use hmorph::nn::Encoder;
use hmorph::ops;
use hmorph::train::{Activations, Adam, BatchTensors, ItemWeights, gradients, objective};
use hmorph::volume::Dimension;
use ndarray::Array3;

const STEPS: usize = 20;
const LEARNING_RATE: f64 = 1e-4;

/// Two smooth images between 0 and 1.
fn pair(shape: [usize; 3]) -> Sample {
    let image = |seed| {
        let coarse = shape.map(|n| n.div_ceil(4));
        let values = uniform(seed, coarse.iter().product(), 0.5);
        let values = resize::linear(&values, 1, coarse, shape, 1.0);
        Array3::from_shape_vec(shape, values.iter().map(|v| v + 0.5).collect()).unwrap()
    };
    Sample::of_images(image(1), image(2))
}

/// The loss before each step, and all weights after the last.
fn train(config: &ModelConfig, batch: &Batch) -> (Vec<f32>, Vec<f32>) {
    let device = Device::flex();
    let mut model = Model::new(config, 3, &device.clone().autodiff()).unwrap();
    let mut adam = Adam::new(&model, 0.0, 0.0, &[]).unwrap();
    let loss = LossConfig {
        ncc: Some(Ncc::default()),
        diffusion: Some(Diffusion::default()),
        ..LossConfig::default()
    };
    let mut losses = Vec::new();
    for _ in 0..STEPS {
        let images = BatchTensors::new(batch, &device);
        let judge = |prediction: &Prediction| -> Result<_, Infallible> {
            Ok(objective(
                &loss,
                &model,
                batch,
                &images,
                prediction,
                ItemWeights::mean(batch),
            ))
        };
        let Ok((judged, grads)) = gradients(&model, &images, Activations::default(), judge);
        losses.push(judged.total.into_scalar::<f32>());
        model = adam.step(model.clone(), grads, LEARNING_RATE).0;
    }
    let weights = model
        .blocks()
        .flat_map(|(_, block)| values(block.weight.val()));
    (losses, weights.collect())
}

/// The values of a loss differ by float32's rounding and what 20 steps make of it. Where the gradient of a weight is itself
/// no more than rounding, Adam steps by its sign all the same, and that weight may come apart by up to two steps in every
/// one; such weights are few and matter little to the loss, so weights are compared on average.
#[test]
fn kernels_and_composed_operations_train_alike() {
    for (dimension, shape, encoder) in [
        (Dimension::Two, [32, 48, 1], Encoder::Strided),
        (Dimension::Three, [16, 16, 16], Encoder::MaxPool),
    ] {
        let config = ModelConfig {
            dimension,
            encoder,
            encoder_features: vec![8, 8],
            decoder_features: vec![8, 8, 8, 8],
            ..ModelConfig::default()
        };
        let batch = Batch::from_samples(0, dimension, &[pair(shape)]).unwrap();
        let (losses, weights) = train(&config, &batch);
        ops::use_reference(true);
        let (expected_losses, expected_weights) = train(&config, &batch);
        ops::use_reference(false);
        assert!(
            losses[STEPS - 1] < losses[0],
            "{dimension:?}: nothing was learnt: {losses:?}"
        );
        assert_ne!(
            losses, expected_losses,
            "{dimension:?}: the switch did nothing"
        );
        let of_losses = relative_distance(&losses, &expected_losses);
        let differences = weights
            .iter()
            .zip(&expected_weights)
            .map(|(w, e)| (w - e).abs());
        let size = expected_weights.iter().map(|w| w.abs()).sum::<f32>();
        let of_weights = differences.sum::<f32>() / size;
        println!("{dimension:?}: losses {of_losses:e}, weights {of_weights:e}");
        assert!(
            of_losses < 1e-5,
            "{dimension:?}: losses differ by {of_losses:e}"
        );
        assert!(
            of_weights < 1e-3,
            "{dimension:?}: weights differ by {of_weights:e}"
        );
    }
}
