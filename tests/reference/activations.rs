//! Gradients with checkpointing are those of the plain pass; with activations in 16 bits they are near them.

use std::convert::Infallible;

use burn::optim::GradientsParams;
use burn::tensor::Device;
use hmorph::dataset::{Batch, Sample};
use hmorph::kernels::oracle::random::uniform;
use hmorph::loss::{Diffusion, LossConfig, Mse};
use hmorph::model::{Model, ModelConfig, Prediction, TransformKind};
use hmorph::nn::Encoder;
use hmorph::train::{Activations, Adam, BatchTensors, ItemWeights, gradients, objective};
use hmorph::volume::Dimension;
use ndarray::Array3;

use crate::golden::{relative_distance, values};

/// Float32 sums of some ten thousand products, in another order.
const TOLERANCE: f32 = 2e-5;

/// Each layer rounds its value to 11 bits, by up to 5e-4; so about one activation in a thousand comes to lie beyond the kink of
/// LeakyReLU, or is no longer the maximum that is pooled, and changes its gradient by its whole size: sqrt(1e-3).
const HALF_TOLERANCE: f32 = 3e-2;

const PLAIN: Activations = Activations {
    made_again: false,
    half: false,
};
const HALF: Activations = Activations {
    half: true,
    ..PLAIN
};
const MADE_AGAIN: Activations = Activations {
    made_again: true,
    ..PLAIN
};

fn pair(shape: [usize; 3], seed: u64) -> Sample {
    let image = |seed| {
        let values = uniform(seed, shape.iter().product(), 1.0);
        Array3::from_shape_vec(shape, values).unwrap()
    };
    Sample::of_images(image(2 * seed), image(2 * seed + 1))
}

/// Total and gradients of both ways, for two pairs.
fn check(config: &ModelConfig, shape: [usize; 3], freeze: &[String]) {
    Comparison {
        freeze,
        ways: [PLAIN, MADE_AGAIN],
        tolerance: TOLERANCE,
        weight: 1.0,
    }
    .run(config, shape);
}

struct Comparison<'a> {
    freeze: &'a [String],
    ways: [Activations; 2],
    tolerance: f32,
    /// Of all terms of the loss.
    weight: f64,
}

impl Comparison<'_> {
    fn run(&self, config: &ModelConfig, shape: [usize; 3]) {
        let Self {
            freeze,
            ways,
            tolerance,
            weight,
        } = *self;
        let device = Device::flex();
        let pairs = [pair(shape, 0), pair(shape, 1)];
        let batch = Batch::from_samples(0, config.dimension, &pairs).unwrap();
        let images = BatchTensors::new(&batch, &device);
        let model = Model::new(config, 5, &device.autodiff()).unwrap();
        let model = Adam::new(&model, 0.0, 0.0, freeze).unwrap().freeze(model);
        let loss = LossConfig {
            mse: Some(Mse {
                weight,
                ..Mse::default()
            }),
            diffusion: Some(Diffusion {
                weight,
                ..Diffusion::default()
            }),
            ..LossConfig::default()
        };
        let judge = |prediction: &Prediction| -> Result<_, Infallible> {
            Ok(objective(
                &loss,
                &model,
                &batch,
                &images,
                prediction,
                ItemWeights::mean(&batch),
            ))
        };
        let [(plain, expected), (other, found)] = ways.map(|way| {
            let Ok(both) = gradients(&model, &images, way, judge);
            both
        });

        let totals = [plain, other].map(|judged| judged.total.into_scalar::<f32>());
        assert!((totals[0] - totals[1]).abs() < tolerance * totals[0].abs());
        for (name, block) in model.blocks() {
            if !block.weight.is_require_grad() {
                assert!(
                    found.get::<5>(block.weight.id).is_none(),
                    "{name} is frozen"
                );
                continue;
            }
            let of = |grads: &GradientsParams| {
                let weight = values(grads.get::<5>(block.weight.id).unwrap());
                [weight, values(grads.get::<1>(block.bias.id).unwrap())]
            };
            for (found, expected) in of(&found).iter().zip(of(&expected)) {
                let distance = relative_distance(found, &expected);
                assert!(distance < tolerance, "{name}: {distance}");
            }
        }
    }
}

fn small(dimension: Dimension) -> ModelConfig {
    ModelConfig {
        dimension,
        encoder_features: vec![4, 6],
        decoder_features: vec![6, 5, 5, 4],
        int_steps: 3,
        // Gradients far from rounding.
        flow_std: 0.1,
        ..ModelConfig::default()
    }
}

#[test]
fn several_slabs_of_a_volume() {
    check(&small(Dimension::Three), [80, 12, 8], &[]);
}

#[test]
fn several_slabs_of_slices_with_a_strided_encoder() {
    let config = ModelConfig {
        encoder: Encoder::Strided,
        transform: TransformKind::Displacement,
        decoder_features: vec![6, 5, 5, 4, 4],
        ..small(Dimension::Two)
    };
    check(&config, [72, 24, 1], &[]);
}

#[test]
fn an_output_coarser_than_the_image() {
    let config = ModelConfig {
        out_downsize: 2,
        ..small(Dimension::Three)
    };
    check(&config, [144, 8, 8], &[]);
}

#[test]
fn an_output_without_any_join_and_both_directions() {
    let config = ModelConfig {
        encoder_features: vec![4],
        decoder_features: vec![5, 4],
        out_downsize: 2,
        bidirectional: true,
        ..small(Dimension::Three)
    };
    check(&config, [8, 6, 10], &[]);
}

#[test]
fn an_output_that_is_the_join_itself() {
    let config = ModelConfig {
        decoder_features: vec![6, 5],
        ..small(Dimension::Three)
    };
    check(&config, [40, 8, 12], &[]);
}

#[test]
fn a_frozen_part() {
    for pattern in ["^(encoder|decoder)", "^(last|flow)"] {
        check(&small(Dimension::Three), [40, 8, 12], &[pattern.into()]);
    }
}

#[test]
fn half_precision_is_near_the_plain_pass() {
    let both = Activations {
        half: true,
        ..MADE_AGAIN
    };
    for ways in [[PLAIN, HALF], [HALF, both]] {
        let comparison = Comparison {
            freeze: &[],
            ways,
            tolerance: HALF_TOLERANCE,
            weight: 1.0,
        };
        comparison.run(&small(Dimension::Three), [24, 12, 8]);
        comparison.run(&small(Dimension::Two), [72, 24, 1]);
        // As it is before training: what passes the last layer is ten thousand times smaller.
        let fresh = ModelConfig {
            flow_std: 1e-5,
            ..small(Dimension::Three)
        };
        comparison.run(&fresh, [24, 12, 8]);
    }
}

/// Gradients of the field that 16 bits cannot hold as they are: all below 1e-12, or above 1e6.
#[test]
fn half_precision_holds_gradients_of_any_size() {
    for weight in [1e-10, 1e12] {
        let comparison = Comparison {
            freeze: &[],
            ways: [PLAIN, HALF],
            tolerance: HALF_TOLERANCE,
            weight,
        };
        comparison.run(&small(Dimension::Three), [24, 12, 8]);
    }
}
