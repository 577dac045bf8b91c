//! Whether two images have a common part where their affines place them.

use nalgebra::Vector3;

use super::resample::{place, voxel_map};
use super::{Geometry, VoxelPoint};
use crate::error::Result;

/// Positions tried along each axis of each grid.
const PROBES: usize = 33;

/// Whether some of the one grid lies in the other.
///
/// # Errors
/// Two 2-D grids whose planes are not parallel.
pub fn overlap(a: &Geometry, b: &Geometry) -> Result<bool> {
    Ok(reaches(a, b)? || reaches(b, a)?)
}

/// Whether one of the probes of `from` lies in `to`.
fn reaches(from: &Geometry, to: &Geometry) -> Result<bool> {
    let map = voxel_map(to, from)?;
    let along = |axis: usize| {
        let last = (from.shape[axis] - 1) as f64;
        let count = from.shape[axis].min(PROBES);
        (0..count).map(move |n| last * n as f64 / (count.max(2) - 1) as f64)
    };
    let inside = |p: Vector3<f64>| {
        (0..3).all(|axis| p[axis] >= -0.5 && p[axis] <= to.shape[axis] as f64 - 0.5)
    };
    let probes = along(0).flat_map(|i| along(1).map(move |j| (i, j)));
    Ok(probes
        .flat_map(|(i, j)| along(2).map(move |k| Vector3::new(i, j, k)))
        .any(|voxel| inside(place(&map, voxel))))
}

impl Geometry {
    /// The box that the grid fills in the world, such as `x -90..90, y -126..90, z -72..108 mm`.
    pub fn extent(&self) -> String {
        let corners: Vec<Vector3<f64>> = (0..8_usize)
            .map(|corner| {
                let end = |axis: usize| (corner >> axis & 1) * (self.shape[axis] - 1);
                let voxel = Vector3::from([0, 1, 2].map(|axis| end(axis) as f64));
                self.affine.to_world(VoxelPoint(voxel)).0
            })
            .collect();
        let ranges = [("x", 0), ("y", 1), ("z", 2)].map(|(name, axis)| {
            let values = || corners.iter().map(|c| c[axis]);
            let low = values().fold(f64::INFINITY, f64::min);
            let high = values().fold(f64::NEG_INFINITY, f64::max);
            format!("{name} {low:.0}..{high:.0}")
        });
        format!("{} mm", ranges.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Affine, Dimension};
    use nalgebra::{Matrix3, Rotation3};

    /// 10 x 10 x 1 voxels of 2 mm whose first lies at `origin`.
    fn slice(origin: [f64; 3], turn: f64) -> Geometry {
        let linear = Rotation3::from_axis_angle(&Vector3::x_axis(), turn).into_inner() * 2.0;
        let affine = Affine::from_parts(linear, Vector3::from(origin));
        Geometry::new([10, 10, 1], Dimension::Two, affine)
    }

    #[test]
    fn grids_meet_up_to_half_a_voxel_beyond_their_outermost_centres() {
        // The last centre of the one lies at 18 mm; the other begins 1 mm before its first centre.
        let meets = |x| overlap(&slice([0.0; 3], 0.0), &slice([x, 0.0, 0.0], 0.0)).unwrap();
        assert!(meets(18.9) && meets(-18.9));
        assert!(!meets(21.0) && !meets(-21.0) && !meets(1000.0));
        // Where a slice lies along its normal says nothing, since it has no thickness.
        assert!(overlap(&slice([0.0; 3], 0.0), &slice([0.0, 0.0, 50.0], 0.0)).unwrap());
        assert!(overlap(&slice([0.0; 3], 0.0), &slice([0.0; 3], 0.5)).is_err());
    }

    #[test]
    fn a_grid_within_another_meets_it() {
        let linear = Matrix3::identity();
        let grid = |shape, at: [f64; 3]| {
            let affine = Affine::from_parts(linear, Vector3::from(at));
            Geometry::new(shape, Dimension::Three, affine)
        };
        // Smaller than the distance of the larger one's probes.
        let (large, small) = (grid([400; 3], [0.0; 3]), grid([3; 3], [201.0; 3]));
        assert!(overlap(&large, &small).unwrap() && overlap(&small, &large).unwrap());
    }

    #[test]
    fn the_extent_is_that_of_the_centres() {
        let text = slice([-9.0, 4.0, 7.0], 0.0).extent();
        assert_eq!(text, "x -9..9, y 4..22, z 7..7 mm");
    }
}
