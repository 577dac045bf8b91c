//! Training learns, stops when it should, and keeps what is frozen.

use std::fs;

use burn::tensor::Device;
use hmorph::model::WeightsFile;
use hmorph::train::Session;

use crate::training::{Bench, TINY, failure, names, rows};

fn weights(bench: &Bench, path: &str) -> WeightsFile {
    WeightsFile::read(&bench.path(path)).unwrap()
}

/// Without artefacts a few hundred steps of a tiny network are enough.
pub const LEARNABLE: [&str; 13] = [
    "train.epochs=3",
    "train.steps_per_epoch=150",
    "train.batch=4",
    "train.lr=0.004",
    "train.clip_norm=0",
    "train.validation_pairs=8",
    "loss.diffusion.weight=0.002",
    "synth.bias.prob=0",
    "synth.gamma.prob=0",
    "synth.blur.prob=0",
    "synth.contrast.sd=[0.0, 0.02]",
    "synth.contrast.background_sd=[0.0, 0.02]",
    "synth.deformation.velocity_sd=[2, 4]",
];

#[test]
fn training_on_shapes_lowers_the_loss_and_raises_dice() {
    let bench = Bench::new();
    bench.train("out", &LEARNABLE).assert().success();
    let validation = rows(&bench.path("out/validation.csv"));
    let (first, last) = (&validation[0], validation.last().unwrap());
    // Found: loss 0.073 -> 0.025, Dice 0.768 -> 0.808. Rounding differs from one processor to another and grows
    // over the steps: half of what was found is asked for.
    assert_eq!(first["dice"], first["dice_before"]);
    let (before, after) = (first["loss"], last["loss"]);
    assert!(after < 0.6 * before, "validation loss {before} -> {after}");
    let (before, after) = (last["dice_before"], last["dice"]);
    assert!(after > before + 0.02, "Dice {before} -> {after}");
    let record = fs::read_to_string(bench.path("out/run.json")).unwrap();
    assert!(record.contains("\"ending\": \"complete\""), "{record}");
}

#[test]
fn how_activations_are_kept_changes_a_run_by_rounding_only() {
    let bench = Bench::new();
    let first_means = |out: &str, overrides: &[&str]| {
        bench.train(out, overrides).assert().success();
        rows(&bench.path(out).join("metrics.csv"))[0].clone()
    };
    let plain = first_means("plain", &[]);
    let compare = |setting: &str, tolerance: f64| {
        let found = first_means(setting, &[setting]);
        for name in ["total", "gradient_norm"] {
            let (found, expected) = (found[name], plain[name]);
            let distance = (found - expected).abs() / expected;
            assert!(
                distance < tolerance,
                "{setting}, {name}: {found} beside {expected}"
            );
        }
        found
    };
    compare("train.gradient_checkpointing=true", 1e-4);
    // Means over steps whose activations have 11 bits.
    let half = compare("train.mixed_precision=true", 1e-2);
    assert_ne!(half["gradient_norm"], plain["gradient_norm"]);
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run() {
    let bench = Bench::new();
    bench.train("out", &[]).assert().success();
    let best = fs::read(bench.path("out/best.safetensors")).unwrap();
    let line = failure(&mut bench.train("bad", &["train.lr=1e30"]), 1);
    assert!(line.starts_with("hmorph: step 2: the loss is "), "{line}");
    assert!(
        line.contains("pairs: synthetic-2-moving to synthetic-2-fixed"),
        "{line}"
    );
    assert!(line.contains("terms: synthetic/diffusion = "), "{line}");
    assert!(!bench.path("bad/best.safetensors").exists());
    assert!(names(&bench.path("bad/checkpoints")).is_empty());
    let record = fs::read_to_string(bench.path("bad/run.json")).unwrap();
    assert!(record.contains("\"ending\": \"failed\""), "{record}");

    // A run whose weights are gone at the end of an epoch writes neither checkpoint nor best.
    let one_step = [
        "train.steps_per_epoch=1",
        "train.lr=1e38",
        "train.lr_end=1e38",
        "train.clip_norm=0",
        "train.weight_decay=0",
    ];
    let line = failure(&mut bench.train("gone", &one_step), 1);
    assert!(
        line.contains("validation after step 1: the loss is "),
        "{line}"
    );
    assert!(!bench.path("gone/best.safetensors").exists());
    assert_eq!(fs::read(bench.path("out/best.safetensors")).unwrap(), best);
}

#[test]
fn patience_ends_a_run_that_no_longer_improves() {
    let bench = Bench::new();
    // So small a rate changes no label of the moved maps: the first validation stays the best.
    let overrides = ["train.lr=1e-12", "train.patience=2", "train.epochs=9"];
    bench.train("out", &overrides).assert().success();
    let steps: Vec<f64> = rows(&bench.path("out/validation.csv"))
        .iter()
        .map(|row| row["step"])
        .collect();
    assert_eq!(steps, [0.0, 4.0, 8.0, 12.0]);
    let record = fs::read_to_string(bench.path("out/run.json")).unwrap();
    assert!(record.contains("\"ending\": \"early stop\""), "{record}");
    // The seconds of the steps are without those of validations, plots and checkpoints, three times before the last row.
    let steps = rows(&bench.path("out/metrics.csv"));
    assert!(steps.iter().all(|row| row["seconds_per_step"] > 0.0));
    let of_steps: f64 = steps.iter().map(|row| 3.0 * row["seconds_per_step"]).sum();
    let all = steps.last().unwrap()["seconds"];
    assert!(all - of_steps > 1e-3, "{of_steps} s of {all} s");
    // The same command again does not go on.
    bench.train("out", &overrides).assert().success();
    assert_eq!(rows(&bench.path("out/validation.csv")).len(), 4);
    let plots = ["dice.png", "loss.png", "terms.png"];
    assert_eq!(names(&bench.path("out/plots")), plots);
    // The last two checkpoints and the best.
    assert_eq!(
        names(&bench.path("out/checkpoints")),
        ["step-12", "step-4", "step-8"]
    );
}

#[test]
fn fine_tuning_keeps_frozen_parameters_and_changes_the_others() {
    let bench = Bench::new();
    bench.train("first", &[]).assert().success();
    let start = bench.path("first/last.safetensors");
    let overrides = [
        "train.freeze=['^encoder', 'flow.bias']",
        "train.weight_decay=0.1",
    ];
    let finetune = |out: &str| {
        let mut run = bench.run("finetune", out, &overrides);
        run.arg("--weights").arg(&start);
        run
    };
    finetune("second").assert().success();
    let (before, after) = (
        weights(&bench, "first/last.safetensors"),
        weights(&bench, "second/last.safetensors"),
    );
    let mut kept = 0;
    for (name, (_, values)) in &before.tensors {
        let same = after.tensors[name].1 == *values;
        let frozen = name.starts_with("encoder") || name == "flow.bias";
        assert_eq!(same, frozen, "{name}");
        kept += usize::from(frozen);
    }
    assert!(kept >= 5 && kept < before.tensors.len());
    assert!(
        after.card.provenance.contains("started from: hmorph"),
        "{}",
        after.card.provenance
    );

    // Another start, or none, is not the same run.
    let line = failure(&mut bench.train("second", &overrides), 1);
    assert!(line.contains("hmorph finetune --weights"), "{line}");
    let mut other = bench.run("finetune", "second", &overrides);
    other.args(["--weights", "second/last.safetensors"]);
    let line = failure(&mut other, 1);
    assert!(line.contains("other weights"), "{line}");
    finetune("second").assert().success();
}

#[test]
fn fine_tuning_makes_pairs_that_its_weights_have_not_seen() {
    let bench = Bench::new();
    bench.train("first", &["train.epochs=1"]).assert().success();
    let start = "first/last.safetensors";
    let session = |start: Option<WeightsFile>| {
        let config = toml::from_str(TINY).unwrap();
        Session::prepare(config, start, Device::flex()).unwrap()
    };
    // The same settings and seed.
    let first = session(None);
    let [tuned, again] = [(); 2].map(|()| session(Some(weights(&bench, start))));
    for n in 0..4 {
        let [first, tuned, again] =
            [&first, &tuned, &again].map(|session| session.sampler.sample(n).unwrap().fixed);
        assert_ne!(tuned, first, "pair {n}");
        assert_eq!(tuned, again, "pair {n}");
    }
    // The record says by which seed `hmorph synth` makes them.
    let mut run = bench.run("finetune", "second", &["train.epochs=1"]);
    run.args(["--weights", start]).assert().success();
    let seed = |run: &str| {
        let text = fs::read_to_string(bench.path(run).join("run.json")).unwrap();
        let record: serde_json::Value = serde_json::from_str(&text).unwrap();
        record["synthesis_seed"].as_u64()
    };
    assert_eq!(seed("first"), Some(1));
    assert_eq!(seed("second"), tuned.synthesis_seed());
}

#[test]
fn unusable_starting_weights_are_named() {
    let bench = Bench::new();
    bench.train("first", &[]).assert().success();
    let mut file = weights(&bench, "first/last.safetensors");
    file.tensors.remove("flow.bias");
    file.card.config.encoder_features = vec![8, 4];
    file.write(&bench.path("odd.safetensors")).unwrap();
    fs::write(bench.path("text.safetensors"), "not weights").unwrap();
    for (name, expected) in [
        ("odd.safetensors", "flow.bias is missing"),
        (
            "odd.safetensors",
            "has shape [8, 8, 1, 3, 3], expected [4, 8, 1, 3, 3]",
        ),
        ("text.safetensors", "not a weights file"),
        ("none.safetensors", "No such file"),
    ] {
        let mut run = bench.run("finetune", "out", &[]);
        let line = failure(run.args(["--weights", name]), 1);
        assert!(line.contains(expected) && line.contains(name), "{line}");
        assert!(!bench.path("out").exists());
    }
}
