//! How far a forward and an inverse transform are from undoing each other.

use super::labels::same_shape;
use super::sample::{inside, linear};
use crate::error::Result;
use crate::volume::DisplacementField;
use nalgebra::Vector3;
use ndarray::Axis;

/// Inverse-consistency error of a pair of transforms (Christensen & Johnson, IEEE TMI 2001).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InverseConsistency {
    pub mean_voxels: f64,
    pub mean_mm: f64,
    pub max_voxels: f64,
    pub max_mm: f64,
    /// Voxels counted: those that the forward transform maps into the grid.
    pub voxels: usize,
}

/// `|u(x) + v(x + u(x))|` over the voxels `x` that `x + u(x)` keeps inside the grid, `u` forward (on
/// the fixed grid), `v` inverse (on the moving grid), linear interpolation.
///
/// In millimetres by the forward field's affine. All `NaN` when no voxel stays inside or a
/// displacement is not finite.
///
/// # Errors
/// The two fields differ in shape.
pub fn inverse_consistency(
    forward: &DisplacementField,
    inverse: &DisplacementField,
) -> Result<InverseConsistency> {
    same_shape(
        "forward and inverse field",
        forward.data.shape(),
        inverse.data.shape(),
    )?;
    let to_mm = forward.geometry.affine.linear();
    let shape = &forward.data.shape()[1..];
    let mut sums = Sums::default();
    for ((i, j, k), _) in forward.data.index_axis(Axis(0), 0).indexed_iter() {
        let u = vector(forward, |component| f64::from(component[[i, j, k]]));
        let there = Vector3::new(i as f64, j as f64, k as f64) + u;
        let finite = u.iter().all(|x| x.is_finite());
        if finite && !inside(there.into(), shape) {
            continue;
        }
        let back = vector(inverse, |component| linear(component, there.into()));
        sums.add(u + back, to_mm * (u + back));
    }
    Ok(sums.result())
}

fn vector(
    field: &DisplacementField,
    value: impl Fn(ndarray::ArrayView3<f32>) -> f64,
) -> Vector3<f64> {
    let mut out = Vector3::zeros();
    for (c, component) in field.data.axis_iter(Axis(0)).enumerate() {
        out[c] = value(component);
    }
    out
}

#[derive(Default)]
struct Sums {
    voxels: usize,
    sum: [f64; 2],
    max: [f64; 2],
}

impl Sums {
    fn add(&mut self, voxels: Vector3<f64>, mm: Vector3<f64>) {
        self.voxels += 1;
        for (which, length) in [voxels.norm(), mm.norm()].into_iter().enumerate() {
            self.sum[which] += length;
            self.max[which] = self.max[which].max(length);
        }
    }

    fn result(&self) -> InverseConsistency {
        let n = self.voxels as f64;
        // `max` passes over `NaN`; the sum keeps it.
        let known = |which: usize| {
            if (self.sum[which] / n).is_nan() {
                f64::NAN
            } else {
                self.max[which]
            }
        };
        InverseConsistency {
            mean_voxels: self.sum[0] / n,
            mean_mm: self.sum[1] / n,
            max_voxels: known(0),
            max_mm: known(1),
            voxels: self.voxels,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Affine, Dimension, Geometry};
    use ndarray::Array4;

    fn constant(u: [f32; 2]) -> DisplacementField {
        let affine = Affine::from_spacing([0.5, 2.0, 1.0]);
        DisplacementField {
            data: Array4::from_shape_fn((2, 6, 5, 1), |(c, ..)| u[c]),
            geometry: Geometry::new([6, 5, 1], Dimension::Two, affine),
        }
    }

    #[test]
    fn of_shifts_is_their_sum() {
        let found = inverse_consistency(&constant([2.0, 0.0]), &constant([-1.0, 0.5])).unwrap();
        // By hand: (1, 0.5) voxels = (0.5, 1) mm; four of six rows stay inside.
        assert!((found.mean_voxels - 1.25_f64.sqrt()).abs() < 1e-12);
        assert!((found.mean_mm - 1.25_f64.sqrt()).abs() < 1e-12);
        assert_eq!(found.voxels, 20);
        let exact = inverse_consistency(&constant([2.0, 0.0]), &constant([-2.0, 0.0])).unwrap();
        assert_eq!((exact.mean_mm, exact.max_voxels), (0.0, 0.0));
    }

    #[test]
    fn nothing_inside_and_unknown_displacements_give_nan() {
        let away = inverse_consistency(&constant([9.0, 0.0]), &constant([-9.0, 0.0])).unwrap();
        assert!(away.mean_mm.is_nan() && away.voxels == 0);
        let mut unknown = constant([0.0, 0.0]);
        unknown.data[[1, 2, 2, 0]] = f32::NAN;
        for (u, v) in [
            (&unknown, &constant([0.0; 2])),
            (&constant([0.0; 2]), &unknown),
        ] {
            let found = inverse_consistency(u, v).unwrap();
            assert!(found.mean_voxels.is_nan() && found.max_mm.is_nan());
        }
    }
}
