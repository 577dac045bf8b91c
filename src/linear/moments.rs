//! Where the intensities of an image lie, and along which directions they spread.

use nalgebra::{Matrix3, SymmetricEigen, Vector3};

use super::pyramid::Level;
use crate::volume::resample::place;
use crate::volume::{Geometry, VoxelPoint};

/// Centre and spread of intensities, with the image read as a density.
pub(super) struct Moments {
    /// World mm.
    pub centre: Vector3<f64>,
    /// Orthonormal directions (columns) from the widest spread to the narrowest, right-handed.
    pub axes: Matrix3<f64>,
}

impl Moments {
    /// `None` for an image without intensities above 0 where it counts.
    pub fn new(level: &Level) -> Option<Self> {
        let [ni, nj, nk] = level.geometry.shape;
        let voxels =
            (0..ni).flat_map(|i| (0..nj).flat_map(move |j| (0..nk).map(move |k| [i, j, k])));
        let masses = voxels.enumerate().map(|(n, voxel)| {
            let weight = level.weights.as_ref().map_or(1.0, |weights| weights[n]);
            let place = Vector3::from(voxel.map(|v| v as f64));
            (f64::from(level.data[n] * weight), place)
        });
        let (mut mass, mut first, mut second) = (0.0, Vector3::zeros(), Matrix3::zeros());
        for (m, x) in masses {
            mass += m;
            first += m * x;
            second += m * x * x.transpose();
        }
        if mass <= 0.0 {
            return None;
        }
        let centre = first / mass;
        let linear = level.geometry.affine.linear();
        let spread = linear * (second / mass - centre * centre.transpose()) * linear.transpose();
        Some(Self {
            centre: level.geometry.affine.to_world(VoxelPoint(centre)).0,
            axes: principal_axes(spread),
        })
    }
}

fn principal_axes(spread: Matrix3<f64>) -> Matrix3<f64> {
    let eigen = SymmetricEigen::new(spread);
    let mut order = [0, 1, 2];
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let [first, second, _] = order.map(|n| eigen.eigenvectors.column(n).into_owned());
    Matrix3::from_columns(&[first, second, first.cross(&second)])
}

/// The four rotations that bring principal axes onto principal axes: their directions are known up to sign.
pub(super) fn between(fixed: &Moments, moving: &Moments) -> [Matrix3<f64>; 4] {
    [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]].map(|[a, b]| {
        let signs = Matrix3::from_diagonal(&Vector3::new(a, b, a * b));
        moving.axes * signs * fixed.axes.transpose()
    })
}

/// The place in the middle of a grid, world mm.
pub(super) fn middle(grid: &Geometry) -> Vector3<f64> {
    let voxel = grid.shape.map(|n| (n as f64 - 1.0) / 2.0);
    place(&grid.affine.0, Vector3::from(voxel))
}
