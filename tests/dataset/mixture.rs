//! The mixture of real and synthetic pairs and the loader that makes them.

use std::sync::Arc;

use hmorph::dataset::{
    Batch, Dataset, Kind, Loader, MakeSynthetic, MixtureConfig, Sample, Sampler, Split,
};
use hmorph::error::Error;
use hmorph::synth::{LabelSource, SynthConfig, make_pair};
use hmorph::volume::{Dimension, Volume};
use ndarray::{Array3, Array4};

use crate::studies::{PATTERNS, image, load, save, save_labels};

const SHAPE: [usize; 3] = [4, 4, 1];

/// Ten subjects whose images are told apart by their voxels.
fn study() -> Arc<Dataset> {
    let folder = tempfile::tempdir().unwrap();
    for s in 0..10 {
        save(
            folder.path(),
            &format!("s{s}.nii"),
            &image(SHAPE, Dimension::Two, |_| s as f32),
        );
    }
    let text = "images = '@/{subject}.nii'\nnormalize = { kind = 'none' }\n";
    Arc::new(load(folder.path(), text).unwrap())
}

/// A stand-in for synthesis that marks its voxels with the sample number.
fn synthetic(n: u64) -> Sample {
    let image = Array3::from_elem(SHAPE, 1000.0 + n as f32);
    Sample {
        kind: Kind::Synthetic,
        fixed_id: format!("synthetic {n}"),
        moving_id: format!("synthetic {n}"),
        fixed: image.clone(),
        moving: image,
        fixed_labels: Some(Array3::ones(SHAPE)),
        moving_labels: Some(Array3::ones(SHAPE)),
        field: Some(Array4::zeros((2, 4, 4, 1))),
    }
}

fn sampler(mixture: &str, batch: usize, seed: u64) -> Sampler {
    let mixture: MixtureConfig = toml::from_str(mixture).unwrap();
    let make: Box<MakeSynthetic> = Box::new(|n| Ok(synthetic(n)));
    Sampler::new(
        mixture,
        batch,
        seed,
        Dimension::Two,
        Some(study()),
        Some(make),
    )
    .unwrap()
}

#[test]
fn what_is_left_to_the_device_changes_no_kind_and_no_real_pair() {
    let mixture = "alpha = 0.5";
    let here = sampler(mixture, 4, 11);
    let there = sampler(mixture, 4, 11).leaving_synthetic(SHAPE);
    let mut seen = [0; 2];
    for number in 0..20 {
        let [here, there] = [&here, &there].map(|sampler| sampler.batch(number).unwrap());
        assert_eq!(there.kinds, here.kinds);
        let voxels = here.fixed.len() / here.len();
        for (item, left) in there.unmade.iter().enumerate() {
            let image = &here.fixed[item * voxels..][..voxels];
            match left {
                Some(n) => {
                    // The stand-in says its number.
                    assert_eq!(image[0], 1000.0 + *n as f32);
                    assert_eq!(*n, 4 * number + item as u64);
                }
                None => assert_eq!(there.fixed[there.made(item) * voxels..][..voxels], *image),
            }
            seen[usize::from(left.is_some())] += 1;
        }
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
}

#[test]
fn the_share_of_real_samples_is_alpha() {
    for alpha in [0.0, 0.5, 0.9, 1.0] {
        let sampler = sampler(&format!("alpha = {alpha}"), 4, 11);
        let n = 20_000;
        let real = (0..n).filter(|&s| sampler.kind(s) == Kind::Real).count() as f64;
        // Four standard deviations of the binomial: one run in 16,000 would leave them by chance, and
        // the seed is fixed.
        let sd = (n as f64 * alpha * (1.0 - alpha)).sqrt();
        assert!(
            (real - n as f64 * alpha).abs() <= 4.0 * sd,
            "{alpha}: {real} of {n}"
        );
    }
}

#[test]
fn alpha_follows_the_optimiser_step() {
    let sampler = sampler("alpha = [[0, 0.0], [10, 1.0]]", 3, 1);
    let kinds = |step: u64| {
        (3 * step..3 * step + 3)
            .map(|n| sampler.kind(n))
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(9), [Kind::Synthetic; 3]);
    assert_eq!(kinds(10), [Kind::Real; 3]);
}

#[test]
fn weighted_batches_hold_both_kinds() {
    let sampler = sampler("alpha = 0.9\nmode = 'weighted'", 5, 1);
    for number in 0..20 {
        let kinds = sampler.batch(number).unwrap().kinds;
        assert_eq!(kinds.iter().filter(|kind| **kind == Kind::Real).count(), 3);
    }
}

#[test]
fn batches_are_the_same_for_any_number_of_workers() {
    let sampler = Arc::new(sampler("alpha = 0.5", 4, 3));
    let batches = |first: u64, workers: usize| -> Vec<Batch> {
        let mut loader = Loader::new(sampler.clone(), first, workers).unwrap();
        (0..9).map(|_| loader.next_batch().unwrap()).collect()
    };
    let inline = batches(0, 0);
    assert_eq!(inline, batches(0, 1));
    assert_eq!(inline, batches(0, 3));
    assert_eq!(
        inline[4..],
        batches(4, 3)[..5],
        "a resumed run draws other samples"
    );
    let numbers: Vec<u64> = inline.iter().map(|batch| batch.number).collect();
    assert_eq!(numbers, (0..9).collect::<Vec<_>>());
    let kinds: Vec<Kind> = inline
        .iter()
        .flat_map(|batch| batch.kinds.clone())
        .collect();
    assert!(kinds.contains(&Kind::Real) && kinds.contains(&Kind::Synthetic));
}

#[test]
fn seeds_differ_and_items_keep_their_labels_and_fields() {
    let first = sampler("alpha = 0.5", 8, 1).batch(0).unwrap();
    assert_ne!(first, sampler("alpha = 0.5", 8, 2).batch(0).unwrap());
    assert_eq!(first, sampler("alpha = 0.5", 8, 1).batch(0).unwrap());
    for (item, kind) in first.kinds.iter().enumerate() {
        let synthetic = *kind == Kind::Synthetic;
        assert_eq!(first.has_field[item], synthetic);
        assert_eq!(first.has_labels[item], synthetic);
        assert_eq!(first.fixed[item * 16] >= 1000.0, synthetic);
        assert_eq!(first.fixed_labels[item * 16] == 1, synthetic);
    }
}

#[test]
fn an_error_reaches_the_trainer_at_its_batch() {
    for workers in [0, 2] {
        let make: Box<MakeSynthetic> = Box::new(|n| match n {
            6 => Err(Error::invalid("sample 6 is impossible")),
            _ => Ok(synthetic(n)),
        });
        let mixture = toml::from_str("alpha = 0").unwrap();
        let sampler = Sampler::new(mixture, 2, 0, Dimension::Two, None, Some(make)).unwrap();
        let mut loader = Loader::new(Arc::new(sampler), 0, workers).unwrap();
        for number in 0..3 {
            assert_eq!(loader.next_batch().unwrap().number, number);
        }
        let error = loader.next_batch().unwrap_err().to_string();
        assert!(error.contains("sample 6 is impossible"), "{error}");
        assert!(loader.next_batch().is_err());
    }
}

#[test]
fn dropping_the_loader_ends_its_workers() {
    let sampler = Arc::new(sampler("alpha = 0.5", 4, 3));
    let mut loader = Loader::new(sampler.clone(), 0, 3).unwrap();
    loader.next_batch().unwrap();
    drop(loader);
    // Each worker held one reference.
    assert_eq!(Arc::strong_count(&sampler), 1);
}

/// Ten subjects with a bright square each, 16x20, and its label map.
fn squares(extra: &str) -> Arc<Dataset> {
    let folder = tempfile::tempdir().unwrap();
    for s in 0..10 {
        let inside = |i: usize, j: usize| (s..s + 5).contains(&i) && (4..12).contains(&j);
        let picture = image([16, 20, 1], Dimension::Two, |[i, j, _]| {
            f32::from(inside(i, j))
        });
        let labels = Volume {
            data: picture.data.mapv(|v| 7 * v as i32),
            geometry: picture.geometry.clone(),
        };
        save(folder.path(), &format!("s{s}/t1.nii.gz"), &picture);
        save_labels(folder.path(), &format!("s{s}/seg.nii.gz"), &labels);
    }
    Arc::new(load(folder.path(), &format!("{PATTERNS}{extra}")).unwrap())
}

/// A mixture of the data and of true synthesis on the grid of the data.
fn mixed(data: Arc<Dataset>) -> Sampler {
    let mixture: MixtureConfig = toml::from_str("alpha = 0.5").unwrap();
    let (dimension, shape) = (data.dimension(), data.shape());
    let config = SynthConfig::default();
    let make: Box<MakeSynthetic> = Box::new(move |n| {
        let pair = make_pair(&config, &LabelSource::Shapes, dimension, shape, 5, n)?;
        Ok(Sample {
            kind: Kind::Synthetic,
            fixed_id: n.to_string(),
            moving_id: n.to_string(),
            fixed: pair.fixed,
            moving: pair.moving,
            fixed_labels: Some(pair.fixed_labels),
            moving_labels: Some(pair.moving_labels),
            field: Some(pair.field),
        })
    });
    Sampler::new(mixture, 2, 5, dimension, Some(data), Some(make)).unwrap()
}

#[test]
fn synthesis_in_workers_is_the_same_as_inline() {
    let sampler = Arc::new(mixed(squares("shape = [16, 24]\n")));
    let batches = |workers| -> Vec<Batch> {
        let mut loader = Loader::new(sampler.clone(), 0, workers).unwrap();
        (0..6).map(|_| loader.next_batch().unwrap()).collect()
    };
    let inline = batches(0);
    assert_eq!(inline, batches(1));
    assert_eq!(inline, batches(3));
    assert!(
        inline
            .iter()
            .any(|batch| batch.kinds == [Kind::Synthetic, Kind::Real]
                || batch.kinds == [Kind::Real, Kind::Synthetic])
    );
    let fields: usize = inline.iter().map(|batch| batch.field.len()).sum();
    assert!(fields > 0 && fields.is_multiple_of(2 * 2 * 16 * 24));
}

#[test]
fn pairs_without_labels_are_the_same_pairs() {
    // Grids of their own, so that moving images are brought to those of the fixed ones.
    let folder = tempfile::tempdir().unwrap();
    for s in 0..10 {
        let mut picture = image([16, 20, 1], Dimension::Two, |[i, j, _]| (i * j) as f32);
        picture.geometry.affine.0[(0, 3)] = 0.3 * s as f64;
        let labels = picture.map(|v| 1 + *v as i32 % 3);
        save(folder.path(), &format!("s{s}/t1.nii.gz"), &picture);
        save_labels(folder.path(), &format!("s{s}/seg.nii.gz"), &labels);
    }
    let data = load(folder.path(), &format!("{PATTERNS}[augment]\n"));
    let data = Arc::new(data.unwrap());
    let sampler = || {
        let (mixture, data) = (MixtureConfig::default(), Some(data.clone()));
        Sampler::new(mixture, 4, 5, Dimension::Two, data, None).unwrap()
    };
    let with = sampler().batch(3).unwrap();
    assert_eq!(with.has_labels, [true; 4]);
    let without = sampler().without_labels().batch(3).unwrap();
    assert_eq!(without.has_labels, [false; 4]);
    assert!(without.fixed_labels.is_empty() && without.moving_labels.is_empty());
    assert_eq!((without.fixed, without.moving), (with.fixed, with.moving));
}

#[test]
fn training_pairs_are_augmented_and_held_out_pairs_are_not() {
    let data = squares("shape = [16, 24]\n[augment]\n");
    let mixture = MixtureConfig::default();
    let sampler = Sampler::new(mixture, 2, 5, Dimension::Two, Some(data.clone()), None).unwrap();
    let batch = sampler.batch(0).unwrap();
    assert_eq!(batch, sampler.batch(0).unwrap());
    let plain = |id: &String| {
        let item = data.items().iter().find(|item| item.id == *id).unwrap();
        item.image.iter().copied().collect::<Vec<f32>>()
    };
    assert_ne!(batch.fixed[..16 * 24], plain(&batch.fixed_ids[0]));
    let (fixed, moving) = data.validation_pairs(Split::Test, 1, 0)[0];
    assert_eq!(
        data.pair(fixed, moving).unwrap().fixed,
        data.items()[fixed].image
    );
}
