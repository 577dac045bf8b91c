//! `hmorph info`.

use hmorph::volume::{
    Dimension, DisplacementField, Step, WorldAffine, write_composite, write_field,
};
use ndarray::Array4;
use serde_json::Value;

use crate::golden::interop_file;
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
    assert_eq!(facts, json(&bench, "run/run.json"));
    assert_eq!(facts["run"]["measures"]["folded_voxels"], 0);
    assert!(
        facts["files"]
            .as_array()
            .unwrap()
            .contains(&"qc.png".into())
    );
}

/// What `hmorph info` prints without `--json`.
fn text(bench: &Bench, name: &str) -> String {
    let mut hmorph = hmorph();
    hmorph.current_dir(bench.folder.path()).args(["info", name]);
    String::from_utf8(hmorph.output().unwrap().stdout).unwrap()
}

#[test]
fn an_assumed_orientation_is_marked() {
    let bench = Bench::new();
    let geometry = grid([7, 6, 5], [1.0; 3], asr(), [0.0; 3]);
    let path = bench.image("a.nii", &painted(&geometry, ramp));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[252..256].fill(0);
    std::fs::write(&path, bytes).unwrap();
    let text = text(&bench, "a.nii");
    assert!(text.contains("orientation    LAS (assumed)\n"), "{text}");
    assert!(text.contains("states no orientation"), "{text}");
    let facts = json(&bench, "a.nii");
    assert_eq!(facts["orientation"], "LAS");
    assert_eq!(facts["orientation_assumed"], true);
}

#[test]
fn the_steps_of_a_composite_are_described_as_files_are() {
    let bench = Bench::new();
    let geometry = grid([7, 6, 5], [1.0, 2.0, 3.0], asr(), [0.0; 3]);
    // Two voxels of 1 mm along i, everywhere.
    let data = Array4::from_shape_fn((3, 7, 6, 5), |(c, ..)| if c == 0 { 2.0 } else { 0.0 });
    let affine = WorldAffine::identity();
    let dimension = Dimension::Three;
    let steps = [
        Step::Affine { affine, dimension },
        Step::Field(DisplacementField { data, geometry }),
    ];
    write_composite(bench.path("a.h5"), &steps, dimension).unwrap();
    let facts = json(&bench, "a.h5");
    assert_eq!(facts["steps"][0]["determinant"], 1.0);
    let field = &facts["steps"][1];
    let longest = field["longest_mm"].as_f64().unwrap();
    approx::assert_relative_eq!(longest, 2.0, epsilon = 1e-4);
    assert_eq!(field["folded_voxels"], 0);
    assert_eq!(field["grid"]["shape"], serde_json::json!([7, 6, 5]));
    let text = text(&bench, "a.h5");
    assert!(text.contains("places of the reference"), "{text}");
    assert!(text.contains("steps 2\n") && !text.contains('{'), "{text}");
}

#[test]
fn weights_are_told_by_every_suffix_that_import_takes() {
    let bench = Bench::new();
    for suffix in ["pt", "pth", "ckpt", "tar"] {
        let name = format!("a.{suffix}");
        std::fs::copy(interop_file("vxm_2d.pt"), bench.path(&name)).unwrap();
        assert_eq!(json(&bench, &name)["kind"], "weights", "{suffix}");
    }
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

#[test]
fn vectors_that_are_no_displacements_are_described() {
    let bench = Bench::new();
    // Colours of a slice as float32: a third component, which no displacement in the plane has.
    let header = "ObjectType = Image\nNDims = 2\nDimSize = 4 3\nElementNumberOfChannels = 3\n\
                  ElementType = MET_FLOAT\nElementDataFile = LOCAL\n";
    let values = (0..36).flat_map(|n| (n as f32).to_le_bytes());
    let file: Vec<u8> = header.bytes().chain(values).collect();
    std::fs::write(bench.path("colours.mha"), file).unwrap();
    let facts = json(&bench, "colours.mha");
    assert_eq!(facts["kind"], "vector-image");
    assert_eq!(facts["max"], 35.0);
    let note = facts["note"].as_str().unwrap_or_default();
    assert!(note.contains("leaves the slice"), "{facts}");
}
