//! `hmorph register --all-frames` as its users see it.

use std::path::Path;

use assert_cmd::Command;
use hmorph::volume::{DType, FrameStep, Series, SeriesKind, read_image, read_series, write_series};
use serde_json::Value;

use crate::support::{
    Bench, Card, constant_model, grid, hmorph, lps, one_line_error, painted, ramp,
};

/// A series of three volumes, a fixed image on another grid, and a model of a constant displacement.
fn study() -> (Bench, Series) {
    let bench = Bench::new();
    let fixed = grid([15, 14, 12], [1.5, 2.0, 1.0], lps(), [1.0, 0.0, 2.0]);
    bench.image("fixed.nii.gz", &painted(&fixed, ramp));
    let moving = grid([18, 16, 14], [1.5, 2.0, 1.0], lps(), [0.0, 1.0, 2.0]);
    let bold = Series {
        volumes: (1..=3)
            .map(|n| painted(&moving, |p| ramp(p) * f64::from(n)))
            .collect(),
        kind: SeriesKind::Frames {
            sizes: vec![3],
            step: Some(FrameStep {
                value: 2.5,
                unit: 8,
            }),
        },
    };
    write_series(bench.path("bold.nii.gz"), &bold, DType::F32, "").unwrap();
    constant_model(
        &bench.path("m.safetensors"),
        &Card::default(),
        &[1.0, 0.0, -0.5],
    );
    (bench, bold)
}

fn register(bench: &Bench, arguments: &str) -> Command {
    let mut command = hmorph();
    command
        .current_dir(bench.folder.path())
        .args(["register", "--model", "m.safetensors"])
        .args(["--linear", "none", "--refine", "0"])
        .args(arguments.split_whitespace());
    command
}

fn record(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("run.json")).unwrap()).unwrap()
}

#[test]
fn each_volume_has_its_folder_and_all_are_one_moved_series() {
    let (bench, bold) = study();
    register(
        &bench,
        "fixed.nii.gz bold.nii.gz --all-frames -o out --jobs 2",
    )
    .assert()
    .success();
    let out = bench.path("out");
    let all = read_series(out.join("moved.nii.gz")).unwrap();
    assert_eq!(all.kind, bold.kind);
    for (n, volume) in all.volumes.iter().enumerate() {
        let folder = out.join(format!("frame-{n:04}"));
        assert_eq!(&read_image(folder.join("moved.nii.gz")).unwrap(), volume);
        assert_eq!(record(&folder)["inputs"]["moving"]["frame"], n);
        assert!(folder.join("forward.nii.gz").is_file() && folder.join("affine.mat").is_file());
        let ratio = volume.data[[7, 7, 6]] / all.volumes[0].data[[7, 7, 6]];
        approx::assert_abs_diff_eq!(ratio, (n + 1) as f32, epsilon = 1e-4);
    }
    let table = std::fs::read_to_string(out.join("results.csv")).unwrap();
    assert_eq!(table.lines().count(), 4);
    assert!(
        table.contains("frame-0002,done") && table.contains("ncc_after"),
        "{table}"
    );

    // The folders are those of pairs: they are not made twice, and apply takes them.
    let again = register(&bench, "fixed.nii.gz bold.nii.gz --all-frames -o out")
        .output()
        .unwrap();
    let again = String::from_utf8(again.stdout).unwrap();
    assert!(again.contains("3 of them done before"), "{again}");
    hmorph()
        .current_dir(bench.folder.path())
        .args(["apply", "-t", "out/frame-0001", "-i", "bold.nii.gz"])
        .args(["-r", "fixed.nii.gz", "-o", "by_one.nii.gz"])
        .assert()
        .success();
    let by_one = read_series(bench.path("by_one.nii.gz")).unwrap();
    for (by_one, own) in by_one.volumes[1].data.iter().zip(&all.volumes[1].data) {
        // Vectors of float32 on file; a voxel at the end of the image may fall on its other side.
        assert!((by_one - own).abs() < 1e-2, "{by_one} {own}");
    }
}

#[test]
fn the_middle_volume_is_the_reference_of_a_series_to_itself() {
    let (bench, _) = study();
    let text = register(&bench, "bold.nii.gz bold.nii.gz --all-frames -o own")
        .output()
        .unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("its volume 1, counted from 0"), "{text}");
    let inputs = record(&bench.path("own/frame-0002"))["inputs"].clone();
    assert_eq!(
        (&inputs["fixed"]["frame"], &inputs["moving"]["frame"]),
        (&Value::from(1), &Value::from(2))
    );
    let part = "bold.nii.gz bold.nii.gz --all-frames --fixed-frame 0 --shard 2/2 -o part";
    register(&bench, part).assert().success();
    assert_eq!(
        record(&bench.path("part/frame-0001"))["inputs"]["fixed"]["frame"],
        0
    );
    // A part does not know the others' volumes.
    assert!(!bench.path("part/moved.nii.gz").exists());
    assert!(!bench.path("part/frame-0000").exists());
}

#[test]
fn a_wrong_choice_of_volumes_is_refused_before_anything_is_written() {
    let (bench, _) = study();
    let before = bench.names();
    for (arguments, part) in [
        ("fixed.nii.gz bold.nii.gz -o o", "--all-frames"),
        ("bold.nii.gz fixed.nii.gz -o o", "--fixed-frame N"),
        (
            "bold.nii.gz fixed.nii.gz --all-frames -o o",
            "a single image",
        ),
        (
            "bold.nii.gz bold.nii.gz --all-frames --fixed-frame 3 -o o",
            "no frame 3",
        ),
        (
            "fixed.nii.gz bold.nii.gz --all-frames --moving-mask fixed.nii.gz -o o",
            "label",
        ),
    ] {
        let error = one_line_error(&mut register(&bench, arguments));
        assert!(error.contains(part), "{arguments}: {error}");
        assert_eq!(bench.names(), before, "{arguments}");
    }
    for arguments in [
        "fixed.nii.gz bold.nii.gz --all-frames --moving-frame 1",
        "fixed.nii.gz bold.nii.gz --jobs 2",
        "--pairs pairs.csv --all-frames -o o",
    ] {
        register(&bench, arguments).assert().code(2);
    }
}

#[test]
fn a_moved_image_of_ones_own_is_not_replaced() {
    let (bench, _) = study();
    // In the folder of results: an image of another command, and then the moving image itself.
    let frames = |moving: &str, force: &str| {
        let arguments = format!("fixed.nii.gz {moving} --all-frames -o . {force}");
        one_line_error(&mut register(&bench, &arguments))
    };
    let own = bench.path("moved.nii.gz");
    std::fs::copy(bench.path("bold.nii.gz"), &own).unwrap();
    let before = bench.names();
    let error = frames("bold.nii.gz", "");
    assert!(error.contains("--force"), "{error}");
    let error = frames("moved.nii.gz", "--force");
    assert!(error.contains("an input of this command"), "{error}");
    assert_eq!(bench.names(), before);
}
