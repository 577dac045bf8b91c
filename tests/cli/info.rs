//! `hmorph info`.

use hmorph::volume::{DisplacementField, write_field};
use ndarray::Array4;
use serde_json::Value;

use crate::support::{
    Bench, Card, asr, constant_model, grid, hmorph, one_line_error, painted, ramp,
};

fn json(bench: &Bench, name: &str) -> Value {
    let output = hmorph()
        .current_dir(bench.folder.path())
        .args(["info", "--json", name])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_kind_of_file_says_what_it_holds() {
    let bench = Bench::new();
    let geometry = grid([7, 6, 5], [1.0, 2.0, 3.0], asr(), [0.0; 3]);
    let mut image = painted(&geometry, |_| 2.0);
    image.data[[0, 0, 0]] = f32::NAN;
    image.data[[1, 0, 0]] = -8.0;
    bench.image("image.nii.gz", &image);
    let facts = json(&bench, "image.nii.gz");
    assert_eq!(facts["shape"], serde_json::json!([7, 6, 5]));
    assert_eq!(
        (&facts["dtype"], &facts["orientation"]),
        (&"float32".into(), &"ASR".into())
    );
    // 208 voxels of 2, one of -8, one that is not a number.
    assert_eq!(
        (&facts["min"], &facts["max"], &facts["sum"]),
        (&(-8.0).into(), &2.0.into(), &408.0.into())
    );
    assert_eq!(facts["nonfinite"], 1);

    // x + u(x) = -x along i: mirrored everywhere. The vector at i = 6 is 12 voxels of 1 mm.
    let data = Array4::from_shape_fn(
        (3, 7, 6, 5),
        |(c, i, _, _)| {
            if c == 0 { -2.0 * i as f32 } else { 0.0 }
        },
    );
    write_field(
        bench.path("field.nii.gz"),
        &DisplacementField { data, geometry },
        "",
    )
    .unwrap();
    let facts = json(&bench, "field.nii.gz");
    assert_eq!(facts["kind"], "displacement-field");
    assert_eq!(facts["folded_voxels"], 210);
    approx::assert_relative_eq!(facts["longest_mm"].as_f64().unwrap(), 12.0, epsilon = 1e-4);

    constant_model(&bench.path("m.safetensors"), &Card::default(), &[0.0; 3]);
    let facts = json(&bench, "m.safetensors");
    assert_eq!(
        (&facts["kind"], &facts["licence"]),
        (&"weights".into(), &"MIT".into())
    );
    assert_eq!(facts["config"]["dimension"], "3d");

    std::fs::write(bench.path("a.txt"), "1 0 0 4\n0 2 0 5\n0 0 1 6\n0 0 0 1\n").unwrap();
    let facts = json(&bench, "a.txt");
    assert_eq!(
        (&facts["determinant"], &facts["matrix"][1][3]),
        (&2.0.into(), &5.0.into())
    );

    bench.image(
        "ramp.nii.gz",
        &painted(&grid([7, 6, 5], [1.0; 3], asr(), [0.0; 3]), ramp),
    );
    hmorph()
        .current_dir(bench.folder.path())
        .args([
            "register",
            "ramp.nii.gz",
            "ramp.nii.gz",
            "--model",
            "m.safetensors",
            "-o",
            "run",
        ])
        .assert()
        .success();
    let facts = json(&bench, "run");
    assert_eq!(facts["run"]["measures"]["folded_voxels"], 0);
    assert!(
        facts["files"]
            .as_array()
            .unwrap()
            .contains(&"qc.png".into())
    );
}

#[test]
fn good_files_are_described_and_bad_ones_named() {
    let bench = Bench::new();
    bench.image(
        "good.nii.gz",
        &painted(&grid([7, 6, 5], [1.0; 3], asr(), [0.0; 3]), ramp),
    );
    std::fs::write(bench.path("bad.nii.gz"), "text").unwrap();
    let mut command = hmorph();
    command
        .current_dir(bench.folder.path())
        .args(["info", "good.nii.gz", "bad.nii.gz"]);
    let error = one_line_error(&mut command);
    assert!(error.contains("bad.nii.gz"), "{error}");
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(text.contains("7 6 5") && text.contains("ASR"), "{text}");

    // A line for each, which begins like every message.
    let output = hmorph()
        .current_dir(bench.folder.path())
        .args(["info", "bad.nii.gz", "good.nii.gz", "none.nii.gz"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(lines.len(), 2, "{errors}");
    for (line, name) in lines.iter().zip(["bad.nii.gz", "none.nii.gz"]) {
        assert!(line.starts_with(&format!("hmorph: {name}: ")), "{line}");
    }
}

/// Only Linux has file systems that take any bytes as a name.
#[cfg(target_os = "linux")]
#[test]
fn names_may_be_no_utf8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let bench = Bench::new();
    let name = |suffix: &[u8]| bench.folder.path().join(OsStr::from_bytes(suffix));
    let [matrix, chain, weights, image] = [
        &b"caf\xe9.txt"[..],
        b"caf\xe9.tfm",
        b"caf\xe9.safetensors",
        b"caf\xe9.nii.gz",
    ]
    .map(name);
    std::fs::write(&matrix, "1 0 0 4\n0 1 0 5\n0 0 1 6\n0 0 0 1\n").unwrap();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/volume/chain.tfm");
    std::fs::copy(golden, &chain).unwrap();
    constant_model(&bench.path("m.safetensors"), &Card::default(), &[0.0; 3]);
    std::fs::rename(bench.path("m.safetensors"), &weights).unwrap();
    let scan = painted(&grid([4, 3, 2], [1.0; 3], asr(), [0.0; 3]), ramp);
    std::fs::rename(bench.image("a.nii.gz", &scan), &image).unwrap();
    for path in [matrix, chain, weights, image] {
        let output = hmorph()
            .args(["info", "--json"])
            .arg(&path)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let facts: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(facts["path"], path.display().to_string());
    }
}
