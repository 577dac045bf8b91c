//! NIfTI files made byte by byte, so that every field of the header is exercised without real data.

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use hmorph::volume::{self, Dimension};
use nalgebra::{Matrix3, Vector3};

/// A NIfTI-1 file in either byte order: a header of zeros but for what a test puts there.
pub struct Raw {
    pub bytes: Vec<u8>,
    big: bool,
}

impl Raw {
    /// A 2x3x2 int16 image with voxel values 0 to 11 in file order, 2 mm voxels and no orientation.
    pub fn new(big: bool) -> Self {
        let mut raw = Self {
            bytes: vec![0; 352],
            big,
        };
        raw.i32(0, 348)
            .i16(40, &[3, 2, 3, 2, 1, 1, 1, 1])
            .i16(70, &[4, 16]);
        raw.f32(76, &[1.0, 2.0, 2.0, 2.0]).f32(108, &[352.0]);
        raw.bytes[344..348].copy_from_slice(b"n+1\0");
        let voxels: Vec<i16> = (0..12).collect();
        raw.i16(352, &voxels);
        raw
    }

    fn put(&mut self, at: usize, little: &[u8]) {
        let end = at + little.len();
        self.bytes.resize(self.bytes.len().max(end), 0);
        self.bytes[at..end].copy_from_slice(little);
        if self.big {
            self.bytes[at..end].reverse();
        }
    }

    pub fn i16(&mut self, at: usize, values: &[i16]) -> &mut Self {
        for (n, value) in values.iter().enumerate() {
            self.put(at + 2 * n, &value.to_le_bytes());
        }
        self
    }

    fn i32(&mut self, at: usize, value: i32) -> &mut Self {
        self.put(at, &value.to_le_bytes());
        self
    }

    pub fn f32(&mut self, at: usize, values: &[f32]) -> &mut Self {
        for (n, value) in values.iter().enumerate() {
            self.put(at + 4 * n, &value.to_le_bytes());
        }
        self
    }

    pub fn save(&self, path: &Path) -> PathBuf {
        std::fs::write(path, &self.bytes).unwrap();
        path.to_path_buf()
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

pub fn error_of(path: &Path) -> String {
    let message = volume::read_image(path).unwrap_err().to_string();
    assert!(
        !message.contains('\n') && message.starts_with(path.to_str().unwrap()),
        "{message}"
    );
    message
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn first_axis_is_fastest_in_both_byte_orders() {
    let folder = folder();
    for big in [false, true] {
        let path = Raw::new(big).save(&folder.path().join("a.nii"));
        let data = volume::read_image(path).unwrap().data;
        assert_eq!(data.dim(), (2, 3, 2));
        assert_eq!(
            [data[[1, 0, 0]], data[[0, 1, 0]], data[[0, 0, 1]]],
            [1.0, 2.0, 6.0]
        );
    }
}

#[test]
fn scaling_is_applied_unless_the_slope_is_zero_or_not_finite() {
    let folder = folder();
    let path = folder.path().join("a.nii");
    for (slope, expected) in [
        (0.5, -1019.0),
        (0.0, 10.0),
        (f32::NAN, 10.0),
        (f32::INFINITY, 10.0),
    ] {
        Raw::new(false).f32(112, &[slope, -1024.0]).save(&path);
        assert_eq!(
            volume::read_image(&path).unwrap().data[[0, 2, 1]],
            expected,
            "{slope}"
        );
    }
    Raw::new(false).f32(112, &[0.5, f32::NAN]).save(&path);
    assert!(error_of(&path).contains("scl_inter is NaN"));
}

#[test]
fn forms_are_chosen_as_nibabel_does() {
    let folder = folder();
    let path = folder.path().join("a.nii");
    let affine = |raw: &Raw| volume::read_image(raw.save(&path)).unwrap().geometry.affine;
    // No code: nibabel.Nifti1Image(zeros((2,3,2)), None).header.get_base_affine() with zooms 2.
    let base = affine(&Raw::new(false));
    assert_eq!(base.spacing(), [2.0; 3]);
    assert_eq!(base.linear()[(0, 0)], -2.0);
    assert_eq!(base.translation(), Vector3::new(1.0, -2.0, -1.0));

    // qform: a half turn about z (0, 0, 1) with qfac -1 mirrors x, y and z.
    let mut raw = Raw::new(true);
    raw.i16(252, &[1, 0])
        .f32(256, &[0.0, 0.0, 1.0, 5.0, 6.0, 7.0])
        .f32(76, &[-1.0, 1.0, 2.0, 3.0]);
    let qform = affine(&raw);
    let expected = Matrix3::from_diagonal(&Vector3::new(-1.0, -2.0, -3.0));
    approx::assert_relative_eq!(qform.linear(), expected, epsilon = 1e-12);
    assert_eq!(qform.translation(), Vector3::new(5.0, 6.0, 7.0));

    // The sform goes before it.
    raw.i16(254, &[4])
        .f32(280, &[1., 2., 0., 9., 0., 1., 0., 8., 0., 0., 1., 7.]);
    assert_eq!(affine(&raw).linear()[(0, 1)], 2.0);
}

#[test]
fn extensions_are_skipped_and_offset_zero_means_none() {
    let folder = folder();
    let path = folder.path().join("a.nii");
    let mut raw = Raw::new(false);
    raw.f32(108, &[416.0]).bytes[348] = 1;
    raw.bytes.splice(352..352, [7; 64]);
    assert_eq!(
        volume::read_image(raw.save(&path)).unwrap().data[[1, 2, 1]],
        11.0
    );
    let raw = Raw::new(false).f32(108, &[0.0]).save(&path);
    assert_eq!(volume::read_image(raw).unwrap().data[[1, 2, 1]], 11.0);
}

#[test]
fn two_dimensional_is_two_axes_or_one_slice() {
    let folder = folder();
    let path = folder.path().join("a.nii");
    for (dim, shape, dimension) in [
        ([2, 3, 4, 0], [3, 4, 1], Dimension::Two),
        ([3, 3, 4, 1], [3, 4, 1], Dimension::Two),
        ([3, 1, 4, 3], [1, 4, 3], Dimension::Three),
        ([3, 3, 1, 4], [3, 1, 4], Dimension::Three),
    ] {
        // A size of 0 stands for the axis that is not there, as does the voxel size.
        let raw = Raw::new(false).i16(40, &dim).f32(88, &[0.0]).save(&path);
        if shape[2] > 1 {
            assert!(error_of(&raw).contains("pixdim[3] = 0"));
            continue;
        }
        let geometry = volume::read_image(raw).unwrap().geometry;
        assert_eq!((geometry.shape, geometry.dimension), (shape, dimension));
    }
}

#[test]
fn several_volumes_need_a_choice() {
    let folder = folder();
    let path = Raw::new(false)
        .i16(40, &[4, 2, 3, 1, 2])
        .save(&folder.path().join("a.nii"));
    let message = error_of(&path);
    assert!(
        message.contains("4-D image (2x3x1x2)") && message.contains("--moving-frame N, 0 to 1")
    );
    let second = volume::read_image_frame(&path, Some(1)).unwrap();
    assert_eq!(second.data[[0, 0, 0]], 6.0);
    assert_eq!(second.geometry.dimension, Dimension::Two);
    let missing = volume::read_image_frame(&path, Some(2))
        .unwrap_err()
        .to_string();
    assert!(missing.contains("no frame 2"), "{missing}");
    // Trailing axes of size 1 are no choice at all.
    let path = Raw::new(false)
        .i16(40, &[5, 2, 3, 2, 1, 1])
        .save(&folder.path().join("b.nii"));
    assert_eq!(volume::read_image(path).unwrap().geometry.shape, [2, 3, 2]);
}

#[test]
fn false_claims_are_refused_in_one_line() {
    let folder = folder();
    let path = folder.path().join("a.nii");
    type Change = fn(&mut Raw);
    let cases: [(Change, &str); 17] = [
        (
            |r| r.bytes.truncate(200),
            "the rest of the NIfTI header: 344 bytes expected",
        ),
        (|r| r.bytes.truncate(0), "empty"),
        (|r| r.bytes.truncate(360), "cut off"),
        (|r| r.bytes.push(0), "goes on after"),
        (
            |r| {
                r.i32(0, 12345);
            },
            "header size",
        ),
        (
            |r| {
                r.i16(40, &[9]);
            },
            "dim[0] = 9",
        ),
        (
            |r| {
                r.i16(42, &[0]);
            },
            "dim[1] = 0",
        ),
        (
            |r| {
                r.i16(44, &[-3]);
            },
            "dim[2] = -3",
        ),
        (
            |r| {
                r.i16(42, &[32767, 32767, 32767]);
            },
            "70362301923326 bytes expected, at most 24 found",
        ),
        (
            |r| {
                r.i16(40, &[7, 32767, 32767, 32767, 32767, 32767, 32767, 32767]);
            },
            "2^64",
        ),
        (
            |r| {
                r.i16(70, &[9999]);
            },
            "datatype code 9999",
        ),
        (
            |r| {
                r.i16(70, &[32]);
            },
            "complex64",
        ),
        (
            |r| {
                r.f32(108, &[f32::NAN]);
            },
            "vox_offset is NaN",
        ),
        (
            |r| {
                r.f32(108, &[1e8]);
            },
            "cut off",
        ),
        (
            |r| {
                r.f32(108, &[100.0]);
            },
            "inside the header",
        ),
        (
            |r| {
                r.i16(254, &[1]);
            },
            "singular",
        ),
        (
            |r| {
                r.i16(252, &[1]).f32(256, &[0.9, 0.9, 0.9]);
            },
            "longer than 1",
        ),
    ];
    for (change, expected) in cases {
        for big in [false, true] {
            let mut raw = Raw::new(big);
            change(&mut raw);
            let message = error_of(&raw.save(&path));
            assert!(message.contains(expected), "'{expected}' not in: {message}");
        }
    }
}

#[test]
fn gzip_damage_is_told_apart() {
    let folder = folder();
    let path = folder.path().join("a.nii.gz");
    let good = gzipped(&Raw::new(false).bytes);
    let write = |bytes: &[u8]| std::fs::write(&path, bytes).unwrap();
    write(&good);
    assert!(volume::read_image(&path).is_ok());
    // Two members in a row are legal gzip.
    let raw = Raw::new(false).bytes;
    write(&[gzipped(&raw[..300]), gzipped(&raw[300..])].concat());
    assert!(volume::read_image(&path).is_ok());

    write(&good[..good.len() - 12]);
    assert!(error_of(&path).contains("cut off"));
    let mut wrong = good.clone();
    let crc = wrong.len() - 8;
    wrong[crc] ^= 1;
    write(&wrong);
    assert!(error_of(&path).contains("damaged"));
    write(&[&good[..], &[0; 512]].concat());
    assert!(error_of(&path).contains("follow the end of the gzip stream"));
    write(&raw);
    assert!(error_of(&path).contains("named as gzip"));
    let plain = folder.path().join("b.nii");
    std::fs::write(&plain, &good).unwrap();
    assert!(error_of(&plain).contains("gzip data under a plain name"));
}

#[test]
fn a_gzip_bomb_is_not_followed() {
    // 64 MiB of zeros behind a header that claims 24 bytes.
    let folder = folder();
    let path = folder.path().join("a.nii.gz");
    let mut raw = Raw::new(false);
    raw.bytes.resize(64 << 20, 0);
    std::fs::write(&path, gzipped(&raw.bytes)).unwrap();
    assert!(error_of(&path).contains("goes on after the 376 bytes"));
    // The other way round: a claim that no gzip stream of this size can meet.
    let raw = Raw::new(false).i16(42, &[30000, 30000, 1]).bytes.clone();
    std::fs::write(&path, gzipped(&raw)).unwrap();
    assert!(error_of(&path).contains("1800000000 bytes expected"));
}

#[test]
fn labels_must_be_whole_numbers() {
    let folder = folder();
    let path = folder.path().join("a.nii");
    let labels = volume::read_labels(Raw::new(false).save(&path)).unwrap();
    assert_eq!(labels.data[[1, 2, 1]], 11);
    Raw::new(false).f32(112, &[0.25, 0.0]).save(&path);
    let message = volume::read_labels(&path).unwrap_err().to_string();
    // Row-major order: voxel (0, 0, 1) holds 6 * 0.25.
    assert!(
        message.contains("value 1.5 at voxel (0, 0, 1) is not a label"),
        "{message}"
    );
    Raw::new(false).f32(112, &[1e9, 0.0]).save(&path);
    assert!(volume::read_labels(&path).is_err());
}

#[test]
fn a_pair_is_found_from_either_name() {
    let folder = folder();
    let mut raw = Raw::new(true);
    raw.f32(108, &[0.0]);
    raw.bytes[344..348].copy_from_slice(b"ni1\0");
    let (header, image) = (
        folder.path().join("a.b.hdr"),
        folder.path().join("a.b.img.gz"),
    );
    std::fs::write(&header, &raw.bytes[..348]).unwrap();
    std::fs::write(&image, gzipped(&raw.bytes[352..])).unwrap();
    for path in [&header, &image] {
        assert_eq!(volume::read_image(path).unwrap().data[[1, 2, 1]], 11.0);
    }
    std::fs::remove_file(&image).unwrap();
    assert!(error_of(&header).contains("no 'a.b.img' or 'a.b.img.gz'"));
}

#[test]
fn analyze_has_no_magic_and_spm_fields_count() {
    let folder = folder();
    let mut raw = Raw::new(false);
    raw.f32(108, &[0.0]).f32(112, &[0.5]).bytes[344..348].fill(0);
    raw.i16(253, &[2, 1, 1]);
    let header = folder.path().join("a.hdr");
    std::fs::write(&header, &raw.bytes[..348]).unwrap();
    std::fs::write(folder.path().join("a.img"), &raw.bytes[352..]).unwrap();
    let image = volume::read_image(&header).unwrap();
    assert_eq!(image.data[[1, 2, 1]], 5.5);
    // SPM's origin: voxel (2, 1, 1) counted from 1 lies at 0 mm.
    assert_eq!(
        image.geometry.affine.translation(),
        Vector3::new(2.0, 0.0, 0.0)
    );
    assert_eq!(image.geometry.affine.linear()[(0, 0)], -2.0);
}
