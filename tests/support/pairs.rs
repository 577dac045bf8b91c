//! Synthetic pairs as plain values, whoever made them, and operations on a device that pairs are made of.
#![allow(dead_code)] // Each test program uses a part.

use burn::tensor::{Device, Tensor, TensorData};
use hmorph::kernels::oracle::random::uniform;
use hmorph::ops;
use hmorph::render::DeviceEngine;
use hmorph::synth::{LabelSource, Range, Recipe, Sharing, SynthConfig};
use hmorph::volume::Dimension;

/// A pair in tensor order.
pub struct Pair {
    /// Sizes along the axes, the slowest first.
    shape: [usize; 3],
    pub fixed: Vec<f32>,
    pub moving: Vec<f32>,
    pub fixed_labels: Vec<i32>,
    pub moving_labels: Vec<i32>,
    pub field: Vec<f32>,
}

impl Pair {
    pub fn on_host(recipe: &Recipe) -> Self {
        let pair = recipe.pair().unwrap();
        Self {
            shape: recipe.shape,
            fixed: pair.fixed.into_iter().collect(),
            moving: pair.moving.into_iter().collect(),
            fixed_labels: pair.fixed_labels.into_iter().collect(),
            moving_labels: pair.moving_labels.into_iter().collect(),
            field: pair.field.into_iter().collect(),
        }
    }

    pub fn on_device(recipe: &Recipe, device: &Device) -> Self {
        let engine = DeviceEngine::new(device);
        let made = recipe.make(&engine).unwrap();
        let field = values(made.field());
        let labels = |places: Tensor<5>| {
            let places = values(places).into_iter();
            places.map(|place| made.ids[place as usize]).collect()
        };
        Self {
            shape: recipe.shape,
            fixed: values(made.fixed),
            moving: values(made.moving),
            fixed_labels: labels(made.fixed_labels),
            moving_labels: labels(made.moving_labels),
            field,
        }
    }

    pub fn sides(&self) -> [(&[f32], &[i32]); 2] {
        [
            (&self.fixed, &self.fixed_labels),
            (&self.moving, &self.moving_labels),
        ]
    }
}

/// Read back at once: on a GPU later operations could change what has not been read.
pub fn values(tensor: Tensor<5>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// Every step of the synthesis, and everything drawn from ranges that move a small image visibly.
pub fn everything(sharing: Sharing) -> SynthConfig {
    let mut config = SynthConfig::default();
    config.shapes.labels = 6;
    config.contrast.pair = sharing;
    for prob in [
        &mut config.blur.prob,
        &mut config.bias.prob,
        &mut config.thickness.prob,
        &mut config.noise.prob,
        &mut config.gamma.prob,
        &mut config.crop.prob,
        &mut config.deformation.affine.prob,
    ] {
        *prob = 1.0;
    }
    config.deformation.affine.rotation = Range::new(-20.0, 20.0);
    config.thickness.voxels = Range::new(2.0, 3.0);
    config.crop.fraction = Range::new(0.1, 0.2);
    config.noise.sd = Range::new(0.02, 0.05);
    config
}

/// The same without the noise of single voxels, which is the device's own.
pub fn without_noise(mut config: SynthConfig) -> SynthConfig {
    config.contrast.sd = Range::new(0.0, 0.0);
    config.contrast.background_sd = Range::new(0.0, 0.0);
    config.noise.prob = 0.0;
    config
}

/// Pair `index` on a grid of `shape`, of random shapes.
pub fn recipe(config: &SynthConfig, shape: [usize; 3], index: u64) -> Recipe<'_> {
    Recipe {
        config,
        source: &LabelSource::Shapes,
        dimension: if shape[2] == 1 {
            Dimension::Two
        } else {
            Dimension::Three
        },
        shape,
        seed: 11,
        index,
    }
}

/// Fails unless two pairs are the same but for rounding: fields to `field` voxels and images to `image`, apart from
/// what hangs on the label of a voxel that rounding puts to either side. Of those there may be one in a thousand.
pub fn assert_same_pair(what: &str, found: &Pair, expected: &Pair, field: f32, image: f32) {
    assert!(
        apart(&found.field, &expected.field, field).is_empty(),
        "{what}: field"
    );
    for ((image_found, labels), (image_expected, labels_expected)) in
        found.sides().into_iter().zip(expected.sides())
    {
        let pairs = labels.iter().zip(labels_expected).enumerate();
        let flipped = pairs.filter(|(_, (a, b))| a != b).map(|(at, _)| at);
        let flipped: Vec<usize> = flipped.collect();
        let count = flipped.len();
        assert!(1000 * count <= labels.len(), "{what}: {count} labels");
        for at in apart(image_found, image_expected, image) {
            let explained = flipped.iter().any(|&label| reaches(found.shape, label, at));
            assert!(
                explained,
                "{what}: voxel {at} of an image, labels {flipped:?}"
            );
        }
    }
}

/// Where two lists differ by more than `by`; what is not a number is not near.
fn apart(a: &[f32], b: &[f32], by: f32) -> Vec<usize> {
    assert_eq!(a.len(), b.len());
    let near = |a: &f32, b: &f32| (a - b).abs() <= by;
    let pairs = a.iter().zip(b).enumerate();
    pairs
        .filter(|(_, (a, b))| !near(a, b))
        .map(|(at, _)| at)
        .collect()
}

/// Whether the label of one voxel may show in another: blur spreads it by 3 voxels along each axis, thick slices by 5 more along
/// one.
fn reaches(shape: [usize; 3], from: usize, to: usize) -> bool {
    let place = |at: usize| {
        [
            at / (shape[1] * shape[2]),
            at / shape[2] % shape[1],
            at % shape[2],
        ]
    };
    let (from, to) = (place(from), place(to));
    let mut distances = [0, 1, 2].map(|axis| from[axis].abs_diff(to[axis]));
    distances.sort_unstable();
    distances[1] <= 3 && distances[2] <= 8
}

/// An operation of which pairs are made, and how far devices may be apart.
pub struct Step {
    pub name: &'static str,
    pub tolerance: f32,
    pub run: Box<dyn Fn(&Device) -> Tensor<5>>,
}

/// Every operation without gradient, in 2-D and 3-D where that matters, in sizes that a software GPU can manage.
pub fn steps() -> Vec<Step> {
    fn step(
        name: &'static str,
        tolerance: f32,
        run: impl Fn(&Device) -> Tensor<5> + 'static,
    ) -> Step {
        let run = Box::new(run);
        Step {
            name,
            tolerance,
            run,
        }
    }
    let flat = [2, 2, 1, 13, 10];
    let solid = [1, 3, 6, 7, 5];
    let key = [1, 2, 3, 4];
    vec![
        step("lattices to 2-D", ROUNDING, |device| {
            let lattices = [[1, 3, 4], [1, 1, 2], [1, 5, 5]];
            let nodes = random(1, [1, 1, 1, 1, 2 * 2 * 39], device);
            ops::sum_lattices(nodes, &lattices, 2, &[1.0, 0.5], [1, 13, 10])
        }),
        step("lattices to 3-D", ROUNDING, |device| {
            let lattices = [[2, 3, 4], [1, 1, 1]];
            let nodes = random(2, [1, 1, 1, 1, 3 * 25], device);
            ops::sum_lattices(nodes, &lattices, 1, &[1.0, 0.5, 2.0], [6, 7, 5])
        }),
        step("highest of channels", ROUNDING, |device| {
            let channels = random(3, [5, 1, 3, 4, 3], device);
            ops::highest_channel(None, channels, 0, [6, 7, 5])
        }),
        step("highest of more channels", ROUNDING, |device| {
            let [first, more] = [3, 4].map(|seed| random(seed, [3, 1, 1, 7, 5], device));
            let found = ops::highest_channel(None, first, 0, [1, 13, 10]);
            ops::highest_channel(Some(found), more, 3, [1, 13, 10])
        }),
        step("labels pulled in 2-D", 0.0, move |device| {
            let flow = random(5, flat, device) * 3.0;
            ops::pull_labels(labels(flat, device), flow)
        }),
        step("labels pulled in 3-D", 0.0, move |device| {
            let flow = random(6, solid, device) * 3.0;
            ops::pull_labels(labels([1, 2, 6, 7, 5], device), flow)
        }),
        step("labels pulled half-way", 0.0, move |device| {
            // To even voxels, whole ones, and out of the image.
            let half = |n: usize| (n % 13) as f32 * 0.5 - 3.0;
            let flow = (0..flat.iter().product()).map(half).collect();
            ops::pull_labels(labels(flat, device), tensor(flow, flat, device))
        }),
        step("labels that occur", 0.0, move |device| {
            ops::present_labels(labels(solid, device) * 2.0, 11)
        }),
        step("noise", NOISE, move |device| {
            ops::add_noise(random(7, solid, device), 1.0, key)
        }),
        step("painted labels", NOISE, move |device| {
            let tissues = random(8, [1, 1, 1, 5, 2], device);
            ops::paint_labels(labels(flat, device), tissues, key)
        }),
        step("blur along d", ROUNDING, move |device| {
            ops::smooth_along(random(9, solid, device), 0, 0.8)
        }),
        step("blur along h", ROUNDING, move |device| {
            ops::smooth_along(random(9, solid, device), 1, 4.0)
        }),
        step("blur along w", ROUNDING, move |device| {
            ops::smooth_along(random(9, flat, device), 2, 1.3)
        }),
        step("flow and affine in 2-D", ROUNDING, move |device| {
            let flow = random(10, [1, 2, 1, 13, 10], device);
            ops::transform_flow(flow, MAP)
        }),
        step("flow and affine in 3-D", ROUNDING, move |device| {
            ops::transform_flow(random(10, solid, device), MAP)
        }),
        step("stretched together", ROUNDING, |device| {
            stretched(true, device)
        }),
        step("stretched apart", ROUNDING, |device| {
            stretched(false, device)
        }),
    ]
}

/// Of values of order 1: a few float32 roundings, and a device's own `exp`.
const ROUNDING: f32 = 1e-5;

/// WGSL allows a cosine an error of 2^-11, here times a radius of up to 5.8.
const NOISE: f32 = 3e-3;

const MAP: [[f64; 4]; 3] = [
    [0.9, 0.1, -0.2, 0.7],
    [0.05, 1.1, 0.3, -1.5],
    [-0.15, 0.2, 1.05, 2.5],
];

/// More values than one part of the extremes takes, in two images.
fn stretched(together: bool, device: &Device) -> Tensor<5> {
    let image = |seed, from: f32, width: f32| {
        (random(seed, [1, 1, 20, 30, 40], device) * 0.5 + 0.5) * width + from
    };
    let images = [image(11, 0.2, 0.5), image(12, 0.4, 0.8)];
    Tensor::cat(Vec::from(ops::stretch_to_unit(images, together)), 0)
}

fn tensor(values: Vec<f32>, shape: [usize; 5], device: &Device) -> Tensor<5> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Uniform between -1 and 1.
fn random(seed: u64, shape: [usize; 5], device: &Device) -> Tensor<5> {
    tensor(uniform(seed, shape.iter().product(), 1.0), shape, device)
}

/// Whole numbers 0 to 4.
fn labels(shape: [usize; 5], device: &Device) -> Tensor<5> {
    let number = |n: usize| (n * 7 / 3 % 5) as f32;
    tensor(
        (0..shape.iter().product()).map(number).collect(),
        shape,
        device,
    )
}
