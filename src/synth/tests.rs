//! Properties of whole pairs: reproducible, geometrically true, within their ranges.

use ndarray::Array3;
use rayon::ThreadPoolBuilder;

use super::*;
use crate::kernels::jacobian;
use crate::kernels::warp::{self, Border, Shape};
use crate::volume::{Affine, Dimension, Geometry, LabelMap};

const FLAT: [usize; 3] = [96, 112, 1];
const SOLID: [usize; 3] = [40, 48, 44];

fn extent(shape: [usize; 3]) -> [usize; 3] {
    match shape {
        [i, j, 1] => [1, i, j],
        shape => shape,
    }
}

fn dimension(shape: [usize; 3]) -> Dimension {
    if shape[2] == 1 {
        Dimension::Two
    } else {
        Dimension::Three
    }
}

fn pair(config: &SynthConfig, shape: [usize; 3], index: u64) -> SynthPair {
    make_pair(
        config,
        &LabelSource::Shapes,
        dimension(shape),
        shape,
        42,
        index,
    )
    .unwrap()
}

/// Every artefact switched off.
fn plain() -> SynthConfig {
    let mut config = SynthConfig::default();
    for prob in [
        &mut config.blur.prob,
        &mut config.bias.prob,
        &mut config.thickness.prob,
        &mut config.noise.prob,
        &mut config.gamma.prob,
        &mut config.crop.prob,
        &mut config.contrast.zero_background_prob,
    ] {
        *prob = 0.0;
    }
    config
}

/// Everything switched on.
fn full() -> SynthConfig {
    let mut config = SynthConfig::default();
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
    config.thickness.voxels = Range::new(2.0, 4.0);
    config.crop.fraction = Range::new(0.1, 0.2);
    config.noise.sd = Range::new(0.05, 0.1);
    config
}

#[test]
fn threads_and_order_change_nothing() {
    for shape in [FLAT, SOLID] {
        let reference: Vec<SynthPair> = (0..3).map(|i| pair(&full(), shape, i)).collect();
        assert_ne!(reference[0].fixed, reference[1].fixed);
        assert_ne!(reference[0].field, reference[2].field);
        for threads in 1..=3 {
            let pool = ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            for index in [2, 0, 1] {
                let again = pool.install(|| pair(&full(), shape, index));
                assert!(
                    again == reference[index as usize],
                    "{threads} threads, pair {index}"
                );
            }
        }
    }
}

#[test]
fn another_seed_makes_another_pair() {
    let make = |seed| {
        let config = SynthConfig::default();
        make_pair(&config, &LabelSource::Shapes, Dimension::Two, FLAT, seed, 0).unwrap()
    };
    assert_ne!(make(1).fixed_labels, make(2).fixed_labels);
}

/// Moving labels pulled through the true field, and where that field stays inside the moving grid.
fn moved_labels(pair: &SynthPair, shape: [usize; 3]) -> (Vec<i32>, Vec<bool>) {
    let extent = extent(shape);
    let axes = dimension(shape).axes();
    let field = pair.field.as_slice().unwrap();
    let labels = pair.moving_labels.as_slice().unwrap();
    let moved = warp::nearest(labels, field, &Shape::one(extent, axes, Border::Zeros));
    let n = moved.len();
    let [_, h, w] = extent;
    let inside = (0..n)
        .map(|x| {
            let at = [x / (h * w), x / w % h, x % w];
            (0..axes).all(|c| {
                let axis = 3 - axes + c;
                let to = at[axis] as f32 + field[c * n + x];
                (0.0..=(extent[axis] - 1) as f32).contains(&to)
            })
        })
        .collect();
    (moved, inside)
}

/// Mean Dice over the labels of `a`, where `mask`.
fn mean_dice(a: &[i32], b: &[i32], mask: &[bool]) -> f64 {
    let mut counts = std::collections::BTreeMap::new();
    for ((a, b), _) in a.iter().zip(b).zip(mask).filter(|(_, inside)| **inside) {
        counts.entry(*a).or_insert([0_usize; 3])[0] += 1;
        counts.entry(*b).or_insert([0; 3])[1] += 1;
        if a == b {
            counts.entry(*a).or_insert([0; 3])[2] += 1;
        }
    }
    // Labels of a handful of voxels are all boundary.
    let scores: Vec<f64> = counts
        .values()
        .filter(|c| c[0] >= 100)
        .map(|c| 2.0 * c[2] as f64 / (c[0] + c[1]) as f64)
        .collect();
    scores.iter().sum::<f64>() / scores.len() as f64
}

/// Clears `mask` next to other labels: sampling the nearest voxel twice is off by one there.
fn leave_out_boundaries(mask: &mut [bool], labels: &Array3<i32>) {
    for (inside, ((i, j, k), label)) in mask.iter_mut().zip(labels.indexed_iter()) {
        let near = |n: usize| n.saturating_sub(1)..=n + 1;
        let same = |at| labels.get(at).is_none_or(|other| other == label);
        *inside &= near(i).all(|i| near(j).all(|j| near(k).all(|k| same((i, j, k)))));
    }
}

#[test]
fn the_true_field_brings_the_moving_labels_onto_the_fixed_ones() {
    let mut with_affine = SynthConfig::default();
    with_affine.deformation.affine.prob = 1.0;
    for config in [SynthConfig::default(), with_affine] {
        for shape in [FLAT, SOLID] {
            let (mut before, mut after) = (0.0, 0.0);
            for index in 0..4 {
                let pair = pair(&config, shape, index);
                let fixed = pair.fixed_labels.as_slice().unwrap();
                let (moved, mut inside) = moved_labels(&pair, shape);
                leave_out_boundaries(&mut inside, &pair.fixed_labels);
                before += mean_dice(fixed, pair.moving_labels.as_slice().unwrap(), &inside) / 4.0;
                after += mean_dice(fixed, &moved, &inside) / 4.0;
            }
            assert!(
                after > 0.99 && before < 0.9,
                "{shape:?}: {before:.4} -> {after:.4}"
            );
        }
    }
}

#[test]
fn the_true_field_brings_the_moving_image_onto_the_fixed_one() {
    let mut config = plain();
    config.contrast.sd = Range::new(0.0, 0.0);
    config.contrast.background_sd = Range::new(0.0, 0.0);
    for shape in [FLAT, SOLID] {
        let pair = pair(&config, shape, 5);
        let (extent, axes) = (extent(shape), dimension(shape).axes());
        let [fixed, moving] = [&pair.fixed, &pair.moving].map(|v| v.as_slice().unwrap());
        let field = pair.field.as_slice().unwrap();
        let moved = warp::linear(moving, field, &Shape::one(extent, axes, Border::Zeros));
        let (_, inside) = moved_labels(&pair, shape);
        let error = |image: &[f32]| -> f64 {
            let square = |((a, b), i): ((&f32, &f32), &bool)| {
                if *i { f64::from(a - b).powi(2) } else { 0.0 }
            };
            fixed.iter().zip(image).zip(&inside).map(square).sum()
        };
        assert!(error(&moved) < 0.25 * error(moving), "{shape:?}");
    }
}

#[test]
fn default_deformations_do_not_fold() {
    for (shape, pairs) in [
        ([256, 256, 1], 4),
        (FLAT, 8),
        ([48, 56, 1], 8),
        ([160, 128, 1], 4),
        ([48, 64, 48], 2),
    ] {
        for index in 0..pairs {
            let field = pair(&SynthConfig::default(), shape, index).field;
            let axes = dimension(shape).axes();
            let det = jacobian::determinant(field.as_slice().unwrap(), axes, extent(shape));
            let lowest = det.iter().copied().fold(f32::INFINITY, f32::min);
            assert!(lowest > 0.0, "{shape:?} pair {index}: determinant {lowest}");
            let largest = field.iter().fold(0.0_f32, |m, u| m.max(u.abs()));
            assert!(
                largest > 0.3,
                "{shape:?} pair {index} hardly moves: {largest} voxels"
            );
        }
    }
}

#[test]
fn every_artefact_changes_the_image_and_keeps_it_valid() {
    for shape in [FLAT, SOLID] {
        let without = pair(&plain(), shape, 3);
        for artefact in Artefact::OF_SIGNAL.into_iter().chain(Artefact::OF_IMAGE) {
            let mut config = full();
            let probabilities = [
                (Artefact::Blur, &mut config.blur.prob),
                (Artefact::Bias, &mut config.bias.prob),
                (Artefact::Thickness, &mut config.thickness.prob),
                (Artefact::Noise, &mut config.noise.prob),
                (Artefact::Gamma, &mut config.gamma.prob),
                (Artefact::Crop, &mut config.crop.prob),
            ];
            for (other, prob) in probabilities {
                *prob = f64::from(u8::from(other == artefact));
            }
            config.deformation.affine.prob = 0.0;
            config.contrast.zero_background_prob = 0.0;
            assert_eq!(artefact.probability(&config), 1.0);
            let with = pair(&config, shape, 3);
            assert_eq!(with.fixed_labels, without.fixed_labels, "{artefact:?}");
            assert_eq!(with.field, without.field, "{artefact:?}");
            for (with, without) in [
                (&with.fixed, &without.fixed),
                (&with.moving, &without.moving),
            ] {
                assert_ne!(with, without, "{artefact:?}");
                assert!(with.iter().all(|v| (0.0..=1.0).contains(v)), "{artefact:?}");
            }
        }
    }
}

#[test]
fn images_span_the_unit_range_with_all_artefacts() {
    for index in 0..4 {
        let pair = pair(&full(), SOLID, index);
        for image in [&pair.fixed, &pair.moving] {
            assert!(image.iter().all(|v| (0.0..=1.0).contains(v)));
        }
        // One range for both images of a pair of shared contrast.
        let highest = pair
            .fixed
            .iter()
            .chain(&pair.moving)
            .copied()
            .fold(0.0, f32::max);
        assert!(highest > 0.9, "{highest}");
    }
}

/// Mean intensity of each label with at least 200 voxels.
fn label_means(image: &Array3<f32>, labels: &Array3<i32>) -> Vec<Option<f64>> {
    let mut sums = vec![(0.0, 0_usize); 16];
    for (value, label) in image.iter().zip(labels) {
        let entry = &mut sums[*label as usize];
        *entry = (entry.0 + f64::from(*value), entry.1 + 1);
    }
    let mean = |&(sum, n): &(f64, usize)| (n >= 200).then(|| sum / n as f64);
    sums.iter().map(mean).collect()
}

#[test]
fn a_shared_contrast_is_shared_and_an_independent_one_is_not() {
    for (sharing, alike) in [(Sharing::Shared, true), (Sharing::Independent, false)] {
        let mut config = plain();
        config.contrast.pair = sharing;
        // Clipping at 0 and 1 would move the mean of dark labels with few voxels.
        config.contrast.background_mean = Range::new(0.4, 0.6);
        config.contrast.mean = Range::new(0.4, 0.6);
        config.contrast.sd = Range::new(0.02, 0.02);
        config.contrast.background_sd = Range::new(0.02, 0.02);
        let pair = pair(&config, [192, 192, 1], 0);
        let fixed = label_means(&pair.fixed, &pair.fixed_labels);
        let moving = label_means(&pair.moving, &pair.moving_labels);
        let differences: Vec<f64> = fixed
            .iter()
            .zip(&moving)
            .filter_map(|(a, b)| Some(((*a)? - (*b)?).abs()))
            .collect();
        assert!(differences.len() >= 8);
        let largest = differences.iter().copied().fold(0.0, f64::max);
        // Scaling to [0, 1] takes SD 0.02 to about 0.06; the mean of 200 voxels is then within 0.03
        // (five standard errors of a difference).
        assert_eq!(largest < 0.03, alike, "{sharing:?}: {largest}");
    }
}

#[test]
fn given_maps_keep_their_numbers() {
    let shape = [40, 48, 1];
    let map = |ids: [i32; 3]| LabelMap {
        data: Array3::from_shape_fn(shape, |(i, j, _)| ids[(i / 16 + j / 20) % 3]),
        geometry: Geometry::new(shape, Dimension::Two, Affine::identity()),
    };
    let maps = [[0, 17, 2035], [-4, 5, 53]].map(|ids| (format!("{ids:?}"), map(ids)));
    let source = LabelSource::of_maps(&maps).unwrap();
    let config = SynthConfig::default();
    let mut used = [0; 2];
    for index in 0..16 {
        let pair = make_pair(&config, &source, Dimension::Two, shape, 1, index).unwrap();
        let first = pair.fixed_labels.iter().any(|l| [17, 2035].contains(l));
        used[usize::from(!first)] += 1;
        let allowed: &[i32] = if first {
            &[0, 17, 2035]
        } else {
            &[0, -4, 5, 53]
        };
        let both = pair.fixed_labels.iter().chain(&pair.moving_labels);
        assert!(both.clone().all(|l| allowed.contains(l)));
        assert!(allowed[1..].iter().all(|id| both.clone().any(|l| l == id)));
    }
    // 16 fair draws of one map only: odds 3e-5.
    assert!(used[0] > 0 && used[1] > 0, "{used:?}");
}

#[test]
fn shapes_are_blobs_of_many_labels() {
    for shape in [FLAT, SOLID, [200, 200, 1]] {
        for index in 0..3 {
            let mut config = plain();
            config.deformation.velocity_sd = Range::new(0.0, 0.0);
            let pair = pair(&config, shape, index);
            assert_eq!(pair.fixed_labels, pair.moving_labels);
            assert!(pair.field.iter().all(|u| *u == 0.0));
            let labels = &pair.fixed_labels;
            let distinct: std::collections::BTreeSet<_> = labels.iter().collect();
            assert!(distinct.len() >= 8 && distinct.iter().all(|l| (0..16).contains(*l)));
            // Noise would change label at 94 % of the steps along an axis; blobs do at few.
            let mut changes = 0;
            for line in labels.lanes(ndarray::Axis(1)) {
                changes += line.windows(2).into_iter().filter(|w| w[0] != w[1]).count();
            }
            let part = changes as f64 / labels.len() as f64;
            assert!(part > 0.01 && part < 0.25, "{shape:?} {index}: {part}");
        }
    }
}

#[test]
fn shapes_that_do_not_suit_are_refused() {
    let make = |dimension, shape| {
        let config = SynthConfig::default();
        make_pair(&config, &LabelSource::Shapes, dimension, shape, 0, 0)
    };
    for (dimension, shape) in [
        (Dimension::Two, [64, 64, 2]),
        (Dimension::Two, [64, 0, 1]),
        (Dimension::Three, [64, 64, 1]),
    ] {
        let text = make(dimension, shape).unwrap_err().to_string();
        assert!(text.contains("at least 4 voxels"), "{text}");
    }
}
