//! What NIfTI headers say of place, units, time and vectors beyond the usual.

use std::path::{Path, PathBuf};

use hmorph::volume::{self, DType, DisplacementField, World};
use nalgebra::Vector3;

use crate::nifti::{Raw, error_of};

/// A sform of 2 mm voxels, unturned.
const STRAIGHT: [f32; 12] = [2., 0., 0., 0., 0., 2., 0., 0., 0., 0., 2., 0.];

/// A file of both forms, of which the qform has voxels of 2 mm, unturned, the first one at `qoffset` mm along x.
fn two_forms(folder: &Path, sform: [f32; 12], qoffset: f32) -> PathBuf {
    let mut raw = Raw::new(false);
    raw.i16(252, &[1, 2])
        .f32(256, &[0.0, 0.0, 0.0, qoffset, 0.0, 0.0])
        .f32(280, &sform);
    raw.save(&folder.join("a.nii"))
}

#[test]
fn forms_that_differ_are_told() {
    let folder = tempfile::tempdir().unwrap();
    // 5 mm are 2.5 voxels; 0.1 mm are less than a tenth of one.
    let path = two_forms(folder.path(), STRAIGHT, 5.0);
    let note = volume::geometry_note(&path).unwrap();
    assert!(note.contains("up to 2.5 voxels apart"), "{note}");
    assert_eq!(volume::probe(&path).unwrap().note, Some(note));
    let affine = volume::read_image(&path).unwrap().geometry.affine;
    assert_eq!(affine.translation(), Vector3::zeros());
    let same = two_forms(folder.path(), STRAIGHT, 0.1);
    assert_eq!(volume::geometry_note(&same), None);
    // A sform of zeros places nothing.
    let path = two_forms(folder.path(), [0.0; 12], 5.0);
    let note = volume::geometry_note(&path).unwrap();
    assert!(
        note.contains("singular") && note.ends_with("the qform is used"),
        "{note}"
    );
    let affine = volume::read_image(&path).unwrap().geometry.affine;
    assert_eq!(affine.translation(), Vector3::new(5.0, 0.0, 0.0));
    assert_eq!(affine.spacing(), [2.0; 3]);
}

#[test]
fn an_orientation_that_is_assumed_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.nii");
    let mut raw = Raw::new(false);
    let note = volume::geometry_note(&raw.save(&path)).unwrap();
    assert!(
        note.starts_with("states no orientation") && note.contains("left and right"),
        "{note}"
    );
    let info = volume::probe(&path).unwrap();
    assert_eq!(
        (&info.orientation[..], info.orientation_assumed),
        ("LAS", true)
    );
    raw.i16(254, &[1]).f32(280, &STRAIGHT);
    let info = volume::probe(raw.save(&path)).unwrap();
    assert_eq!(
        (&info.orientation[..], info.orientation_assumed),
        ("RAS", false)
    );
    assert_eq!(info.note, None);
}

#[test]
fn the_code_of_the_world_stays_with_the_grid() {
    let folder = tempfile::tempdir().unwrap();
    let [path, image, field] =
        ["a.nii", "image.nii", "field.nii"].map(|name| folder.path().join(name));
    // That of the form that is used, by which nothing else changes; what is assumed is written as aligned.
    for (qform, sform, read, written) in [
        (0, 4, 4, 4),
        (1, 4, 4, 4),
        (1, 0, 1, 1),
        (0, 3, 3, 3),
        (0, 0, 0, 2),
    ] {
        let mut raw = Raw::new(false);
        raw.i16(252, &[qform, sform]).f32(280, &STRAIGHT);
        let scan = volume::read_image(raw.save(&path)).unwrap();
        assert_eq!(scan.geometry.world, World(read), "{qform} {sform}");
        volume::write_image(&image, &scan, DType::I16, "").unwrap();
        let zeros = DisplacementField::zeros(scan.geometry.clone());
        volume::write_field(&field, &zeros, "").unwrap();
        for file in [&image, &field] {
            let bytes = std::fs::read(file).unwrap();
            assert_eq!(bytes[252..256], [written, 0, written, 0], "{qform} {sform}");
        }
        let back = volume::read_image(&image).unwrap().geometry;
        assert_eq!(back, scan.geometry);
    }
}

#[test]
fn lengths_in_other_units_become_millimetres() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.nii");
    for (unit, factor) in [(0, 1.0), (2, 1.0), (1, 1000.0), (3, 0.001)] {
        for forms in [[1, 0], [0, 1], [0, 0]] {
            let mut raw = Raw::new(true);
            raw.i16(252, &forms)
                .f32(256, &[0.0, 0.0, 0.0, 8.0, 0.0, 0.0])
                .f32(280, &[2., 0., 0., 8., 0., 2., 0., 0., 0., 0., 2., 0.]);
            raw.bytes[123] = unit;
            let affine = volume::read_image(raw.save(&path)).unwrap().geometry.affine;
            approx::assert_relative_eq!(affine.spacing()[1], 2.0 * factor, epsilon = 1e-12);
            if forms != [0, 0] {
                approx::assert_relative_eq!(affine.translation().x, 8.0 * factor, epsilon = 1e-12);
            }
        }
    }
    // What is written, and what is moved by its header alone, is in mm, its unit of time as it was.
    let mut raw = Raw::new(false);
    raw.i16(254, &[1])
        .f32(280, &[2., 0., 0., 8., 0., 2., 0., 0., 0., 0., 2., 0.]);
    raw.bytes[123] = 3 | 16;
    let moved = folder.path().join("moved.nii");
    let identity = volume::WorldAffine::identity();
    volume::move_header(raw.save(&path), &moved, &identity).unwrap();
    assert_eq!(std::fs::read(&moved).unwrap()[123], 2 | 16);
    let affine = |path: &Path| volume::read_image(path).unwrap().geometry.affine.0;
    assert!((affine(&moved) - affine(&path)).amax() < 1e-9);
}

#[test]
fn the_step_of_time_is_kept_with_its_unit() {
    let folder = tempfile::tempdir().unwrap();
    let [path, back] = ["a.nii", "back.nii"].map(|name| folder.path().join(name));
    // In the unit that the file has: none, or milliseconds.
    for unit in [0, 16] {
        let mut raw = Raw::new(false);
        raw.i16(40, &[4, 2, 3, 1, 2]).f32(92, &[2.5]);
        raw.bytes[123] = 2 | unit;
        let series = volume::read_series(raw.save(&path)).unwrap();
        volume::write_series(&back, &series, DType::I16, "").unwrap();
        let bytes = std::fs::read(&back).unwrap();
        assert_eq!(
            (&bytes[92..96], bytes[123]),
            (&2.5_f32.to_le_bytes()[..], 2 | unit)
        );
    }
}

#[test]
fn vectors_that_are_no_field_are_described() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.nii");
    let mut raw = Raw::new(false);
    // Six values a voxel, as of a tensor.
    raw.i16(40, &[5, 2, 1, 1, 1, 6]).i16(68, &[1007]);
    raw.i16(254, &[1]).f32(280, &STRAIGHT);
    let info = volume::probe(raw.save(&path)).unwrap();
    assert_eq!((info.kind, info.note), (volume::Kind::VectorImage, None));
    assert!(error_of(&path).contains("intent 1007"));
    raw.bytes[328..338].copy_from_slice(b"NREG_TRANS");
    let info = volume::probe(raw.save(&path)).unwrap();
    assert_eq!(info.kind, volume::Kind::VectorImage);
    assert!(info.note.unwrap().contains("NiftyReg"));
    assert!(error_of(&path).contains("NiftyReg"));
    assert!(
        volume::read_field(&path)
            .unwrap_err()
            .to_string()
            .contains("NiftyReg")
    );
}
