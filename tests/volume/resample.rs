//! Resampling between oblique grids against SimpleITK and SciPy.

use hmorph::volume::resample::{Interpolation, Outside, field_to, image_to, labels_to};
use hmorph::volume::{Affine, Dimension, DisplacementField, Geometry, Image, Volume, VoxelPoint};
use nalgebra::{Matrix3, Vector3};
use ndarray::{Array3, Array4};

/// A rotation about z by `a` after one about x by `b`, times the spacing.
fn grid(shape: [usize; 3], [a, b]: [f64; 2], spacing: [f64; 3], origin: [f64; 3]) -> Geometry {
    let ((sa, ca), (sb, cb)) = (a.sin_cos(), b.sin_cos());
    let about_z = Matrix3::new(ca, -sa, 0.0, sa, ca, 0.0, 0.0, 0.0, 1.0);
    let about_x = Matrix3::new(1.0, 0.0, 0.0, 0.0, cb, -sb, 0.0, sb, cb);
    let linear = about_z * about_x * Matrix3::from_diagonal(&Vector3::from(spacing));
    Geometry::new(
        shape,
        Dimension::Three,
        Affine::from_parts(linear, Vector3::from(origin)),
    )
}

fn source() -> Image {
    let geometry = grid([9, 8, 5], [0.4, 0.3], [1.2, 0.8, 2.5], [3.0, -2.0, 1.0]);
    let data = Array3::from_shape_fn((9, 8, 5), |(i, j, k)| {
        let (i, j, k) = (i as f64, j as f64, k as f64);
        (50.0 + 30.0 * (0.7 * i + 0.2 * k).sin() * (0.5 * j).cos() + 4.0 * k) as f32
    });
    Volume { data, geometry }
}

fn target() -> Geometry {
    grid([10, 9, 8], [-0.2, 0.1], [0.9, 1.1, 1.4], [1.5, -3.0, 0.5])
}

// The expected numbers, with `grid` and the voxel values `d` as above (arrays indexed [i, j, k]):
//   f = numpy.diag([-1., -1, 1])     # RAS to LPS; m is a grid's affine, with spacing sp
//   img = sitk.GetImageFromArray(d.transpose(2, 1, 0)); img.SetSpacing(sp)
//   img.SetDirection((f @ m[:3, :3] / sp).ravel()); img.SetOrigin(f @ m[:3, 3])
//   o = sitk.Resample(img, reference, sitk.Transform(), sitk.sitkLinear, -7.0)   # or sitkNearestNeighbor
const PLACES: [[usize; 3]; 6] = [
    [2, 3, 2],
    [5, 4, 3],
    [7, 2, 5],
    [3, 7, 6],
    [0, 5, 1],
    [6, 6, 2],
];

#[test]
fn agrees_with_itk_inside_and_outside() {
    let linear = [62.997065, 62.05102, -7.0, -7.0, 32.840525, 54.488377];
    let nearest = [66.697, 67.700676, -7.0, -7.0, 34.516673, 52.875626];
    for (how, expected, sum) in [
        (Interpolation::Linear, linear, 24829.116256348425),
        (Interpolation::Nearest, nearest, 24859.811060262004),
    ] {
        let moved = image_to(&source(), &target(), how, Outside::Value(-7.0)).unwrap();
        assert_eq!(moved.data.iter().filter(|&&v| v == -7.0).count(), 255);
        for (place, value) in PLACES.into_iter().zip(expected) {
            // float32 voxels of about 60.
            approx::assert_abs_diff_eq!(f64::from(moved.data[place]), value, epsilon = 1e-5);
        }
        let found: f64 = moved.data.iter().map(|&v| f64::from(v)).sum();
        approx::assert_abs_diff_eq!(found, sum, epsilon = 720.0 * 4e-6);
    }
}

#[test]
fn edge_values_are_scipys() {
    // scipy.ndimage.map_coordinates(d, source_voxels, order=1, mode="nearest").sum()
    let moved = image_to(&source(), &target(), Interpolation::Linear, Outside::Edge).unwrap();
    let found: f64 = moved.data.iter().map(|&v| f64::from(v)).sum();
    approx::assert_abs_diff_eq!(found, 41729.97238209311, epsilon = 720.0 * 4e-6);
}

#[test]
fn labels_keep_their_values() {
    let labels = source().map(|&v| if v > 50.0 { 1000 } else { 17 });
    let moved = labels_to(&labels, &target()).unwrap();
    let count = |label| moved.data.iter().filter(|&&v| v == label).count();
    assert_eq!(count(0), 255);
    assert_eq!(count(0) + count(17) + count(1000), 720);
}

#[test]
fn the_same_grid_changes_nothing_even_beside_nan() {
    let mut image = source();
    image.data[[4, 4, 2]] = f32::NAN;
    let same = image_to(
        &image,
        &image.geometry,
        Interpolation::Linear,
        Outside::Value(0.0),
    )
    .unwrap();
    for (found, expected) in same.data.iter().zip(&image.data) {
        assert_eq!(found.to_bits(), expected.to_bits());
    }
}

#[test]
fn parallel_slices_meet_and_others_do_not() {
    let slice = |origin: [f64; 3], tilt: f64| {
        let mut geometry = grid([4, 4, 1], [0.0, tilt], [1.0, 1.0, 1.0], origin);
        geometry.dimension = Dimension::Two;
        geometry
    };
    let data = Array3::from_shape_fn((4, 4, 1), |(i, j, _)| (10 * i + j) as f32);
    let image = Volume {
        data,
        geometry: slice([0.0, 0.0, 40.0], 0.0),
    };
    let to = |geometry| {
        image_to(
            &image,
            &geometry,
            Interpolation::Linear,
            Outside::Value(-1.0),
        )
    };
    // 40 mm apart along the normal, one voxel along i.
    let moved = to(slice([1.0, 0.0, 0.0], 0.0)).unwrap();
    assert_eq!(moved.data[[0, 2, 0]], 12.0);
    assert_eq!(moved.data[[3, 2, 0]], -1.0);
    assert!(
        to(slice([0.0; 3], 0.5))
            .unwrap_err()
            .to_string()
            .contains("not parallel")
    );
}

#[test]
fn a_field_keeps_its_world_displacements() {
    // A constant displacement in the world is constant on any grid, in that grid's voxels.
    let geometry = source().geometry;
    let world = Vector3::new(1.5, -2.0, 0.7);
    let u = geometry.affine.linear().try_inverse().unwrap() * world;
    let data = Array4::from_shape_fn((3, 9, 8, 5), |(c, ..)| u[c] as f32);
    let moved = field_to(&DisplacementField { data, geometry }, &target()).unwrap();
    let expected = target().affine.linear().try_inverse().unwrap() * world;
    for ((c, ..), &found) in moved.data.indexed_iter() {
        approx::assert_abs_diff_eq!(f64::from(found), expected[c], epsilon = 1e-6);
    }
    assert_eq!(
        moved
            .geometry
            .affine
            .to_world(VoxelPoint(Vector3::zeros()))
            .0
            .x,
        1.5
    );
}
