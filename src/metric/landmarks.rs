//! Target registration error of corresponding landmarks.

use super::sample::{inside, linear};
use crate::error::{Error, Result};
use crate::volume::resample::snapped;
use crate::volume::{Affine, Dimension, DisplacementField, Spline, VoxelPoint};
use nalgebra::Vector3;
use ndarray::Axis;

/// How the displacement between voxels is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolation {
    /// Trilinear; outside the grid the displacement of its edge.
    Linear,
    /// Cubic B-spline, 0 outside the grid: as the Learn2Reg evaluation.
    CubicSpline,
}

/// The world in which landmarks are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LandmarkWorld {
    /// From voxels to millimetres.
    pub affine: Affine,
    pub dimension: Dimension,
}

impl LandmarkWorld {
    /// Length in mm of the way between two landmarks, given in mm.
    ///
    /// Of 2-D images only its part within the plane: neither of two slices has a thickness, so that how far they lie
    /// apart along the normal is no error.
    pub fn distance(&self, apart: Vector3<f64>) -> f64 {
        match self.dimension {
            Dimension::Three => apart.norm(),
            Dimension::Two => {
                let axes = self.affine.linear();
                let normal = axes.column(0).cross(&axes.column(1)).normalize();
                (apart - normal * normal.dot(&apart)).norm()
            }
        }
    }

    /// [`Self::distance`] of a way in voxels.
    pub fn distance_of_voxels(&self, apart: Vector3<f64>) -> f64 {
        self.distance(self.affine.linear() * apart)
    }
}

/// Error of each landmark: the length in `world` of `x + u(x) - y`, `x` fixed, `y` moving, both in voxels
/// of the field's grid. Without a field `u = 0`: the error before registration.
///
/// `NaN` where the displacement or a landmark is not finite.
///
/// # Errors
/// Unequal numbers of landmarks.
pub fn target_registration_errors(
    fixed: &[VoxelPoint],
    moving: &[VoxelPoint],
    field: Option<&DisplacementField>,
    world: &LandmarkWorld,
    interpolation: Interpolation,
) -> Result<Vec<f64>> {
    if fixed.len() != moving.len() {
        return Err(Error::invalid(format!(
            "landmarks: {} in the fixed image, {} in the moving image; they must correspond one to one",
            fixed.len(),
            moving.len()
        )));
    }
    let displacement = Displacement::new(field, interpolation);
    Ok(fixed
        .iter()
        .zip(moving)
        .map(|(x, y)| world.distance_of_voxels(x.0 + displacement.at(x.0) - y.0))
        .collect())
}

/// The components of a field, prepared for interpolation.
enum Displacement<'a> {
    None,
    Linear(&'a DisplacementField),
    Spline(&'a DisplacementField, Vec<Spline>),
}

impl<'a> Displacement<'a> {
    fn new(field: Option<&'a DisplacementField>, interpolation: Interpolation) -> Self {
        match (field, interpolation) {
            (None, _) => Self::None,
            (Some(field), Interpolation::Linear) => Self::Linear(field),
            (Some(field), Interpolation::CubicSpline) => {
                let splines = field.data.axis_iter(Axis(0)).map(Spline::new);
                Self::Spline(field, splines.collect())
            }
        }
    }

    fn at(&self, position: Vector3<f64>) -> Vector3<f64> {
        let mut u = Vector3::zeros();
        match self {
            Self::None => {}
            Self::Linear(field) => {
                for (c, component) in field.data.axis_iter(Axis(0)).enumerate() {
                    u[c] = linear(component, position.into());
                }
            }
            Self::Spline(..) if position.iter().any(|x| x.is_nan()) => u.fill(f64::NAN),
            Self::Spline(field, components) => {
                let mut place = position.map(snapped);
                // Neither of two slices has a thickness.
                if field.geometry.dimension == Dimension::Two {
                    place.z = 0.0;
                }
                if inside(place.into(), &field.geometry.shape) {
                    for (c, component) in components.iter().enumerate() {
                        u[c] = component.at(place.into());
                    }
                }
            }
        }
        u
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Geometry;
    use nalgebra::Matrix3;
    use ndarray::Array4;

    fn points(list: &[[f64; 3]]) -> Vec<VoxelPoint> {
        list.iter().map(|&p| VoxelPoint(p.into())).collect()
    }

    fn volumes(affine: Affine) -> LandmarkWorld {
        LandmarkWorld {
            affine,
            dimension: Dimension::Three,
        }
    }

    /// Displacement `(i, 0, -2)`: linear, so that linear interpolation is exact.
    fn field() -> DisplacementField {
        let data = Array4::from_shape_fn((3, 5, 4, 6), |(c, i, _, _)| [i as f32, 0.0, -2.0][c]);
        let affine = Affine::from_spacing([1.0, 2.0, 3.0]);
        DisplacementField {
            data,
            geometry: Geometry::new([5, 4, 6], Dimension::Three, affine),
        }
    }

    #[test]
    fn measures_in_millimetres_of_the_affine() {
        let field = field();
        let fixed = points(&[[1.5, 1.0, 3.0], [2.0, 2.0, 2.0]]);
        let moving = points(&[[3.0, 2.0, 1.0], [2.0, 2.0, 2.0]]);
        let world = volumes(field.geometry.affine);
        let errors =
            |field, how| target_registration_errors(&fixed, &moving, field, &world, how).unwrap();
        // By hand: 1.5 + 1.5 - 3 = 0, 1 - 2 = -1, 3 - 2 - 1 = 0: 2 mm. Second: (2, 0, -2) voxels.
        let after = errors(Some(&field), Interpolation::Linear);
        assert!((after[0] - 2.0).abs() < 1e-12);
        assert!((after[1] - 40.0_f64.sqrt()).abs() < 1e-12);
        let before = errors(None, Interpolation::Linear);
        assert!((before[0] - (1.5_f64.powi(2) + 4.0 + 36.0).sqrt()).abs() < 1e-12);
        assert_eq!(before[1], 0.0);
        // On voxel centres the spline passes through the samples.
        let spline = errors(Some(&field), Interpolation::CubicSpline);
        assert!((spline[1] - 40.0_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn outside_the_grid_the_two_rules_differ_and_nan_is_kept() {
        let mut field = field();
        let fixed = points(&[[6.0, 0.0, 0.0]]);
        let moving = points(&[[10.0, 0.0, -2.0]]);
        let one = volumes(Affine::identity());
        let error = |field: &DisplacementField, how| {
            target_registration_errors(&fixed, &moving, Some(field), &one, how).unwrap()[0]
        };
        assert_eq!(error(&field, Interpolation::Linear), 0.0);
        assert_eq!(error(&field, Interpolation::CubicSpline), 20.0_f64.sqrt());
        field.data.fill(f32::NAN);
        assert!(error(&field, Interpolation::Linear).is_nan());
        let counts = target_registration_errors(&fixed, &[], None, &one, Interpolation::Linear);
        assert!(counts.unwrap_err().to_string().contains("1 in the fixed"));
    }

    #[test]
    fn splines_reach_the_outermost_voxels_in_spite_of_rounding() {
        // Voxels through the affine of an oblique grid and back: 2e-16 beyond 0, or 4e-15 beyond n - 1.
        let moved = |place: [f64; 3], field: &DisplacementField| {
            let found = points(&[place]);
            let world = LandmarkWorld {
                affine: Affine::identity(),
                dimension: field.geometry.dimension,
            };
            let how = Interpolation::CubicSpline;
            target_registration_errors(&found, &found, Some(field), &world, how).unwrap()[0]
        };
        let data = Array4::from_elem((3, 5, 4, 6), 4.0);
        let geometry = Geometry::new([5, 4, 6], Dimension::Three, Affine::identity());
        let volume = DisplacementField { data, geometry };
        for rounded in [[-2e-16, 1.0, 2.0], [1.5, 3.0 + 4e-15, 5.0 + 5e-7]] {
            assert!((moved(rounded, &volume) - 48.0_f64.sqrt()).abs() < 1e-9);
        }
        assert_eq!(moved([-2e-5, 1.0, 2.0], &volume), 0.0);
        // A slice has one layer, wherever its landmarks lie along the normal.
        let data = Array4::from_elem((2, 5, 4, 1), 4.0);
        let geometry = Geometry::new([5, 4, 1], Dimension::Two, Affine::identity());
        let slice = DisplacementField { data, geometry };
        assert!((moved([2.0, 2.0, 7.0], &slice) - 32.0_f64.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn slices_have_no_distance_along_their_normal() {
        // A plane of x and z with voxels of 2 and 3 mm, whose third axis leans.
        let axes = Matrix3::new(2.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 3.0, 1.0);
        let affine = Affine::from_parts(axes, Vector3::zeros());
        let apart = Vector3::new(3.0, 50.0, -4.0);
        let length = |dimension| LandmarkWorld { affine, dimension }.distance(apart);
        // sqrt(3^2 + 4^2) within the plane; sqrt(3^2 + 50^2 + 4^2) in space.
        assert!((length(Dimension::Two) - 5.0).abs() < 1e-12);
        assert!((length(Dimension::Three) - 2525.0_f64.sqrt()).abs() < 1e-12);
    }
}
