//! Images of a known scene for the tests.

use nalgebra::{Matrix3, Matrix4, Rotation3, Vector3};
use ndarray::Array3;

use crate::volume::resample::place;
use crate::volume::{Affine, Dimension, Geometry, Image};

/// A head-like scene without symmetry, about 100 mm wide and centred near 0; values from 0 to about 1.
pub(super) fn scene(p: Vector3<f64>) -> f64 {
    let blob = |centre: [f64; 3], size: [f64; 3]| {
        let d = (p - Vector3::from(centre)).component_div(&Vector3::from(size));
        // A soft edge of a few millimetres.
        1.0 / (1.0 + (12.0 * (d.norm() - 1.0)).exp())
    };
    let head = blob([0.0, 4.0, -2.0], [42.0, 52.0, 38.0]);
    // Without a texture, windows of one tissue would be compared by rounding alone.
    let texture = (p.x / 4.0).sin() * (p.y / 5.0 + 1.0).sin() * (p.z / 6.0 + 2.0).cos();
    head * (0.55 + 0.08 * texture) + 0.35 * blob([14.0, 22.0, 8.0], [12.0, 18.0, 14.0])
        - 0.3 * blob([-16.0, -8.0, -4.0], [9.0, 20.0, 8.0])
        + 0.25 * blob([6.0, -30.0, 12.0], [20.0, 9.0, 10.0])
        - 0.25 * blob([-10.0, 30.0, -14.0], [14.0, 8.0, 12.0])
}

/// `scene` after `map`, from the scene's world to the image's, on a grid.
pub(super) fn painted(grid: &Geometry, map: &Matrix4<f64>, contrast: impl Fn(f64) -> f64) -> Image {
    let back = map.try_inverse().unwrap() * grid.affine.0;
    let data = Array3::from_shape_fn(grid.shape, |(i, j, k)| {
        let at = place(&back, Vector3::new(i as f64, j as f64, k as f64));
        contrast(scene(at)) as f32
    });
    Image {
        data,
        geometry: grid.clone(),
    }
}

/// Turned, anisotropic, centred at `centre`; axes run to anterior, superior and right, or for slices to right and
/// anterior.
pub(super) fn grid(dimension: Dimension, spacing: [f64; 3], centre: [f64; 3]) -> Geometry {
    let (axes, turn) = match dimension {
        Dimension::Two => (
            Matrix3::identity(),
            Rotation3::from_euler_angles(0.0, 0.0, 0.2),
        ),
        Dimension::Three => (
            Matrix3::new(0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
            Rotation3::from_euler_angles(0.1, -0.15, 0.2),
        ),
    };
    let size = 140.0;
    let shape = match dimension {
        Dimension::Two => [size / spacing[0], size / spacing[1], 1.0],
        Dimension::Three => spacing.map(|s| size / s),
    };
    let shape = shape.map(|n: f64| n.round() as usize);
    let linear = turn.matrix() * axes * Matrix3::from_diagonal(&Vector3::from(spacing));
    let middle = linear * Vector3::from(shape.map(|n| (n as f64 - 1.0) / 2.0));
    let affine = Affine::from_parts(linear, Vector3::from(centre) - middle);
    Geometry::new(shape, dimension, affine)
}

/// Turned by `angles` (radians about x, y, z), zoomed per axis, sheared, and shifted.
pub(super) fn map(angles: [f64; 3], zooms: [f64; 3], shear: f64, shift: [f64; 3]) -> Matrix4<f64> {
    let [x, y, z] = angles;
    let mut linear = Rotation3::from_euler_angles(x, y, z).into_inner()
        * Matrix3::from_diagonal(&Vector3::from(zooms));
    linear *= Matrix3::new(1.0, shear, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0);
    Affine::from_parts(linear, Vector3::from(shift)).0
}

/// Largest distance between where two maps bring places of the scene, mm.
pub(super) fn distance(a: &Matrix4<f64>, b: &Matrix4<f64>, dimension: Dimension) -> f64 {
    let height = if dimension == Dimension::Two {
        0.0
    } else {
        35.0
    };
    let corners = (0..8_u8).map(|corner| {
        let side = |bit: u8, size: f64| if corner >> bit & 1 == 1 { size } else { -size };
        Vector3::new(side(0, 40.0), side(1, 50.0), side(2, height))
    });
    corners
        .map(|corner| (place(a, corner) - place(b, corner)).norm())
        .fold(0.0, f64::max)
}
