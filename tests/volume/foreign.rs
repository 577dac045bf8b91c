//! Small files that nibabel, numpy and SimpleITK wrote; `golden/volume/README.md` has the commands.

use hmorph::volume::{self, Dimension, Endian, Image};
use nalgebra::Vector3;

use crate::{golden, linear};

fn assert_affine(image: &Image) {
    let affine = image.geometry.affine;
    // Headers hold float32.
    approx::assert_relative_eq!(affine.linear(), linear(), epsilon = 1e-5);
    approx::assert_relative_eq!(
        affine.translation(),
        Vector3::new(10.0, -20.0, 30.0),
        epsilon = 1e-5
    );
}

/// Voxel (i, j, k) holds `scale * (20 i + 5 j + k)`.
fn assert_numbered(image: &Image, scale: f32) {
    assert_eq!(image.data.dim(), (3, 4, 5));
    for ((i, j, k), &value) in image.data.indexed_iter() {
        assert_eq!(
            value,
            scale * (20 * i + 5 * j + k) as f32,
            "({i}, {j}, {k})"
        );
    }
}

#[test]
fn freesurfer_geometry_is_about_the_centre() {
    let image = volume::read_image(golden("oblique.mgz")).unwrap();
    assert_affine(&image);
    assert_numbered(&image, 1.0);
}

#[test]
fn freesurfer_frames() {
    let path = golden("two_frames.mgh");
    let error = volume::read_image(&path).unwrap_err().to_string();
    assert!(error.contains("4-D image (3x4x5x2)"), "{error}");
    let mut second = volume::read_image_frame(&path, Some(1)).unwrap();
    second.data -= 100.0;
    assert_affine(&second);
    assert_numbered(&second, 1.0);
}

#[test]
fn nifti2_in_the_other_byte_order() {
    let path = golden("big_endian_nifti2.nii.gz");
    let image = volume::read_image(&path).unwrap();
    assert_affine(&image);
    assert_numbered(&image, 1.0);
    assert_eq!(volume::probe(path).unwrap().endian, Endian::Big);
}

#[test]
fn voxelmorph_archives() {
    assert_numbered(
        &volume::read_image(golden("vol_seg.npz")).unwrap(),
        1.0 / 64.0,
    );
    let labels = volume::read_labels(golden("vol_seg.npz")).unwrap();
    assert_eq!(labels.data[[2, 3, 4]], 59);
    assert_numbered(&volume::read_image(golden("legacy.npz")).unwrap(), 1.0);
    let error = volume::read_labels(golden("legacy.npz"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no array 'seg' in it; it holds 'vol_data'"),
        "{error}"
    );
}

#[test]
fn numpy_arrays_in_either_order() {
    assert_numbered(
        &volume::read_image(golden("fortran_big_endian.npy")).unwrap(),
        1.0,
    );
    let slice = volume::read_image(golden("slice_bool.npy")).unwrap();
    assert_eq!(slice.geometry.dimension, Dimension::Two);
    assert_eq!(slice.geometry.shape, [3, 4, 1]);
    // 20 i + 5 j > 30
    let above: Vec<f32> = slice.data.iter().copied().collect();
    assert_eq!(above, [0., 0., 0., 0., 0., 0., 0., 1., 1., 1., 1., 1.]);
}

#[test]
fn png_columns_are_the_first_axis() {
    let path = golden("grey16.png");
    let image = volume::read_image(&path).unwrap();
    assert_eq!(
        (image.geometry.shape, image.geometry.dimension),
        ([3, 4, 1], Dimension::Two)
    );
    assert_eq!(image.data[[2, 1, 0]], 45000.0);
    // ITK reads a PNG with an identity direction, which is LPS.
    assert_eq!(volume::axis_codes(&image.geometry.affine), "LPS");
    assert_eq!(volume::read_labels(path).unwrap().data[[2, 3, 0]], 55000);
}

#[test]
fn colour_becomes_luminance_but_not_labels() {
    let image = volume::read_image(golden("colour.png")).unwrap();
    // Rec. 709: 0.2126 R + 0.7152 G + 0.0722 B, cut to whole grey levels.
    let expected = [[54.0, 18.0], [182.0, 200.0]];
    for (i, column) in expected.iter().enumerate() {
        for (j, value) in column.iter().enumerate() {
            assert!((image.data[[i, j, 0]] - value).abs() <= 1.0);
        }
    }
    let error = volume::read_labels(golden("colour.png"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("colour image is not a label map"), "{error}");
}

#[test]
fn colours_of_nifti_are_read_by_channel_and_as_luminance() {
    for (name, channels) in [("rgb.nii.gz", 3), ("rgba.nii.gz", 4)] {
        let series = volume::read_series(golden(name)).unwrap();
        assert_eq!(
            (series.volumes.len(), &series.kind),
            (channels, &volume::SeriesKind::Colour)
        );
        for (channel, volume) in series.volumes.iter().enumerate() {
            assert_affine(volume);
            assert_numbered(volume, (channel + 1) as f32);
        }
        // 0.2126 R + 0.7152 G + 0.0722 B with G = 2 R and B = 3 R.
        let mut image = volume::read_image(golden(name)).unwrap();
        image.data.mapv_inplace(|value| (value / 1.8596).round());
        assert_numbered(&image, 1.0);
        let info = volume::probe(golden(name)).unwrap();
        assert_eq!(info.shape, [3, 4, 5, channels]);
        assert_eq!(
            (info.min, info.max),
            (Some(0.0), Some(channels as f64 * 59.0))
        );
        let error = volume::read_labels(golden(name)).unwrap_err().to_string();
        assert!(error.contains("not a label map"), "{error}");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("back.nii.gz");
        volume::write_series(&path, &series, volume::DType::U8, "").unwrap();
        let back = volume::read_series(&path).unwrap();
        assert_eq!(back.kind, series.kind);
        for (back, volume) in back.volumes.iter().zip(&series.volumes) {
            assert_eq!(back.data, volume.data);
        }
    }
}

#[test]
fn itk_fields_become_voxel_displacements() {
    let field = volume::read_field(golden("field.nii.gz")).unwrap();
    assert_eq!(field.data.dim(), (3, 3, 4, 5));
    for (i, j, k) in [(0, 0, 0), (2, 3, 4), (1, 2, 3)] {
        let n = (20 * i + 5 * j + k) as f64;
        // LPS to RAS negates x and y; the inverse affine turns millimetres into voxels.
        let ras = Vector3::new(-(n + 100.0), -(n + 200.0), n + 300.0);
        let expected = linear().try_inverse().unwrap() * ras;
        for c in 0..3 {
            let found = f64::from(field.data[[c, i, j, k]]);
            approx::assert_relative_eq!(found, expected[c], max_relative = 1e-5);
        }
    }
}

#[test]
fn itk_fields_of_two_components() {
    let field = volume::read_field(golden("field_2d.nii.gz")).unwrap();
    assert_eq!(
        (field.data.dim(), field.geometry.dimension),
        ((2, 3, 4, 1), Dimension::Two)
    );
    let in_plane = linear().fixed_view::<2, 2>(0, 0).into_owned();
    let expected = in_plane.try_inverse().unwrap() * nalgebra::Vector2::new(-130.0, -230.0);
    for c in 0..2 {
        // Voxel (1, 2) holds 20 + 10.
        approx::assert_relative_eq!(
            f64::from(field.data[[c, 1, 2, 0]]),
            expected[c],
            max_relative = 1e-5
        );
    }
}

/// Of any number of axes: `numpy.arange(48).reshape(2, 2, 1, 3, 4)`, of which frame (f, g) is the number f + 3 g.
#[test]
fn frames_of_c_ordered_arrays_count_as_those_of_fortran_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let mut text =
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2, 1, 3, 4), }".to_string();
    text += &" ".repeat(117 - text.len());
    let mut bytes = [&b"\x93NUMPY\x01\x00\x76\x00"[..], text.as_bytes(), b"\n"].concat();
    bytes.extend((0..48).flat_map(|n| (n as f32).to_le_bytes()));
    std::fs::write(&path, bytes).unwrap();
    for (f, g) in (0..3).flat_map(|f| (0..4).map(move |g| (f, g))) {
        let image = volume::read_image_frame(&path, Some(f + 3 * g)).unwrap();
        for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let expected = ((i * 2 + j) * 3 + f) * 4 + g;
            assert_eq!(image.data[[i, j, 0]], expected as f32, "{i} {j} {f} {g}");
        }
    }
}
