//! Synthetic pairs made of tensors against those of the CPU's synthesis, and the noise that is the tensors' own.

use burn::tensor::{DType, Device};
use hmorph::ops;
use hmorph::synth::{LabelSource, Range, Recipe, Sharing, SynthConfig};
use hmorph::volume::{Affine, Dimension, Geometry, LabelMap};
use ndarray::Array3;

use crate::golden::assert_close;
use crate::pairs::{Pair, assert_same_pair, everything, recipe, steps, values, without_noise};

const FLAT: [usize; 3] = [48, 37, 1];
const SOLID: [usize; 3] = [20, 24, 17];

/// Voxels: roundings of positions on grids of some tens of voxels, through eight squarings and an affine map.
const FIELD: f32 = 1e-4;

/// Of the unit interval: a gamma of exp(-0.75) makes 4e-4 of a rounding of 1e-7 near zero.
const IMAGE: f32 = 1e-3;

#[test]
fn pairs_agree_but_for_the_noise_of_voxels() {
    for sharing in [Sharing::Shared, Sharing::Independent] {
        for config in [everything(sharing), SynthConfig::default()] {
            let config = without_noise(config);
            for shape in [FLAT, SOLID] {
                for index in 0..3 {
                    let recipe = recipe(&config, shape, index);
                    let expected = Pair::on_host(&recipe);
                    let found = Pair::on_device(&recipe, &Device::flex());
                    let what = format!("{sharing:?} {shape:?} {index}");
                    assert_same_pair(&what, &found, &expected, FIELD, IMAGE);
                }
            }
        }
    }
}

#[test]
fn given_maps_keep_their_numbers() {
    let shape = [24, 20, 16];
    let ids = [0, 17, -4, 2035];
    let map = LabelMap {
        data: Array3::from_shape_fn(shape, |(i, j, k)| ids[(i / 7 + j / 6 + k / 5) % 4]),
        geometry: Geometry::new(shape, Dimension::Three, Affine::identity()),
    };
    let config = without_noise(SynthConfig::default());
    let recipe = Recipe {
        source: &LabelSource::of_maps(&[("m".into(), map)]).unwrap(),
        ..recipe(&config, shape, 0)
    };
    let found = Pair::on_device(&recipe, &Device::flex());
    assert!(ids.iter().all(|id| found.fixed_labels.contains(id)));
    assert_same_pair("maps", &found, &Pair::on_host(&recipe), FIELD, IMAGE);
}

#[test]
fn many_labels_are_made_in_turns() {
    // 256 channels on 80 x 80 x 80 voxels are more than the engine holds at a time.
    let mut config = without_noise(SynthConfig::default());
    config.shapes.labels = 256;
    config.blur.prob = 0.0;
    let recipe = recipe(&config, [160, 160, 160], 0);
    let engine = hmorph::render::DeviceEngine::new(&Device::flex());
    let made = recipe.make(&engine).unwrap();
    let expected = recipe.make(&hmorph::synth::Host).unwrap();
    let labels = values(made.fixed_labels);
    let pairs = labels.iter().zip(&expected.fixed_labels);
    let flipped = pairs.filter(|(a, b)| **a != f32::from(**b)).count();
    assert!(1000 * flipped <= labels.len(), "{flipped} labels");
    assert!(labels.iter().any(|label| *label > 128.0));
}

/// Two images of the same labels that differ by the noise within labels alone, and not clipped.
fn noisy() -> SynthConfig {
    let mut config = without_noise(SynthConfig::default());
    config.shapes.labels = 3;
    config.deformation.velocity_sd = Range::new(0.0, 0.0);
    config.contrast.mean = Range::new(0.4, 0.6);
    config.contrast.background_mean = Range::new(0.4, 0.6);
    config.contrast.zero_background_prob = 0.0;
    config.contrast.sd = Range::new(0.03, 0.03);
    config.contrast.background_sd = Range::new(0.03, 0.03);
    for prob in [
        &mut config.blur.prob,
        &mut config.bias.prob,
        &mut config.gamma.prob,
    ] {
        *prob = 0.0;
    }
    config
}

/// The image less the mean of each label, over the standard deviation that is left.
fn standardised(image: &[f32], labels: &[i32]) -> Vec<f64> {
    let mut sums = [(0.0, 0.0); 3];
    for (value, label) in image.iter().zip(labels) {
        let (sum, count) = &mut sums[*label as usize];
        *sum += f64::from(*value);
        *count += 1.0;
    }
    let rest = image.iter().zip(labels).map(|(value, label)| {
        let (sum, count) = sums[*label as usize];
        f64::from(*value) - sum / count
    });
    let rest: Vec<f64> = rest.collect();
    let square = rest.iter().map(|v| v * v).sum::<f64>() / rest.len() as f64;
    rest.iter().map(|v| v / square.sqrt()).collect()
}

fn correlation(pairs: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    let (sum, count) = pairs.fold((0.0, 0.0), |(sum, n), (a, b)| (sum + a * b, n + 1.0));
    (sum / count, count)
}

#[test]
fn texture_is_independent_from_voxel_to_voxel_and_between_the_images() {
    let config = noisy();
    let recipe = recipe(&config, [96, 96, 1], 0);
    let pair = Pair::on_device(&recipe, &Device::flex());
    assert_eq!(pair.fixed_labels, pair.moving_labels);
    let [fixed, moving] = pair
        .sides()
        .map(|(image, labels)| standardised(image, labels));
    // The correlation of n independent pairs has the standard error 1 / sqrt(n); five of those are allowed.
    let along_rows = fixed
        .chunks(96)
        .flat_map(|row| row.iter().copied().zip(row[1..].iter().copied()));
    let along_columns = fixed.iter().copied().zip(fixed[96..].iter().copied());
    let between = fixed.iter().copied().zip(moving.iter().copied());
    for (what, (found, count)) in [
        ("rows", correlation(along_rows)),
        ("columns", correlation(along_columns)),
        ("images", correlation(between)),
    ] {
        assert!(found.abs() < 5.0 / count.sqrt(), "{what}: {found}");
    }
}

#[test]
fn the_seed_decides_about_the_noise() {
    let config = everything(Sharing::Shared);
    let make = |index| Pair::on_device(&recipe(&config, FLAT, index), &Device::flex());
    let (one, again, other) = (make(0), make(0), make(1));
    assert!(one.fixed == again.fixed && one.moving == again.moving);
    assert!(one.fixed != other.fixed);
}

#[test]
fn painted_labels_have_their_mean_and_deviation() {
    let n = 3 << 14;
    let labels: Vec<f32> = (0..2 * n).map(|x| (x % 2) as f32).collect();
    let tissues = vec![0.3, 0.05, 0.7, 0.1];
    let device = Device::flex();
    let tensor = |values: Vec<f32>, shape: [usize; 5]| {
        burn::tensor::Tensor::<5>::from_data(burn::tensor::TensorData::new(values, shape), &device)
    };
    let image = ops::paint_labels(
        tensor(labels, [1, 1, 1, 2, n]),
        tensor(tissues.clone(), [1, 1, 1, 2, 2]),
        [5, 6, 7, 8],
    );
    let image = values(image);
    for (label, tissue) in tissues.chunks(2).enumerate() {
        let of_label = || image.iter().skip(label).step_by(2).map(|v| f64::from(*v));
        let mean = of_label().sum::<f64>() / n as f64;
        let sd = (of_label().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
        // Five standard errors of 49152 samples: 0.023 SD for the mean, 0.016 SD for the SD.
        let allowed = 0.023 * f64::from(tissue[1]);
        assert!((mean - f64::from(tissue[0])).abs() < allowed, "{mean}");
        assert!((sd - f64::from(tissue[1])).abs() < allowed, "{sd}");
    }
}

#[test]
fn other_types_are_served_by_copies() {
    let device = Device::flex();
    let image = || {
        let values = (0..120).map(|n| (n * 37 % 11) as f32).collect::<Vec<f32>>();
        let data = burn::tensor::TensorData::new(values, [1, 1, 4, 5, 6]);
        burn::tensor::Tensor::<5>::from_data(data, &device)
    };
    let expected = ops::smooth_along(image(), 1, 1.2);
    let found = ops::smooth_along(image().cast(DType::F64), 1, 1.2);
    assert_close(
        "doubles",
        &values(found.cast(DType::F32)),
        &values(expected),
        0.0,
    );
}

#[test]
fn cases_of_steps_are_finite_and_not_constant() {
    let device = Device::flex();
    for step in steps() {
        let found = values((step.run)(&device));
        assert!(found.iter().all(|v| v.is_finite()), "{}", step.name);
        let first = found[0];
        assert!(
            found.iter().any(|v| *v != first),
            "{} is constant",
            step.name
        );
    }
}
