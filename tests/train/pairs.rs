//! Which real pairs a run draws, and what it keeps of its images.

use std::sync::Arc;

use burn::tensor::Device;
use hmorph::config::{RunConfig, load};
use hmorph::dataset::{Dataset, Sampler, Split};
use hmorph::model::WeightsFile;
use hmorph::train::Session;

use crate::mixture::{study, with};
use crate::training::Bench;

/// The settings of a run on the real images of [`study`], wherever it is prepared.
fn settings(bench: &Bench, more: &[&str]) -> RunConfig {
    let images = format!(
        "data.images='{}'",
        bench.path("images/{subject}.nii").display()
    );
    let labels = format!(
        "data.labels='{}'",
        bench.path("labels/{subject}.nii").display()
    );
    let changes = [
        "data.normalize={ kind = 'min-max' }",
        "data.augment={}",
        "mixture.alpha=1.0",
    ];
    let mut overrides = with(&[&changes[..], &[&images, &labels]].concat());
    overrides.extend(more);
    let overrides: Vec<String> = overrides.into_iter().map(String::from).collect();
    load(bench.path("tiny.toml").to_str().unwrap(), &overrides).unwrap()
}

fn session(config: &RunConfig, start: Option<WeightsFile>) -> Session {
    Session::prepare(config.clone(), start, Device::flex()).unwrap()
}

#[test]
fn a_run_from_weights_draws_other_real_pairs() {
    let bench = Bench::new();
    study(bench.folder.path(), 8, true);
    bench.train("first", &["train.epochs=1"]).assert().success();
    let start = WeightsFile::read(&bench.path("first/last.safetensors")).unwrap();
    let config = settings(&bench, &[]);
    let (scratch, tuned) = (session(&config, None), session(&config, Some(start)));
    // From scratch the pairs are those of the seed itself, 1.
    let data = Dataset::load(config.data.as_ref().unwrap(), 4).unwrap();
    let (mixture, dimension) = (config.mixture.clone(), config.model.dimension);
    let plain = Sampler::new(mixture, 2, 1, dimension, Some(data.into()), None);
    let plain = Arc::new(plain.unwrap());
    let mut drawn = Vec::new();
    for n in 0..12 {
        let [scratch, tuned, plain] =
            [&scratch.sampler, &tuned.sampler, &plain].map(|sampler| sampler.sample(n));
        let [scratch, tuned, plain] = [scratch, tuned, plain].map(Result::unwrap);
        assert_eq!(
            (&scratch.fixed, &scratch.moving),
            (&plain.fixed, &plain.moving),
            "pair {n}"
        );
        assert_ne!(tuned.fixed, scratch.fixed, "pair {n}");
        drawn.push([scratch, tuned].map(|pair| (pair.fixed_id, pair.moving_id)));
    }
    assert!(
        drawn.iter().any(|[scratch, tuned]| scratch != tuned),
        "{drawn:?}"
    );
}

#[test]
fn a_run_keeps_what_it_trains_and_validates_with() {
    let bench = Bench::new();
    study(bench.folder.path(), 8, true);
    for (loss, labels) in [
        ("loss={ mse = {} }", false),
        ("loss={ mse = {}, dice = {} }", true),
        ("loss={ mse = {}, dice = { weight = 0.0 } }", false),
    ] {
        let session = session(&settings(&bench, &[loss]), None);
        let drawn = session.sampler.sample(0).unwrap();
        assert_eq!(drawn.fixed_labels.is_some(), labels, "{loss}");
        assert_eq!(drawn.moving_labels.is_some(), labels, "{loss}");
        // Overlap is measured in any case.
        let held_out = session.held_out().next().unwrap().unwrap();
        assert!(
            held_out.fixed_labels.is_some() && held_out.moving_labels.is_some(),
            "{loss}"
        );
        let dataset = session.dataset.unwrap();
        for item in dataset.items() {
            assert_eq!(
                item.image.is_empty(),
                item.split == Split::Test,
                "{}",
                item.id
            );
        }
        assert!(!dataset.members(Split::Test).is_empty());
    }
}
