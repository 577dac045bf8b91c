//! Random affine part of a synthetic deformation, in voxel coordinates about the grid centre.

use nalgebra::{Matrix3, Matrix4, Vector3};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::grid::Grid;
use super::range::{Range, SHIFT, check_probability};
use crate::error::Result;

/// Random affine, drawn for each image of the pair. Off by default, as SynthMorph's deformable training;
/// the ranges are those of its affine training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AffineConfig {
    /// Probability that a pair gets random affines.
    pub prob: f64,
    /// Translation along each axis, voxels at `reference_size`. SynthMorph affine: 30.
    pub translation: Range,
    /// Rotation about each axis (2-D: in the plane), degrees. SynthMorph affine: 45.
    pub rotation: Range,
    /// Scale factor along each axis. SynthMorph affine: 1 +- 0.1.
    pub scale: Range,
    /// Shear of each pair of axes, voxels per voxel. SynthMorph affine: 0.1.
    pub shear: Range,
}

impl Default for AffineConfig {
    fn default() -> Self {
        Self {
            prob: 0.0,
            translation: Range::new(-30.0, 30.0),
            rotation: Range::new(-45.0, 45.0),
            scale: Range::new(0.9, 1.1),
            shear: Range::new(-0.1, 0.1),
        }
    }
}

impl AffineConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_probability("deformation.affine.prob", self.prob)?;
        let name = |field| format!("deformation.affine.{field}");
        self.translation.check(&name("translation"), SHIFT)?;
        self.rotation
            .check(&name("rotation"), Range::new(-180.0, 180.0))?;
        self.scale.check(&name("scale"), Range::new(0.1, 10.0))?;
        self.shear.check(&name("shear"), Range::new(-2.0, 2.0))
    }

    /// Whether this pair gets affines; one draw for both images.
    pub(super) fn wanted(&self, rng: &mut impl Rng) -> bool {
        rng.random_bool(self.prob)
    }

    /// A random affine of voxel positions `[d, h, w]` (homogeneous); depth is untouched in 2-D.
    ///
    /// Composed as translation, rotation, scale, shear, the order of voxelmorph's
    /// `params_to_affine_matrix`, about the centre of the grid.
    pub(super) fn draw(&self, grid: &Grid, rng: &mut impl Rng) -> Matrix4<f64> {
        let first = 3 - grid.axes();
        let translation = self.translation.scaled(grid.length_factor);
        let mut shift = Vector3::zeros();
        let mut scale = Matrix3::<f64>::identity();
        for axis in first..3 {
            shift[axis] = translation.draw(rng);
            scale[(axis, axis)] = self.scale.draw(rng);
        }
        let mut rotation = Matrix3::<f64>::identity();
        let mut shear = Matrix3::<f64>::identity();
        for row in first..3 {
            for column in row + 1..3 {
                rotation *= plane_rotation(row, column, self.rotation.draw(rng));
                shear[(row, column)] = self.shear.draw(rng);
            }
        }
        about_centre(grid, rotation * scale * shear, shift)
    }
}

/// Rotation by `degrees` from axis `a` towards axis `b`.
fn plane_rotation(a: usize, b: usize, degrees: f64) -> Matrix3<f64> {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let mut m = Matrix3::identity();
    m[(a, a)] = cos;
    m[(b, b)] = cos;
    m[(a, b)] = -sin;
    m[(b, a)] = sin;
    m
}

/// `x -> centre + linear (x - centre) + shift`.
fn about_centre(grid: &Grid, linear: Matrix3<f64>, shift: Vector3<f64>) -> Matrix4<f64> {
    let centre = Vector3::from(grid.extent.map(|n| (n as f64 - 1.0) / 2.0));
    let mut m = linear.to_homogeneous();
    m.fixed_view_mut::<3, 1>(0, 3)
        .copy_from(&(centre - linear * centre + shift));
    m
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::seeds::{Seeds, Side, Step};
    use crate::volume::Dimension;

    fn grid() -> Grid {
        Grid::new(Dimension::Three, [5, 9, 7], 0.0).unwrap()
    }

    #[test]
    fn a_quarter_turn_moves_axis_ends_about_the_centre() {
        // 90 degrees from axis 1 to axis 2 about (2, 4, 3): (2, 6, 3) -> (2, 4, 5).
        let m = about_centre(&grid(), plane_rotation(1, 2, 90.0), Vector3::zeros());
        let moved = m.transform_point(&[2.0, 6.0, 3.0].into());
        assert!((moved.coords - Vector3::new(2.0, 4.0, 5.0)).norm() < 1e-12);
    }

    #[test]
    fn draws_stay_in_their_ranges_and_2d_keeps_the_depth() {
        let config = AffineConfig {
            rotation: Range::new(0.0, 0.0),
            ..AffineConfig::default()
        };
        let flat = Grid::new(Dimension::Two, [9, 7, 1], 0.0).unwrap();
        let mut rng = Seeds::new(1, 0).rng(Step::Affine, Side::Fixed, 0);
        for _ in 0..200 {
            let m = config.draw(&flat, &mut rng);
            assert_eq!(
                m.row(0).iter().copied().collect::<Vec<_>>(),
                [1.0, 0.0, 0.0, 0.0]
            );
            for axis in 1..3 {
                assert!((0.9..=1.1).contains(&m[(axis, axis)]));
            }
            let centre = m.transform_point(&[0.0, 4.0, 3.0].into());
            assert!((centre.y - 4.0).abs() <= 30.0 && (centre.z - 3.0).abs() <= 30.0);
        }
    }
}
