//! What `hmorph register` refuses: exit code 1, one line that says what to do, and nothing written.

use hmorph::volume::{
    Affine, DType, Dimension, Geometry, LabelMap, Series, SeriesKind, write_series,
};
use nalgebra::Vector3;

use crate::support::{Bench, Card, constant_model, grid, lps, painted, quarters, ramp, refused};

/// Scans and other files, good and bad, by their names.
fn files() -> Bench {
    let bench = Bench::new();
    let geometry = grid([12, 13, 14], [1.0; 3], lps(), [0.0; 3]);
    let mut far = geometry.clone();
    far.affine.0[(0, 3)] += 4000.0;
    for (name, grid, value) in [
        ("good", &geometry, &ramp as &dyn Fn(Vector3<f64>) -> f64),
        ("far", &far, &|p| ramp(p - Vector3::new(4000.0, 0.0, 0.0))),
        ("empty", &geometry, &|_| 0.0),
        ("constant", &geometry, &|_| 77.0),
        ("nan", &geometry, &|_| f64::NAN),
        // One value, and holes in it.
        ("holes", &geometry, &|p| {
            if p.x > 0.0 { f64::NAN } else { 5.0 }
        }),
    ] {
        bench.image(&format!("{name}.nii.gz"), &painted(grid, value));
    }
    let slice = Geometry::new([12, 13, 1], Dimension::Two, Affine::from_spacing([1.0; 3]));
    bench.image("slice.nii.gz", &painted(&slice, ramp));
    let nothing = LabelMap {
        data: quarters(&geometry).data.map(|_| 0),
        geometry: geometry.clone(),
    };
    bench.labels("nothing.nii.gz", &nothing);
    let other = grid([12, 13, 15], [1.0; 3], lps(), [0.0; 3]);
    bench.labels("other.nii.gz", &quarters(&other));
    let volume = painted(&geometry, |p| ramp(p).round());
    let series = Series {
        volumes: vec![volume.clone(), volume],
        kind: SeriesKind::Frames {
            sizes: vec![2],
            step: None,
        },
    };
    write_series(bench.path("series.nii.gz"), &series, DType::I16, "").unwrap();
    singular(&bench);
    constant_model(&bench.path("m.safetensors"), &Card::default(), &[0.0; 3]);
    let text = |name: &str, text: &str| std::fs::write(bench.path(name), text).unwrap();
    text("flat.txt", "1 0 0 0\n0 0 0 0\n0 0 1 0\n0 0 0 1\n");
    text("points.csv", "x,y,z,name\n1,2,3,a\n");
    text("none.csv", "x,y,z,name\n");
    text("taken.raw", "voxels");
    text(
        "pairs.csv",
        "fixed,moving,transform\ngood.nii.gz,good.nii.gz,flat.txt\n",
    );
    let markups =
        r#"{"markups": [{"type": "Fiducial", "controlPoints": [{"position": [1, 2, 3]}]}]}"#;
    text("spaceless.mrk.json", markups);
    text(
        "spaceless.fcsv",
        "# Markups fiducial file version = 4.11\n1,1,2,3,0,0,0,1,1,1,0,a,,\n",
    );
    // 128 bytes that mean nothing and DICOM's magic.
    let mut dicom = vec![0; 128];
    dicom.extend(b"DICM and so on");
    for name in ["IM0001", "scan.dcm"] {
        std::fs::write(bench.path(name), &dicom).unwrap();
    }
    std::fs::create_dir(bench.path("series")).unwrap();
    std::fs::write(bench.path("series/IM0002"), &dicom).unwrap();
    bench
}

/// `singular.nii`: an sform of zeros, and no other place.
fn singular(bench: &Bench) {
    let geometry = grid([12, 13, 14], [1.0; 3], lps(), [0.0; 3]);
    let path = bench.image("singular.nii", &painted(&geometry, ramp));
    let mut bytes = std::fs::read(&path).unwrap();
    // nifti1.h: qform_code at 252, srow_x, srow_y and srow_z from 280.
    bytes[252..254].fill(0);
    bytes[280..328].fill(0);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn images_that_cannot_be_registered() {
    let bench = files();
    // The linear stage is on; beside it the network's and the optimisation's own checks must hold.
    for options in [
        "",
        "--linear none --refine 0 --model m.safetensors",
        "--linear none --no-network",
    ] {
        for (pair, part) in [
            ("good.nii.gz far.nii.gz", "do not overlap"),
            ("good.nii.gz empty.nii.gz", "every voxel is 0"),
            ("constant.nii.gz good.nii.gz", "every voxel is 77"),
            ("good.nii.gz nan.nii.gz", "no voxel is a finite number"),
            ("holes.nii.gz good.nii.gz", "every voxel is 5"),
            (
                "good.nii.gz slice.nii.gz",
                "both must have the same dimension",
            ),
            ("good.nii.gz singular.nii", "singular"),
            (
                "good.nii.gz good.nii.gz --fixed-mask nothing.nii.gz",
                "excludes the whole image",
            ),
            (
                "good.nii.gz good.nii.gz --moving-mask nothing.nii.gz",
                "excludes the whole image",
            ),
        ] {
            refused(&bench, "register", &format!("{pair} {options}"), part);
        }
    }
}

#[test]
fn files_that_are_not_what_is_wanted() {
    let bench = files();
    for (arguments, part) in [
        ("good.nii.gz scan.dcm", "dcm2niix"),
        ("IM0001 good.nii.gz", "dcm2niix"),
        ("series good.nii.gz", "dcm2niix"),
        (
            "series.nii.gz good.nii.gz",
            "4-D: choose a volume by --fixed-frame N (0 to 1)",
        ),
        (
            "good.nii.gz series.nii.gz",
            "4-D: choose a volume by --moving-frame N (0 to 1), or take all by --all-frames",
        ),
        (
            "good.nii.gz good.nii.gz --spacing 3",
            "good.nii.gz states 1x1x1 mm. For the network's grid see --network-spacing",
        ),
        (
            "good.nii.gz good.nii.gz --moving-labels series.nii.gz",
            "4-D labels",
        ),
        (
            "good.nii.gz good.nii.gz --fixed-mask series.nii.gz",
            "4-D labels",
        ),
        (
            "good.nii.gz good.nii.gz --fixed-mask other.nii.gz",
            "12x13x15",
        ),
        (
            "good.nii.gz good.nii.gz --moving-labels other.nii.gz",
            "12x13x15",
        ),
        ("good.nii.gz good.nii.gz --init flat.txt", "singular"),
        ("good.nii.gz missing.nii.gz", "missing.nii.gz"),
        // Where nothing can be written, nothing is read either.
        ("good.nii.gz missing.nii.gz -o /proc/out", "/proc/out"),
        ("good.nii.gz points.csv", "not an image format"),
        (
            "good.nii.gz good.nii.gz --moving-points none.csv",
            "none.csv",
        ),
        (
            "good.nii.gz good.nii.gz --moving-points spaceless.mrk.json",
            "no coordinate system",
        ),
        (
            "good.nii.gz good.nii.gz --moving-points spaceless.fcsv",
            "no coordinate system",
        ),
        (
            "good.nii.gz good.nii.gz --moving-points points.csv --fixed-points spaceless.mrk.json",
            "no coordinate system",
        ),
    ] {
        refused(&bench, "register", arguments, part);
    }
}

#[test]
fn options_of_stages_that_are_left_out() {
    let bench = files();
    for (options, part) in [
        ("--linear none --search 180", "--search is for the linear"),
        ("--init none --search 60", "--search is for the linear"),
        (
            "--init mass --linear none --search 60",
            "--search is for the linear",
        ),
        (
            "--linear none --refine 0 --metric mi",
            "--metric is for the linear registration and the optimisation",
        ),
        (
            "--no-network --network-spacing 2",
            "--network-spacing is for the network",
        ),
        (
            "--in-plane --network-spacing 2",
            "--network-spacing is for the network, which --in-plane does without",
        ),
    ] {
        let arguments = format!("good.nii.gz good.nii.gz {options}");
        refused(&bench, "register", &arguments, part);
    }
    let list = "fixed,moving\ngood.nii.gz,good.nii.gz\n";
    std::fs::write(bench.path("plain.csv"), list).unwrap();
    for (options, part) in [
        ("--metric mind", "--metric is for"),
        ("--search 180", "--search is for"),
    ] {
        let arguments = format!("--pairs plain.csv --model m.safetensors {options} -o out");
        refused(&bench, "eval", &arguments, part);
    }
}

#[test]
fn transforms_and_points_that_cannot_be_applied() {
    let bench = files();
    for (arguments, part) in [
        (
            "-t flat.txt -i good.nii.gz -r singular.nii -o o.nii.gz",
            "singular",
        ),
        (
            "-t inv:flat.txt -i good.nii.gz -r good.nii.gz -o o.nii.gz",
            "singular",
        ),
        (
            "-t good.nii.gz -p spaceless.mrk.json -o o.mrk.json",
            "not a displacement field",
        ),
        (
            "-t flat.txt -p spaceless.mrk.json -o o.mrk.json",
            "no coordinate system",
        ),
        (
            "-t flat.txt -l good.nii.gz -r good.nii.gz -o o.nii.gz",
            "not a label",
        ),
        (
            "-t flat.txt -l series.nii.gz -r good.nii.gz -o o.nii.gz",
            "4-D labels",
        ),
        (
            "-t flat.txt -i scan.dcm -r good.nii.gz -o o.nii.gz",
            "dcm2niix",
        ),
        (
            "-t flat.txt -i good.nii.gz -r good.nii.gz -o taken.mhd",
            "taken.raw",
        ),
        (
            "-t flat.txt -i good.nii.gz -r good.nii.gz -o nowhere/o.nii.gz",
            "does not exist",
        ),
    ] {
        refused(&bench, "apply", arguments, part);
    }
    let both = "--pairs pairs.csv --model m.safetensors -o out";
    refused(&bench, "eval", both, "--model would do nothing");
    let series = "fixed,moving\nseries.nii.gz,good.nii.gz\n";
    std::fs::write(bench.path("series.csv"), series).unwrap();
    let series = "--pairs series.csv --model m.safetensors -o out";
    refused(&bench, "eval", series, "take it out of the file first");
}
