//! `hmorph synth`: what it writes, what it refuses, and that nothing is left half done.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::cargo::CommandCargoExt;
use hmorph::kernels::warp::{Border, Shape, linear};
use hmorph::synth::{LabelSource, SynthConfig, make_pair};
use hmorph::volume::{Dimension, read_field, read_image, read_labels};
use ndarray::{Array3, s};

use crate::training::{Bench, failure, names};

#[test]
fn pairs_are_those_of_their_seed_and_the_field_joins_them() {
    let bench = Bench::new();
    // Large shapes, no artefacts and one intensity a label, so that the true field maps one image to the other.
    let plain = [
        "synth_labels.shape=[96, 96]",
        "synth.bias.prob=0",
        "synth.blur.prob=0",
        "synth.gamma.prob=0",
        "synth.contrast.sd=[0, 0]",
        "synth.contrast.background_sd=[0, 0]",
    ];
    bench
        .run("synth", "set", &plain)
        .args(["-n", "2"])
        .assert()
        .success();
    let set = bench.path("set");
    assert_eq!(
        names(&set),
        [
            "pair-0000",
            "pair-0001",
            "pairs.csv",
            "preview.png",
            "run.json",
            "synth.toml"
        ]
    );
    let pair = |name: &str| set.join("pair-0001").join(name);
    let (fixed, moving) = (
        read_image(pair("fixed.nii.gz")).unwrap(),
        read_image(pair("moving.nii.gz")).unwrap(),
    );
    let field = read_field(pair("true_field.nii.gz")).unwrap();
    let flat = |values: &Array3<f32>| values.iter().copied().collect::<Vec<_>>();
    let shape = Shape::one([1, 96, 96], 2, Border::Edge);
    let moved = linear(&flat(&moving.data), &field.to_vec(), &shape);
    let moved = Array3::from_shape_vec([96, 96, 1], moved).unwrap();
    // Mean squared difference to the fixed image, where nothing comes in from outside.
    let distance = |image: &Array3<f32>| {
        let inside = |values: &Array3<f32>| values.slice(s![16..80, 16..80, ..]).to_owned();
        let difference = inside(image) - inside(&fixed.data);
        difference.mapv(|d| d * d).mean().unwrap()
    };
    let (before, after) = (distance(&moving.data), distance(&moved));
    // Found: 0.074 -> 0.005; what is left are the edges of the shapes, which interpolation blurs.
    assert!(
        after < 0.2 * before,
        "mean squared difference {before} -> {after}"
    );

    let mut config: SynthConfig =
        toml::from_str("[shapes]\nlabels = 5\n[contrast]\npair = 'shared'").unwrap();
    for prob in [
        &mut config.bias.prob,
        &mut config.blur.prob,
        &mut config.gamma.prob,
    ] {
        *prob = 0.0;
    }
    let two = Dimension::Two;
    let expected = make_pair(&config, &LabelSource::Shapes, two, [96, 96, 1], 1, 1).unwrap();
    let labels = read_labels(pair("moving_labels.nii.gz")).unwrap();
    assert_eq!(labels.data, expected.moving_labels);
}

#[test]
fn label_maps_are_used_and_results_kept_unless_forced() {
    let bench = Bench::new();
    bench
        .run("synth", "first", &[])
        .args(["-n", "1"])
        .assert()
        .success();
    let from_maps = [
        "synth_labels.source=first/*/fixed_labels.nii.gz",
        "synth_labels.shape=[40, 28]",
    ];
    let second = || {
        let mut run = bench.run("synth", "second", &from_maps);
        run.args(["-n", "1", "--seed", "3"]);
        run
    };
    second().assert().success();
    let image = read_image(bench.path("second/pair-0000/fixed.nii.gz")).unwrap();
    assert_eq!(image.geometry.shape, [40, 28, 1]);
    let known = read_labels(bench.path("first/pair-0000/fixed_labels.nii.gz")).unwrap();
    let used = read_labels(bench.path("second/pair-0000/moving_labels.nii.gz")).unwrap();
    assert!(
        used.data
            .iter()
            .all(|label| known.data.iter().any(|k| k == label))
    );

    let solid = ["synth_labels.shape=[40, 28, 16]", "model.dimension=3d"];
    let line = failure(
        &mut bench.run("synth", "third", &[&from_maps[..1], &solid].concat()),
        1,
    );
    assert!(
        line.contains("label map first/pair-0000/fixed_labels.nii.gz is 2-D"),
        "{line}"
    );

    let line = failure(&mut second(), 1);
    assert!(line.contains("--force"), "{line}");
    second().arg("--force").assert().success();
    fs::remove_file(bench.path("second/run.json")).unwrap();
    let line = failure(second().arg("--force"), 1);
    assert!(line.contains("does not replace"), "{line}");
}

#[test]
fn mistakes_write_nothing() {
    let bench = Bench::new();
    let before = bench.names();
    for (changes, expected) in [
        (vec!["synth.shapes.labels=1"], "synth.shapes.labels"),
        (
            vec!["synth_labels.shape=[32]"],
            "[synth_labels] shape is [32]",
        ),
        (
            vec!["synth_labels.source=none/*.nii"],
            "no label map found: no file matches source = \"none/*.nii\"",
        ),
        (vec!["synth_labels.source=data"], "[data]"),
        (vec!["synth.bluur.prob=0"], "did you mean `blur`?"),
    ] {
        let line = failure(&mut bench.run("synth", "out", &changes), 1);
        assert!(line.contains(expected), "{changes:?}: {line}");
    }
    let line = failure(bench.run("synth", "out", &[]).args(["-n", "0"]), 1);
    assert!(line.contains("--count 0"), "{line}");
    let mut real = bench.hmorph();
    let line = failure(
        real.args(["synth", "--config", "voxelmorph-2d", "-o", "out"]),
        1,
    );
    assert!(
        line.contains("[data]") || line.contains("[synth]"),
        "{line}"
    );
    assert_eq!(bench.names(), before);
}

#[cfg(unix)]
#[test]
fn an_interrupted_set_leaves_nothing() {
    let bench = Bench::new();
    let before = bench.names();
    let mut child = Command::cargo_bin("hmorph")
        .unwrap()
        .args([
            "synth",
            "--config",
            "tiny.toml",
            "-o",
            "out",
            "-n",
            "100000",
            "-q",
        ])
        .current_dir(bench.folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while bench.names() == before {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(bench.names(), before);
}
