//! Real and synthetic pairs in one run: what is logged by kind, and how the kinds are weighed.

use std::collections::BTreeMap;
use std::path::Path;

use hmorph::model::{ModelCard, WeightsFile};
use hmorph::register::preprocessing;
use hmorph::synth::{LabelSource, SynthConfig, make_pair};
use hmorph::volume::{Affine, DType, Dimension, Geometry, Volume, write_image, write_labels};

use crate::training::{self, Bench, failure, rows};

const SHAPE: [usize; 3] = [32, 32, 1];

/// `n` subjects, one synthetic image each, with or without label maps.
pub fn study(folder: &Path, n: u64, labels: bool) {
    let geometry = Geometry::new(SHAPE, Dimension::Two, Affine::identity());
    let config = SynthConfig::default();
    for kind in ["images", "labels"] {
        std::fs::create_dir(folder.join(kind)).unwrap();
    }
    for subject in 0..n {
        let (source, two) = (LabelSource::Shapes, Dimension::Two);
        let pair = make_pair(&config, &source, two, SHAPE, 7, subject).unwrap();
        let geometry = geometry.clone();
        let image = Volume {
            data: pair.fixed,
            geometry: geometry.clone(),
        };
        let path = folder.join(format!("images/{subject}.nii"));
        write_image(path, &image, DType::F32, "").unwrap();
        if labels {
            let map = Volume {
                data: pair.fixed_labels,
                geometry,
            };
            write_labels(folder.join(format!("labels/{subject}.nii")), &map, "").unwrap();
        }
    }
}

const REAL: [&str; 3] = [
    "data.images='images/{subject}.nii'",
    "data.split=[0.5, 0.25, 0.25]",
    "data.normalize={ kind = 'none' }",
];

pub fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    REAL.iter().chain(more).copied().collect()
}

/// Sum of the weighted terms of a kind in a row.
fn kind_sum(row: &BTreeMap<String, f64>, kind: &str) -> f64 {
    let term = |name: &str| row.get(&format!("{kind}/{name}")).copied().unwrap_or(0.0);
    term("mse") + 0.02 * term("diffusion")
}

/// Values are logged with seven digits; a step's total is made in float32.
const TOLERANCE: f64 = 1e-5;

/// The card of the weights that a short run on the images of [`study`] ends with.
fn card(bench: &Bench, out: &str, more: &[&str]) -> ModelCard {
    let mut overrides = with(&["mixture.alpha=1.0", "train.epochs=1"]);
    overrides.extend(more);
    bench.train(out, &overrides).assert().success();
    let weights = WeightsFile::read(&bench.path(out).join("last.safetensors"));
    weights.unwrap().card
}

#[test]
fn weights_say_how_their_images_were_prepared() {
    let bench = Bench::new();
    study(bench.folder.path(), 8, false);
    let stated = card(&bench, "headers", &[]);
    assert_eq!(stated.spacing, Some([1.0; 3]));
    assert_eq!(stated.orientation.as_deref(), Some("RAS"));
    // Headers that mean nothing are not asked of other scans, but what the settings did to every image is.
    let centred = card(&bench, "centred", &["data.align='centre'"]);
    assert_eq!((centred.spacing, centred.orientation), (None, None));
    let stored = card(&bench, "stored", &["data.orientation='stored'"]);
    assert_eq!(stored.orientation, None);
    let turned = [
        "data.align='centre'",
        "data.orientation='LAS'",
        "data.spacing=[2.0, 2.0]",
    ];
    let turned = card(&bench, "turned", &turned);
    assert_eq!(turned.spacing, Some([2.0, 2.0, 1.0]));
    assert_eq!(turned.orientation.as_deref(), Some("LAS"));
}

#[test]
fn weights_say_what_they_were_trained_on() {
    let bench = Bench::new();
    study(bench.folder.path(), 8, false);
    // Real images that only validate leave the weights free.
    let synthetic = card(&bench, "synthetic", &["mixture.alpha=0.0"]);
    assert!(
        synthetic
            .provenance
            .contains(" steps on synthetic images, seed 1"),
        "{}",
        synthetic.provenance
    );
    assert_eq!(synthetic.licence, "MIT OR Apache-2.0");
    // The settings describe synthetic images, too.
    let real = card(&bench, "real", &[]);
    assert!(
        real.provenance.contains(" steps on real images, seed 1"),
        "{}",
        real.provenance
    );
    assert_eq!(real.licence, "that of the training images");
}

#[test]
fn a_mixture_that_begins_after_the_run_is_told_and_not_claimed() {
    let bench = Bench::new();
    study(bench.folder.path(), 8, false);
    let said = |alpha: &str, more: &[&str]| {
        let mut run = bench.train("out", &with(&[alpha]));
        let output = run.args(more).output().unwrap();
        assert!(output.status.success(), "{alpha}");
        String::from_utf8(output.stdout).unwrap()
    };
    // Three epochs of four steps.
    let late = "mixture.alpha=[[0, 0.0], [12, 0.9]]";
    for more in [&["--dry-run"][..], &[]] {
        let text = said(late, more);
        for part in [
            "mixture    alpha 0, 0.9 from step 12 (share of real pairs)",
            "note: mixture.alpha = 0.9 at step 12 is never reached: the run has 12 steps",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    let card = WeightsFile::read(&bench.path("out/last.safetensors")).unwrap();
    let card = card.card;
    let provenance = &card.provenance;
    assert!(
        provenance.contains("12 steps on synthetic images,"),
        "{provenance}"
    );
    assert_eq!(card.licence, "MIT OR Apache-2.0");
    let text = said(
        "mixture.alpha=[[0, 0.0], [11, 0.9]]",
        &["--dry-run", "--force"],
    );
    assert!(!text.contains("never reached"), "{text}");
}

#[test]
fn histogram_matching_goes_with_the_weights() {
    let bench = Bench::new();
    study(bench.folder.path(), 8, false);
    let matched = ["data.normalize={ kind = 'histogram-match', reference = 'images/0.nii' }"];
    let card = card(&bench, "out", &matched);
    let quantiles = card.reference_quantiles.clone();
    assert!(quantiles.len() > 1);
    // The reference is not there when others use the weights.
    std::fs::remove_file(bench.path("images/0.nii")).unwrap();
    let normaliser = preprocessing(&card, None).unwrap().normaliser;
    assert_eq!(normaliser.reference_quantiles, quantiles);
}

#[test]
fn sampled_mixtures_log_both_kinds_by_their_share() {
    let bench = Bench::new();
    study(bench.folder.path(), 8, false);
    let overrides = with(&[
        "mixture.alpha=0.5",
        "train.batch=4",
        "train.epochs=30",
        "train.validate_every=30",
    ]);
    bench.train("out", &overrides).assert().success();
    let rows = rows(&bench.path("out/metrics.csv"));
    assert_eq!(rows.len(), 40);
    let mean = |name: &str| rows.iter().map(|row| row[name]).sum::<f64>() / rows.len() as f64;
    let real = mean("real/items");
    // 480 items, each real with probability 1/2: the mean of 2 a step has a standard deviation of
    // sqrt(480) / 2 / 120 = 0.09; four of them.
    assert!((real - 2.0).abs() < 0.37, "{real}");
    for row in &rows {
        let (real, synthetic) = (row["real/items"], row["synthetic/items"]);
        assert!((real + synthetic - 4.0).abs() < 1e-6);
        // The total is the mean over items, whatever their kind.
        let expected =
            (real * kind_sum(row, "real") + synthetic * kind_sum(row, "synthetic")) / 4.0;
        let total = row["total"];
        assert!(
            (total - expected).abs() < TOLERANCE * expected,
            "{total} {expected}"
        );
    }
}

#[test]
fn weighted_mixtures_follow_equation_4() {
    let bench = Bench::new();
    study(bench.folder.path(), 8, false);
    let overrides = with(&[
        "mixture.alpha=0.8",
        "mixture.mode=weighted",
        "train.batch=5",
    ]);
    bench.train("out", &overrides).assert().success();
    let rows = rows(&bench.path("out/metrics.csv"));
    assert_eq!(rows.len(), 4);
    for row in &rows {
        assert_eq!((row["real/items"], row["synthetic/items"]), (3.0, 2.0));
        // (1 - alpha) / alpha = 0.25
        let expected = kind_sum(row, "real") + 0.25 * kind_sum(row, "synthetic");
        let total = row["total"];
        assert!(
            (total - expected).abs() < TOLERANCE * expected,
            "{total} {expected}"
        );
    }
}

#[test]
fn without_labels_the_best_is_chosen_by_loss() {
    let bench = Bench::new();
    study(bench.folder.path(), 8, false);
    bench
        .train("out", &with(&["mixture.alpha=1.0"]))
        .assert()
        .success();
    let rows = rows(&bench.path("out/validation.csv"));
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| !row.contains_key("dice")));
    let best = rows[1..]
        .iter()
        .min_by(|a, b| a["loss"].total_cmp(&b["loss"]))
        .unwrap()["step"];
    let record = std::fs::read_to_string(bench.path("out/run.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["best_step"], best as u64);
    assert!(bench.path("out/best.safetensors").exists());
    let columns = &training::rows(&bench.path("out/metrics.csv"))[0];
    assert!(columns.contains_key("real/mse") && !columns.contains_key("synthetic/mse"));
}

#[test]
fn a_split_that_nothing_can_judge_is_refused() {
    let bench = Bench::new();
    study(bench.folder.path(), 8, false);
    let overrides = with(&["mixture.alpha=1.0", "loss={ dice = {}, diffusion = {} }"]);
    // Validation on real pairs, training on synthetic ones.
    let validation = [&overrides[..], &["mixture.alpha=0.0"]].concat();
    let line = failure(&mut bench.train("out", &validation), 1);
    assert!(
        line.contains("the pairs taken from the validation split have no labels"),
        "{line}"
    );
    let training = [&overrides[..], &["train.validation_pairs=0"]].concat();
    let line = failure(&mut bench.train("out", &training), 1);
    assert!(
        line.contains("the pairs taken from the train split have no labels"),
        "{line}"
    );
    let on_real = "loss={ dice = { on = 'real' }, diffusion = {} }";
    let line = failure(&mut bench.train("out", &[on_real]), 1);
    assert!(line.contains("no term compares synthetic pairs"), "{line}");
    // Labels that no term looks at teach nothing.
    let labelled = Bench::new();
    study(labelled.folder.path(), 8, true);
    let with_labels = with(&["data.labels='labels/{subject}.nii'", "mixture.alpha=0.5"]);
    for term in ["mse", "dice", "field_mse"] {
        let loss = format!("loss={{ {term} = {{ on = 'synthetic' }}, diffusion = {{}} }}");
        let overrides = [&with_labels[..], &[&loss]].concat();
        let line = failure(&mut labelled.train("out", &overrides), 1);
        assert!(
            line.contains("no term compares real pairs"),
            "{term}: {line}"
        );
    }
    assert!(!bench.path("out").exists() && !labelled.path("out").exists());
}

/// An image meets itself in training, but not where weights are chosen.
#[test]
fn one_labelled_image_does_not_judge() {
    let bench = Bench::new();
    study(bench.folder.path(), 4, true);
    let run = |last_label: &str| {
        let rows = format!(
            "image,label,subject,split\nimages/0.nii,,0,train\nimages/1.nii,,1,train\n\
             images/2.nii,labels/2.nii,2,validation\nimages/3.nii,{last_label},3,validation\n"
        );
        std::fs::write(bench.path("study.csv"), rows).unwrap();
        let overrides = [
            "data.manifest='study.csv'",
            "data.pairs='any'",
            "data.normalize={ kind = 'none' }",
            "mixture.alpha=0.0",
            "loss={ dice = {}, diffusion = {} }",
        ];
        let mut run = bench.train("out", &overrides);
        run.arg("--dry-run");
        run
    };
    let line = failure(&mut run(""), 1);
    assert!(
        line.contains("the pairs taken from the validation split have no labels"),
        "{line}"
    );
    run("labels/3.nii").assert().success();
}

#[test]
fn an_overlap_that_no_pair_has_labels_for_is_refused() {
    let bench = Bench::new();
    study(bench.folder.path(), 8, false);
    let labelled = Bench::new();
    study(labelled.folder.path(), 8, true);
    let run = |labels: bool, alpha: &str, on: &str| {
        let dice = format!("loss.dice={{ on = '{on}' }}");
        let mut overrides = with(&[alpha, &dice]);
        let bench = if labels {
            overrides.push("data.labels='labels/{subject}.nii'");
            &labelled
        } else {
            &bench
        };
        let mut run = bench.train("out", &overrides);
        run.arg("--dry-run");
        run
    };
    // The settings describe synthetic images, which have labels; with alpha = 1 none is made.
    for (labels, alpha, on) in [
        (false, "mixture.alpha=1.0", "all"),
        (false, "mixture.alpha=0.5", "real"),
        (true, "mixture.alpha=1.0", "synthetic"),
        (true, "mixture.alpha=0.0", "real"),
    ] {
        let line = failure(&mut run(labels, alpha, on), 1);
        assert!(
            line.contains("[loss.dice] compares labels, and no training pair"),
            "{labels}, {alpha}, {on}: {line}"
        );
    }
    for (labels, alpha, on) in [
        (false, "mixture.alpha=0.5", "all"),
        (true, "mixture.alpha=0.5", "real"),
        (true, "mixture.alpha=1.0", "all"),
    ] {
        run(labels, alpha, on).assert().success();
    }
}

#[test]
fn an_overlap_needs_labels_of_both_images() {
    let bench = Bench::new();
    study(bench.folder.path(), 8, true);
    let atlas = with(&[
        "data.labels='labels/{subject}.nii'",
        "data.pairs='atlas'",
        "data.atlas='images/0.nii'",
        "mixture.alpha=1.0",
        "loss={ dice = {}, diffusion = { weight = 0.02 } }",
    ]);
    let line = failure(bench.train("out", &atlas).arg("--dry-run"), 1);
    assert!(line.contains("data.atlas_labels"), "{line}");
    let labelled = [&atlas[..], &["data.atlas_labels='labels/0.nii'"]].concat();
    let mut run = bench.train("out", &labelled);
    run.arg("--dry-run").assert().success();
}

#[test]
fn labels_of_real_pairs_drive_and_measure() {
    let bench = Bench::new();
    study(bench.folder.path(), 8, true);
    let overrides = with(&[
        "data.labels='labels/{subject}.nii'",
        "mixture.alpha=1.0",
        "loss={ dice = {}, diffusion = { weight = 0.02 } }",
    ]);
    bench.train("out", &overrides).assert().success();
    let metrics = rows(&bench.path("out/metrics.csv"));
    // Minus the mean Dice, so between -1 and 0.
    assert!(
        metrics
            .iter()
            .all(|row| (-1.0..0.0).contains(&row["real/dice"]))
    );
    let validation = rows(&bench.path("out/validation.csv"));
    assert!(
        validation
            .iter()
            .all(|row| (0.0..=1.0).contains(&row["dice"]))
    );
}

#[test]
fn devices_that_share_a_batch_find_what_one_finds() {
    let bench = Bench::new();
    study(bench.folder.path(), 8, true);
    let run = |devices: &str, out: &str, more: &[&str]| {
        let mut command = bench.hmorph_on(devices);
        command.args(["train", "--config", "tiny.toml", "-o", out]);
        let labels = [
            "data.labels='labels/{subject}.nii'",
            "loss.dice={ on = 'synthetic' }",
        ];
        for change in with(&labels).iter().chain(more) {
            command.args(["--set", change]);
        }
        command
    };
    for (name, more) in [
        (
            "sample",
            [
                "mixture.alpha=0.5",
                "mixture.mode='sample'",
                "train.batch=5",
            ],
        ),
        (
            "weighted",
            [
                "mixture.alpha=0.8",
                "mixture.mode='weighted'",
                "train.batch=4",
            ],
        ),
    ] {
        let means = |devices: &str| {
            let out = format!("{name}-{devices}");
            let assert = run(devices, &out, &more).assert().success();
            let row = rows(&bench.path(&out).join("metrics.csv"))[0].clone();
            (
                row,
                String::from_utf8_lossy(&assert.get_output().stdout).into_owned(),
            )
        };
        let (alone, _) = means("cpu");
        let (shared, said) = means("cpu,cpu,cpu");
        assert!(said.contains("3, which share each batch"), "{said}");
        assert!(alone.contains_key("real/mse") && alone.contains_key("synthetic/dice"));
        for (value, expected) in &alone {
            if ["seconds", "seconds_per_step", "peak_memory_mb"].contains(&value.as_str()) {
                continue;
            }
            let found = shared[value];
            let distance = (found - expected).abs();
            assert!(
                distance <= 1e-4 * expected.abs(),
                "{name}, {value}: {found} beside {expected}"
            );
        }
    }
    let line = failure(&mut run("cpu,cpu,cpu", "small", &["train.batch=2"]), 1);
    assert!(
        line.contains("train.batch is 2; 3 devices share a batch"),
        "{line}"
    );
}
