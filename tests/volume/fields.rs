//! Displacement fields and other formats through their own files.

use hmorph::volume::{self, Affine, DType, Dimension, DisplacementField, Geometry, Volume};
use nalgebra::{Matrix3, Rotation3, Vector3};
use ndarray::{Array3, Array4};

fn oblique(dimension: Dimension, shape: [usize; 3]) -> Geometry {
    let rotation = Rotation3::from_euler_angles(0.3, -0.2, 1.1).into_inner();
    let linear = rotation * Matrix3::from_diagonal(&Vector3::new(1.0, -2.0, 3.5));
    Geometry::new(
        shape,
        dimension,
        Affine::from_parts(linear, Vector3::new(-12.5, 30.0, 7.25)),
    )
}

fn axial(shape: [usize; 3]) -> Geometry {
    let linear = Matrix3::new(1.2, -0.9, 0.0, 0.9, 1.2, 0.0, 0.0, 0.0, 1.0);
    Geometry::new(
        shape,
        Dimension::Two,
        Affine::from_parts(linear, Vector3::zeros()),
    )
}

fn field(geometry: Geometry) -> DisplacementField {
    let [i, j, k] = geometry.shape;
    let axes = geometry.dimension.axes();
    let wave = |(c, i, j, k)| ((c * 31 + i * 7 + j * 3 + k) as f32 * 0.37).sin() * 4.0;
    DisplacementField {
        data: Array4::from_shape_fn((axes, i, j, k), wave),
        geometry,
    }
}

#[test]
fn fields_survive_the_file_to_float32() {
    let folder = tempfile::tempdir().unwrap();
    for (geometry, components) in [
        (oblique(Dimension::Three, [4, 3, 5]), 3),
        (axial([4, 3, 1]), 2),
        // An oblique slice keeps three components, as its plane is not the world's x-y plane.
        (oblique(Dimension::Two, [4, 3, 1]), 3),
    ] {
        let original = field(geometry);
        let path = folder.path().join("field.nii.gz");
        volume::write_field(&path, &original, "note").unwrap();
        let info = volume::probe(&path).unwrap();
        let [x, y, z] = original.geometry.shape;
        assert_eq!(info.shape, [x, y, z, 1, components]);
        assert_eq!(info.kind, volume::Kind::DisplacementField);
        let back = volume::read_field(&path).unwrap();
        assert_eq!(back.geometry.dimension, original.geometry.dimension);
        // Values reach 4 voxels of up to 3.5 mm; float32 rounds at 1e-6 of that, in header and voxels.
        for (found, expected) in back.data.iter().zip(&original.data) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }
}

#[test]
fn other_files_are_not_fields() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.nii.gz");
    let geometry = oblique(Dimension::Three, [4, 3, 5]);
    let image = Volume {
        data: Array3::zeros((4, 3, 5)),
        geometry: geometry.clone(),
    };
    volume::write_image(&path, &image, DType::F32, "").unwrap();
    let message = volume::read_field(&path).unwrap_err().to_string();
    assert!(message.contains("not a displacement field"), "{message}");
    volume::write_field(&path, &field(geometry.clone()), "").unwrap();
    let message = volume::read_image(&path).unwrap_err().to_string();
    assert!(
        message.contains("a displacement field (intent 1007), not an image"),
        "{message}"
    );

    let mut broken = field(geometry);
    broken.data[[1, 2, 0, 3]] = f32::NAN;
    volume::write_field(&path, &broken, "").unwrap();
    assert!(
        volume::read_field(&path)
            .unwrap_err()
            .to_string()
            .contains("NaN")
    );
    assert!(volume::write_field(folder.path().join("a.mgz"), &broken, "").is_err());
}

#[test]
fn freesurfer_files_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let geometry = oblique(Dimension::Three, [4, 3, 5]);
    let data = Array3::from_shape_fn((4, 3, 5), |(i, j, k)| (i * 50 + j * 7 + k) as f32);
    let image = Volume { data, geometry };
    for name in ["a.mgh", "a.mgz"] {
        for dtype in [DType::U8, DType::I16, DType::U16, DType::I32, DType::F32] {
            let path = folder.path().join(name);
            volume::write_image(&path, &image, dtype, "made by a test").unwrap();
            let back = volume::read_image(&path).unwrap();
            assert_eq!(
                (back.data, volume::probe(&path).unwrap().dtype),
                (image.data.clone(), dtype)
            );
            let difference = (back.geometry.affine.0 - image.geometry.affine.0).amax();
            assert!(difference < 1e-5, "{difference}");
        }
        let refused =
            volume::write_image(folder.path().join(name), &image, DType::F64, "").unwrap_err();
        assert!(refused.to_string().contains("MGH has no float64"));
    }
}

#[test]
fn false_freesurfer_claims_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mgh");
    let geometry = oblique(Dimension::Three, [4, 3, 5]);
    let image = Volume {
        data: Array3::zeros((4, 3, 5)),
        geometry,
    };
    volume::write_image(&path, &image, DType::U8, "").unwrap();
    let good = std::fs::read(&path).unwrap();
    let huge = [0x7f, 0xff, 0xff, 0xff].repeat(4);
    let cases: [(usize, &[u8], &str); 6] = [
        (0, &[9], "not MGH"),
        (4, &[0xff; 4], "width is -1"),
        (4, &huge, "2^64"),
        (4, &[0x7f], "expected, at most 80 found"),
        (20, &[0, 0, 0, 6], "voxel type 6"),
        (30, &[0; 4], "singular"),
    ];
    for (at, bytes, expected) in cases {
        let mut wrong = good.clone();
        wrong[at..at + bytes.len()].copy_from_slice(bytes);
        std::fs::write(&path, wrong).unwrap();
        let message = volume::read_image(&path).unwrap_err().to_string();
        assert!(message.contains(expected), "'{expected}' not in {message}");
    }
    // Without the flag that the geometry is good: FreeSurfer's coronal default.
    let mut unplaced = good;
    unplaced[29] = 0;
    std::fs::write(&path, unplaced).unwrap();
    let affine = volume::read_image(&path).unwrap().geometry.affine;
    assert_eq!(volume::axis_codes(&affine), "LIA");
    assert_eq!(affine.translation(), Vector3::new(2.0, -2.5, 1.5));
}

#[test]
fn pictures_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    let data = Array3::from_shape_fn((3, 2, 1), |(i, j, _)| (i * 1000 + j * 90) as f32 + 0.4);
    let picture = Volume {
        data,
        geometry: axial([3, 2, 1]),
    };
    volume::write_image(&path, &picture, DType::U16, "").unwrap();
    let back = volume::read_image(&path).unwrap();
    assert_eq!(back.data, picture.data.mapv(f32::round));
    volume::write_image(&path, &picture, DType::U8, "").unwrap();
    assert_eq!(volume::read_image(&path).unwrap().data[[2, 1, 0]], 255.0);
    let volume_ = Volume {
        data: Array3::zeros((3, 2, 2)),
        geometry: oblique(Dimension::Three, [3, 2, 2]),
    };
    let refused = volume::write_image(&path, &volume_, DType::U8, "")
        .unwrap_err()
        .to_string();
    assert!(refused.contains("2-D"), "{refused}");
    // A cut picture and one that is none.
    let bytes = std::fs::read(&path).unwrap();
    for wrong in [&bytes[..bytes.len() / 2], b"text, not a picture"] {
        std::fs::write(&path, wrong).unwrap();
        let message = volume::read_image(&path).unwrap_err().to_string();
        assert!(
            message.contains("PNG") && !message.contains('\n'),
            "{message}"
        );
    }
}
