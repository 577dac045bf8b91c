//! Composites of ITK, fields in voxels and of RAS millimetres, and moving by the header alone.

use std::path::Path;

use hmorph::register::{Transform, map_point};
use hmorph::volume::{
    self, Affine, DType, Dimension, DisplacementField, Geometry, Image, Step, WorldAffine,
    WorldPoint,
};
use nalgebra::{Matrix3, Matrix4, Rotation3, Vector3};
use ndarray::{Array3, Array4};

use crate::golden;

/// Where LPS points go through the steps.
fn through(steps: &[Step], lps: [f64; 3]) -> Vector3<f64> {
    let chain: Vec<Transform> = steps
        .iter()
        .map(|s| Transform::of(s.clone()).unwrap())
        .collect();
    let flip = Vector3::new(-1.0, -1.0, 1.0);
    let ras = Vector3::from(lps).component_mul(&flip);
    map_point(&chain, WorldPoint(ras)).0.component_mul(&flip)
}

/// Points of SimpleITK (`golden.README`) and where they go.
const SOLID: [[[f64; 3]; 2]; 2] = [
    [
        [-9.17714284582513, 17.090785139625602, 27.5625],
        [-6.889200102482525, 13.754264660245553, 33.42907851396256],
    ],
    [
        [-10.47069339771432, 14.372471881425367, 29.625],
        [-7.2432683612006805, 10.673544033054265, 35.54224718814254],
    ],
];
const FLAT: [[[f64; 2]; 2]; 2] = [
    [
        [-9.17714284582513, 17.090785139625602],
        [-7.051700102482524, 13.955670910245555],
    ],
    [
        [-10.47069339771432, 14.372471881425367],
        [-7.268268361200679, 10.676044033054263],
    ],
];

fn assert_moves_as_itk(steps: &[Step], flat: bool, what: &str) {
    // Displacements are kept as float32 voxels: 3 voxels of up to 2 mm.
    let close = |found: Vector3<f64>, expected: Vector3<f64>| {
        assert!(
            (found - expected).amax() < 2e-6,
            "{what}: {found} {expected}"
        );
    };
    if flat {
        for [[x, y], [u, v]] in FLAT {
            close(through(steps, [x, y, 0.0]), Vector3::new(u, v, 0.0));
        }
    } else {
        for [from, to] in SOLID {
            close(through(steps, from), to.into());
        }
    }
}

#[test]
fn composites_of_itk_move_points_as_itk_does() {
    for (name, flat) in [("composite.h5", false), ("composite_2d.h5", true)] {
        let steps = volume::read_transform(golden(name)).unwrap();
        // The last member of the file comes first.
        assert!(
            matches!(steps[..], [Step::Field(_), Step::Affine { .. }]),
            "{name}"
        );
        assert_moves_as_itk(&steps, flat, name);
    }
    for name in ["chain.h5", "chain.tfm"] {
        let steps = volume::read_transform(golden(name)).unwrap();
        assert_eq!(steps.len(), 3);
        let expected = Vector3::new(5.257846454962847, 6.925025626624536, 12.379063933161529);
        assert!(
            (through(&steps, [1.0, 2.0, 3.0]) - expected).amax() < 1e-12,
            "{name}"
        );
    }
}

#[test]
fn composites_of_ants_are_compressed_and_in_single_precision() {
    let steps = volume::read_transform(golden("ants_2d.h5")).unwrap();
    assert_eq!(steps.len(), 2);
    // SimpleITK: ReadTransform("ants_2d.h5").TransformPoint(p)
    for (from, to) in [
        ([1.5, -4.0], [1.2912300043914968, -4.254295343739662]),
        ([7.25, 3.5], [7.186047788823027, 3.7713814897880114]),
    ] {
        let found = through(&steps, [from[0], from[1], 0.0]);
        assert!(
            (found - Vector3::new(to[0], to[1], 0.0)).amax() < 2e-6,
            "{found}"
        );
    }
}

#[test]
fn composites_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.h5");
    for (name, flat) in [("composite.h5", false), ("composite_2d.h5", true)] {
        let steps = volume::read_transform(golden(name)).unwrap();
        let dimension = if flat {
            Dimension::Two
        } else {
            Dimension::Three
        };
        volume::write_composite(&path, &steps, dimension).unwrap();
        let back = volume::read_transform(&path).unwrap();
        assert_eq!(back.len(), 2);
        assert_moves_as_itk(&back, flat, name);
    }
    let solid = volume::read_transform(golden("composite.h5")).unwrap();
    let flat = volume::read_transform(golden("composite_2d.h5")).unwrap();
    let mixed = [solid, flat].concat();
    let error = volume::write_composite(&path, &mixed, Dimension::Three).unwrap_err();
    assert!(error.to_string().contains("2-D and 3-D"), "{error}");
}

#[test]
fn large_fields_come_back_from_compressed_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.h5");
    let geometry = Geometry::new(
        [70, 60, 50],
        Dimension::Three,
        Affine::from_spacing([1.0, 2.0, 3.0]),
    );
    let data = Array4::from_shape_fn((3, 70, 60, 50), |(c, i, j, k)| {
        (c + i + 2 * j + 3 * k) as f32 / 8.0
    });
    let field = DisplacementField { data, geometry };
    volume::write_composite(&path, &[Step::Field(field.clone())], Dimension::Three).unwrap();
    match &volume::read_transform(&path).unwrap()[..] {
        [Step::Field(back)] => {
            let worst = back
                .data
                .iter()
                .zip(&field.data)
                .fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
            assert!(worst < 1e-5, "{worst}");
            assert!((back.geometry.affine.0 - field.geometry.affine.0).amax() < 1e-12);
        }
        other => panic!("{} steps", other.len()),
    }
}

#[test]
fn other_hdf5_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.h5");
    for (content, part) in [(&b"no hdf5"[..], "not HDF5"), (&[][..], "not HDF5")] {
        std::fs::write(&path, content).unwrap();
        let error = volume::read_transform(&path).unwrap_err().to_string();
        assert!(error.contains(part) && !error.contains('\n'), "{error}");
    }
    let bytes = std::fs::read(golden("composite.h5")).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(volume::read_transform(&path).is_err());
}

fn oblique(shape: [usize; 3], dimension: Dimension) -> Geometry {
    let turn = Rotation3::from_euler_angles(0.1, -0.2, 0.3);
    let linear = turn.matrix() * Matrix3::from_diagonal(&Vector3::new(-1.5, 2.0, 3.0));
    Geometry::new(
        shape,
        dimension,
        Affine::from_parts(linear, Vector3::new(4.0, -5.0, 6.0)),
    )
}

#[test]
fn fields_in_voxels_are_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disp_0001_0002.nii.gz");
    for (shape, dimension) in [([4, 3, 5], Dimension::Three), ([4, 3, 1], Dimension::Two)] {
        let geometry = oblique(shape, dimension);
        let axes = dimension.axes();
        let data = Array4::from_shape_fn((axes, shape[0], shape[1], shape[2]), |(c, i, j, k)| {
            (100 * c + 20 * i + 5 * j + k) as f32 / 4.0
        });
        let field = DisplacementField {
            data,
            geometry: geometry.clone(),
        };
        volume::write_voxel_field(&path, &field, "").unwrap();
        let info = volume::probe(&path).unwrap();
        let sizes: Vec<usize> = shape.into_iter().chain([axes]).collect();
        assert_eq!(info.shape, sizes);
        assert_eq!(volume::read_voxel_field(&path, &geometry).unwrap(), field);
        // Nothing in the file says what it is.
        let error = volume::read_field(&path).unwrap_err().to_string();
        assert!(error.contains("l2r:FILE"), "{error}");
        let other = oblique([4, 3, 6], Dimension::Three);
        let error = volume::read_voxel_field(&path, &other)
            .unwrap_err()
            .to_string();
        assert!(error.contains("expected 4x3x6x3"), "{error}");
    }
}

/// The bytes of a NIfTI-1 header field, in a plain file.
fn patched(path: &Path, offset: usize, value: i16) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn fields_of_intent_1006_are_ras() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("field.nii");
    let geometry = oblique([4, 3, 5], Dimension::Three);
    let data = Array4::from_shape_fn((3, 4, 3, 5), |(c, i, j, k)| {
        (10 * c + i + j + k) as f32 / 4.0
    });
    let field = DisplacementField { data, geometry };
    volume::write_field(&path, &field, "").unwrap();
    patched(&path, 68, 1006);
    // The same numbers, now in RAS: x and y of each vector are of the other sign in the world.
    let back = volume::read_field(&path).unwrap();
    let linear = field.geometry.affine.linear();
    for i in 0..4 {
        let vector = |f: &DisplacementField| {
            Vector3::from([0, 1, 2].map(|c| f64::from(f.data[[c, i, 2, 3]])))
        };
        let lps = (linear * vector(&field)).component_mul(&Vector3::new(-1.0, -1.0, 1.0));
        assert!((linear * vector(&back) - lps).amax() < 1e-5);
    }
}

#[test]
fn the_header_alone_is_moved() {
    let folder = tempfile::tempdir().unwrap();
    let geometry = oblique([4, 3, 5], Dimension::Three);
    let image = Image {
        data: Array3::from_shape_fn((4, 3, 5), |(i, j, k)| (20 * i + 5 * j + k) as f32),
        geometry: geometry.clone(),
    };
    let turn = Rotation3::from_euler_angles(0.2, 0.1, -0.3);
    let mut rigid = turn.to_homogeneous();
    rigid[(0, 3)] = 7.0;
    let sheared = Matrix4::new_nonuniform_scaling(&Vector3::new(1.0, 1.3, 1.0)) * rigid;
    for (name, pull, fits) in [
        ("a.nii", rigid, true),
        ("a.nii.gz", sheared, true),
        ("a.mgz", rigid, true),
        ("a.mgh", sheared, false),
    ] {
        let (source, target) = (
            folder.path().join(name),
            folder.path().join(format!("moved_{name}")),
        );
        volume::write_image(&source, &image, DType::I16, "kept").unwrap();
        let done = volume::move_header(&source, &target, &WorldAffine(pull));
        if !fits {
            assert!(done.unwrap_err().to_string().contains("shear"), "{name}");
            continue;
        }
        done.unwrap();
        let moved = volume::read_image(&target).unwrap();
        assert_eq!(moved.data, image.data);
        // What the pull leads to from the fixed world lies there now: pull * moved = original.
        let difference = (pull * moved.geometry.affine.0 - geometry.affine.0).amax();
        assert!(difference < 1e-5, "{name}: {difference}");
        let [before, after] = [&source, &target].map(|p| volume::probe(p).unwrap());
        assert_eq!((before.dtype, before.sum), (after.dtype, after.sum));
    }
    // Big-endian NIfTI-2 keeps its kind.
    let target = folder.path().join("big.nii.gz");
    let source = golden("big_endian_nifti2.nii.gz");
    volume::move_header(&source, &target, &WorldAffine(rigid)).unwrap();
    let [before, after] = [&source, &target].map(|p| volume::read_image(p).unwrap());
    assert_eq!(before.data, after.data);
    let difference = (rigid * after.geometry.affine.0 - before.geometry.affine.0).amax();
    assert!(difference < 1e-9, "{difference}");
    assert_eq!(volume::probe(&target).unwrap().endian, volume::Endian::Big);
}

#[test]
fn vectors_are_not_moved_by_their_header() {
    let folder = tempfile::tempdir().unwrap();
    let [source, target] = ["field.nii", "moved.nii"].map(|name| folder.path().join(name));
    let field = DisplacementField::zeros(oblique([4, 3, 5], Dimension::Three));
    volume::write_field(&source, &field, "").unwrap();
    for intent in [1007, 1006] {
        patched(&source, 68, intent);
        let error = volume::move_header(&source, &target, &WorldAffine::identity()).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(&format!("intent {intent}")), "{error}");
        assert!(!target.exists());
    }
}

#[test]
fn affines_say_of_which_dimension_their_images_are() {
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("rows.txt");
    std::fs::write(&rows, "0 -1 4\n1 0 5\n0 0 0.9999999\n").unwrap();
    for (path, dimension) in [
        (rows, Dimension::Two),
        (golden("affine_2d.mat"), Dimension::Two),
        (golden("euler_2d.tfm"), Dimension::Two),
        (golden("affine.mat"), Dimension::Three),
        (golden("chain.tfm"), Dimension::Three),
        (golden("chain.h5"), Dimension::Three),
    ] {
        for step in volume::read_transform(&path).unwrap() {
            assert_eq!(step.dimension(), dimension, "{}", path.display());
        }
    }
}

#[test]
fn only_some_formats_are_moved_by_their_header() {
    let folder = tempfile::tempdir().unwrap();
    let identity = WorldAffine::identity();
    for (source, target, part) in [
        ("oblique.mha", "a.mha", "NIfTI and MGH"),
        ("oblique.mgz", "a.nii.gz", "same suffix"),
    ] {
        let target = folder.path().join(target);
        let error = volume::move_header(golden(source), &target, &identity)
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{error}");
        assert!(!target.exists());
    }
}
