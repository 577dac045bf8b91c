//! What hmorph writes as NIfTI: geometry in both forms, voxel types, notes.

use hmorph::volume::{self, Affine, DType, Dimension, Encoding, Geometry, Image, Volume};
use nalgebra::{Matrix3, Rotation3, Vector3};
use ndarray::Array3;
use nifti::{IntoNdArray, NiftiObject, ReaderOptions};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn image(shape: [usize; 3], dimension: Dimension, linear: Matrix3<f64>) -> Image {
    let data = Array3::from_shape_fn(shape, |(i, j, k)| (i * 50 + j * 7 + k) as f32 - 20.25);
    let affine = Affine::from_parts(linear, Vector3::new(-12.5, 30.0, 7.25));
    Volume {
        data,
        geometry: Geometry::new(shape, dimension, affine),
    }
}

fn oblique() -> Matrix3<f64> {
    let rotation = Rotation3::from_euler_angles(0.3, -0.2, 1.1).into_inner();
    rotation * Matrix3::from_diagonal(&Vector3::new(1.0, -2.0, 3.5))
}

#[test]
fn written_images_come_back() {
    let folder = folder();
    let sheared = Matrix3::new(2.0, 0.6, 0.0, 0.0, 2.0, 0.1, 0.0, 0.0, 1.0);
    for (linear, shape, dimension) in [
        (oblique(), [5, 4, 3], Dimension::Three),
        (sheared, [5, 4, 3], Dimension::Three),
        (oblique(), [1, 4, 3], Dimension::Three),
        (oblique(), [5, 4, 1], Dimension::Two),
    ] {
        let original = image(shape, dimension, linear);
        for name in ["a.nii", "a.nii.gz"] {
            let path = folder.path().join(name);
            volume::write_image(&path, &original, DType::F32, "test").unwrap();
            let back = volume::read_image(&path).unwrap();
            assert_eq!(back.data, original.data);
            assert_eq!(
                (back.geometry.shape, back.geometry.dimension),
                (shape, dimension)
            );
            // The header holds float32.
            let difference = (back.geometry.affine.0 - original.geometry.affine.0).amax();
            assert!(difference < 2e-6, "{difference}");
        }
    }
}

#[test]
fn both_forms_are_written_where_a_quaternion_can_hold_the_grid() {
    let folder = folder();
    let path = folder.path().join("a.nii");
    for (linear, qform_code) in [
        (oblique(), 2),
        (Matrix3::new(2., 0.6, 0., 0., 2., 0., 0., 0., 1.), 0),
    ] {
        let original = image([5, 4, 3], Dimension::Three, linear);
        volume::write_image(&path, &original, DType::F32, "").unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        assert_eq!([bytes[252], bytes[254]], [qform_code, 2]);
        if qform_code > 0 {
            // Without the sform the qform must say the same.
            bytes[254] = 0;
            std::fs::write(&path, bytes).unwrap();
            let affine = volume::read_image(&path).unwrap().geometry.affine;
            approx::assert_relative_eq!(affine.linear(), linear, epsilon = 1e-5);
        }
    }
}

#[test]
fn chosen_types_round_and_saturate_and_the_note_is_kept() {
    let folder = folder();
    let path = folder.path().join("a.nii.gz");
    let original = image([5, 4, 3], Dimension::Three, oblique());
    volume::write_image(&path, &original, DType::U8, &"é".repeat(60)).unwrap();
    let back = volume::read_image(&path).unwrap();
    assert_eq!(back.data[[0, 0, 0]], 0.0, "-20.25 saturates");
    assert_eq!(back.data[[1, 0, 0]], 30.0, "29.75 rounds");
    let plain = folder.path().join("a.nii");
    volume::write_image(&plain, &original, DType::I16, &"é".repeat(60)).unwrap();
    let bytes = std::fs::read(&plain).unwrap();
    // 39 two-byte characters fit 79 bytes; the field of 80 ends with zeros.
    assert_eq!(&bytes[148..148 + 78], "é".repeat(39).as_bytes());
    assert_eq!(&bytes[148 + 78..228], [0, 0]);
    let refused = volume::write_image(&plain, &original, DType::F16, "")
        .unwrap_err()
        .to_string();
    assert!(refused.contains("no float16"), "{refused}");
}

#[test]
fn values_are_stored_by_the_scale_that_is_asked_for() {
    let folder = folder();
    let path = folder.path().join("a.nii");
    let original = image([2, 1, 1], Dimension::Three, oblique());
    let encoding = Encoding {
        dtype: DType::I16,
        scale: Some((0.5, -1024.0)),
    };
    // -20.25 and 29.75 are half a step from whole numbers, and go to the even ones.
    volume::write_series(&path, &original.into(), encoding, "").unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes[112..116], 0.5_f32.to_le_bytes());
    assert_eq!(bytes[116..120], (-1024.0_f32).to_le_bytes());
    let stored = [352, 354].map(|at| i16::from_le_bytes([bytes[at], bytes[at + 1]]));
    // (-20.25 + 1024) / 0.5 = 2007.5, (29.75 + 1024) / 0.5 = 2107.5.
    assert_eq!(stored, [2008, 2108]);
    let series = volume::read_series(&path).unwrap();
    assert_eq!(series.volumes[0].data[[1, 0, 0]], 30.0);
    let other = folder.path().join("a.mha");
    let error = volume::write_series(&other, &series, encoding, "").unwrap_err();
    assert!(error.to_string().contains("only NIfTI"), "{error}");
}

#[test]
fn labels_take_the_smallest_type_that_holds_them() {
    let folder = folder();
    let path = folder.path().join("a.nii");
    for (highest, code) in [(255, 2), (256, 4), (182_000, 8)] {
        let mut labels = image([2, 2, 2], Dimension::Three, oblique()).map(|_| 0);
        labels.data[[1, 0, 1]] = highest;
        volume::write_labels(&path, &labels, "").unwrap();
        assert_eq!(std::fs::read(&path).unwrap()[70], code);
        assert_eq!(volume::read_labels(&path).unwrap().data, labels.data);
    }
}

#[test]
fn another_reader_sees_the_same_image() {
    let folder = folder();
    let original = image([5, 4, 3], Dimension::Three, oblique());
    for name in ["a.nii", "a.nii.gz"] {
        let path = folder.path().join(name);
        volume::write_image(&path, &original, DType::F32, "").unwrap();
        let object = ReaderOptions::new().read_file(&path).unwrap();
        let affine = object.header().affine::<f64>();
        let difference = (affine - original.geometry.affine.0).amax();
        assert!(difference < 2e-6, "{name}: {difference}");
        let voxels = object.into_volume().into_ndarray::<f32>().unwrap();
        assert_eq!(voxels, original.data.clone().into_dyn(), "{name}");
    }
}
