//! Training on pairs that are made on the device: `train.synthesis = "device"`, here on the CPU.

use crate::learning::LEARNABLE;
use crate::mixture::{study, with};
use crate::training::{Bench, assert_same_run, failure, rows};

const ON_DEVICE: &str = "train.synthesis='device'";

#[test]
fn workers_and_interruptions_change_no_bit() {
    let bench = Bench::new();
    let run = |out: &str, more: &[&str]| {
        let overrides = [&[ON_DEVICE], more].concat();
        bench.train(out, &overrides).assert().success();
    };
    run("straight", &["train.workers=0"]);
    for workers in ["train.workers=1", "train.workers=3"] {
        let out = &workers[6..];
        run(out, &[workers]);
        assert_same_run(&bench.path(out), &bench.path("straight"));
    }
    run("grown", &["train.workers=0", "train.epochs=1"]);
    run("grown", &["train.workers=0"]);
    assert_same_run(&bench.path("grown"), &bench.path("straight"));
}

/// Every loss that asks for something else about a pair.
const LOSSES: [&str; 3] = [
    "loss.dice={ weight = 0.1, max_labels = 3 }",
    "loss.field_mse={ weight = 0.1 }",
    "mixture.alpha=0.5",
];

#[test]
fn without_noise_of_voxels_a_run_is_the_same_as_with_pairs_of_the_host() {
    let bench = Bench::new();
    study(bench.folder.path(), 8, true);
    let first_means = |place: &str, max_labels: &str| {
        let changes = [
            place,
            "data.labels='labels/{subject}.nii'",
            "synth.contrast.sd=[0, 0]",
            "synth.contrast.background_sd=[0, 0]",
            "train.batch=4",
            max_labels,
        ];
        let overrides = with(&[&LOSSES[..], &changes].concat());
        let out = format!("{place}-{max_labels}").replace(['\'', '.', '='], "-");
        let said = bench.train(&out, &overrides).assert().success();
        let said = String::from_utf8_lossy(&said.get_output().stdout).into_owned();
        assert_eq!(
            said.contains("synthesis  on the device"),
            place == ON_DEVICE
        );
        rows(&bench.path(&out).join("metrics.csv"))[0].clone()
    };
    // Fewer labels than there are, so that it matters which occur; and all.
    for max_labels in ["loss.dice.max_labels=3", "loss.dice.max_labels=0"] {
        let host = first_means("train.synthesis='host'", max_labels);
        let device = first_means(ON_DEVICE, max_labels);
        for name in [
            "real/dice",
            "synthetic/dice",
            "synthetic/field_mse",
            "real/mse",
        ] {
            assert!(host.contains_key(name), "{name}");
        }
        for (name, expected) in &host {
            if ["seconds", "seconds_per_step", "peak_memory_mb"].contains(&name.as_str()) {
                continue;
            }
            let found = device[name];
            // Single precision through the synthesis, ten convolutions and three steps of Adam.
            let distance = (found - expected).abs();
            assert!(
                distance <= 1e-3 * expected.abs(),
                "{max_labels}, {name}: {found} beside {expected}"
            );
        }
    }
}

#[test]
fn devices_that_share_a_batch_make_its_pairs() {
    let bench = Bench::new();
    study(bench.folder.path(), 8, true);
    let means = |devices: &str| {
        let mut command = bench.hmorph_on(devices);
        command.args(["train", "--config", "tiny.toml", "-o", devices]);
        let more = [
            ON_DEVICE,
            "data.labels='labels/{subject}.nii'",
            "train.batch=5",
            // All labels: of a random few, each device draws its own.
            "loss.dice.max_labels=0",
        ];
        for change in with(&[&LOSSES[..], &more].concat()) {
            command.args(["--set", change]);
        }
        command.assert().success();
        rows(&bench.path(devices).join("metrics.csv"))[0].clone()
    };
    let (alone, shared) = (means("cpu"), means("cpu,cpu,cpu"));
    assert!(alone.contains_key("real/mse") && alone.contains_key("synthetic/dice"));
    for name in [
        "total",
        "gradient_norm",
        "synthetic/dice",
        "synthetic/field_mse",
    ] {
        let (found, expected) = (shared[name], alone[name]);
        let distance = (found - expected).abs();
        assert!(
            distance <= 1e-4 * expected.abs(),
            "{name}: {found} beside {expected}"
        );
    }
}

#[test]
fn training_lowers_the_loss_of_pairs_of_the_host() {
    let bench = Bench::new();
    // As with pairs of the host, whose held-out pairs judge here, too.
    let overrides = [&[ON_DEVICE], &LEARNABLE[..]].concat();
    bench.train("out", &overrides).assert().success();
    let validation = rows(&bench.path("out/validation.csv"));
    let (first, last) = (&validation[0], validation.last().unwrap());
    let (before, after) = (first["loss"], last["loss"]);
    assert!(after < 0.6 * before, "validation loss {before} -> {after}");
    let (before, after) = (last["dice_before"], last["dice"]);
    assert!(after > before + 0.02, "Dice {before} -> {after}");
}

#[test]
fn gradient_checkpointing_makes_the_same_pairs() {
    let bench = Bench::new();
    let first_means = |out: &str, more: &[&str]| {
        let overrides = [&[ON_DEVICE, "loss.field_mse={}", "loss.dice={}"], more].concat();
        bench.train(out, &overrides).assert().success();
        rows(&bench.path(out).join("metrics.csv"))[0].clone()
    };
    let plain = first_means("plain", &[]);
    let found = first_means("checkpointed", &["train.gradient_checkpointing=true"]);
    for name in ["total", "gradient_norm"] {
        let (found, expected) = (found[name], plain[name]);
        let distance = (found - expected).abs() / expected.abs();
        assert!(distance < 1e-4, "{name}: {found} beside {expected}");
    }
}

#[test]
fn there_must_be_pairs_to_make() {
    let bench = Bench::new();
    study(bench.folder.path(), 8, false);
    let overrides = with(&[ON_DEVICE, "mixture.alpha=1.0"]);
    let line = failure(&mut bench.train("out", &overrides), 1);
    assert!(
        line.contains("[train] synthesis is \"device\", but mixture.alpha is 1"),
        "{line}"
    );
    let line = failure(&mut bench.train("out", &["train.synthesis=gpu"]), 1);
    for name in ["auto", "host", "device"] {
        assert!(line.contains(name), "{line}");
    }
    assert!(!bench.path("out").exists());
}
