//! Images that their headers put apart make no pairs.

use std::fs;
use std::path::Path;

use hmorph::dataset::Dataset;
use hmorph::error::Result;
use hmorph::volume::{Affine, Dimension};
use nalgebra::{Rotation3, Vector3};

use crate::studies::{image, load, save};

/// Pixels of 1 mm, 5 x 6 of them, whose first lies at `x` mm; turned about the first axis by `turn` radians.
fn slice(folder: &Path, name: &str, x: f64, turn: f64) {
    let mut slice = image([5, 6, 1], Dimension::Two, |[i, j, _]| (10 * i + j) as f32);
    let linear = Rotation3::from_axis_angle(&Vector3::x_axis(), turn).into_inner();
    slice.geometry.affine = Affine::from_parts(linear, Vector3::new(x, 0.0, 0.0));
    save(folder, &format!("{name}.nii"), &slice);
}

/// A study of six subjects, all of which train; the first image of each lies at its place.
fn study(folder: &Path, places: [f64; 6], more: &str) -> Result<Dataset> {
    for (n, x) in places.into_iter().enumerate() {
        slice(folder, &format!("s{n}"), x, 0.0);
    }
    let text = "images = '@/{subject}.nii'\nsplit = [1.0, 0.0, 0.0]\n";
    load(folder, &format!("{text}{more}"))
}

#[test]
fn an_image_that_lies_elsewhere_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let far = [0.0, 0.0, 0.0, 1000.0, 2.0, 0.0];
    let line = study(folder.path(), far, "").unwrap_err().to_string();
    assert_eq!(line.lines().count(), 1, "{line}");
    for part in [
        "s3.nii at x 1000..1004, y 0..5, z ",
        " mm does not overlap ",
        "s0.nii at x 0..4, y 0..5, z ",
        "data.align = \"affine\" or \"centre\"",
    ] {
        assert!(line.contains(part), "{part} not in {line}");
    }
    study(folder.path(), far, "align = 'centre'\n").unwrap();
    // The one that all others are compared with may be it.
    let far = [1000.0, 0.0, 0.0, 0.0, 2.0, 0.0];
    let line = study(folder.path(), far, "").unwrap_err().to_string();
    assert_eq!(line.lines().count(), 1, "{line}");
    for part in [
        "s0.nii at x 1000..1004",
        "s1.nii at x 0..4",
        "in the world (and so for 4 more);",
    ] {
        assert!(line.contains(part), "{part} not in {line}");
    }
}

#[test]
fn an_atlas_that_lies_elsewhere_is_named() {
    let folder = tempfile::tempdir().unwrap();
    slice(folder.path(), "atlas/a", -50.0, 0.0);
    let atlas = "pairs = 'atlas'\natlas = '@/atlas/a.nii'\n";
    let line = study(folder.path(), [0.0; 6], atlas)
        .unwrap_err()
        .to_string();
    assert!(line.contains("a.nii at x -50..-46"), "{line}");
    assert!(line.contains("(and so for 5 more)"), "{line}");
}

#[test]
fn images_that_never_meet_may_lie_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let places = [0.0, 0.0, 0.0, 500.0, 500.0, 500.0];
    study(at, places, "").unwrap_err();
    let write = |name: &str, text: String| fs::write(at.join(name), text).unwrap();
    let row = |n: usize| format!("s{n}.nii,{n},{}\n", if n < 3 { "train" } else { "test" });
    let rows: String = (0..6).map(row).collect();
    write("splits.csv", format!("image,subject,split\n{rows}"));
    load(at, "manifest = '@/splits.csv'\n").unwrap();
    let pairs = |pairs: &str| {
        write("pairs.csv", format!("fixed,moving\n{pairs}"));
        study(at, places, "pairs = 'listed'\npairs_file = '@/pairs.csv'\n")
    };
    pairs("s0,s1\ns3,s5\n").unwrap();
    let line = pairs("s0,s1\ns3,s5\ns2,s4\n").unwrap_err().to_string();
    assert!(line.contains("s4.nii at x 500..504"), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
}

#[test]
fn slices_of_planes_that_are_not_parallel_are_refused_before_one_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let with = |more: &str| {
        let text = "images = '@/{subject}.nii'\nsplit = [1.0, 0.0, 0.0]\n";
        load(folder.path(), &format!("{text}{more}"))
    };
    for n in 0..4 {
        slice(
            folder.path(),
            &format!("s{n}"),
            0.0,
            if n == 2 { 0.3 } else { 0.0 },
        );
    }
    for align in ["header", "affine"] {
        let line = with(&format!("align = '{align}'\n"))
            .unwrap_err()
            .to_string();
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(line.contains("s2.nii at "), "{line}");
        assert!(
            line.contains("lies in a plane that is not parallel to that of "),
            "{line}"
        );
        assert!(line.contains("or set data.align = \"centre\""), "{line}");
    }
    with("align = 'centre'\n").unwrap();
}
