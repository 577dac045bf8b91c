//! Transforms as maps of the world, and moving images, labels and points through them.
//!
//! A transform of a registration maps a place of the reference (fixed) space to the place of the moving image whose
//! value belongs there. So images and labels are pulled *through* it onto the reference grid, while a point moves
//! *along* it: `forward` carries landmarks of the fixed image to the moving one, `inverse` those of the moving image
//! to the fixed one.

mod compose;
mod inverse;
mod pull;

pub use compose::{compose, inverted, matrix_of};
pub use inverse::{InverseField, Residual, check_inverses};
pub use pull::{Mover, pull_image, pull_labels};

use std::sync::Arc;

use nalgebra::{Matrix4, Vector3};

use super::field::Sampler;
use crate::error::{Error, Result};
use crate::volume::resample::{place, snapped};
use crate::volume::{Dimension, DisplacementField, Step, WorldPoint};

/// A map from world to world, RAS millimetres.
#[derive(Debug, Clone)]
pub enum Transform {
    Field(Box<FieldTransform>),
    /// A field backwards.
    InverseField(Box<InverseField>),
    /// A matrix for positions as columns.
    Affine(Matrix4<f64>),
}

/// A displacement field with the way to its voxels.
#[derive(Debug, Clone)]
pub struct FieldTransform {
    field: Arc<DisplacementField>,
    to_voxel: Matrix4<f64>,
    beyond: Beyond,
}

/// How places outside a field's grid move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beyond {
    /// As the nearest place of the edge: fields of registrations contain their affine.
    Edge,
    /// Not at all, as for ITK.
    Still,
}

impl Transform {
    /// The field of a registration, whose edge holds outside its grid.
    ///
    /// # Errors
    /// A field whose affine has no inverse.
    pub fn field(field: impl Into<Arc<DisplacementField>>) -> Result<Self> {
        Self::with(field.into(), Beyond::Edge)
    }

    /// What a file of any program holds; outside the grid of a field nothing moves, as for ITK.
    ///
    /// # Errors
    /// As [`Transform::field`].
    pub fn of(step: Step) -> Result<Self> {
        match step {
            Step::Affine { affine, .. } => Ok(Self::Affine(affine.0)),
            Step::Field(field) => Self::with(field.into(), Beyond::Still),
        }
    }

    fn with(field: Arc<DisplacementField>, beyond: Beyond) -> Result<Self> {
        let to_voxel = field.geometry.to_voxel()?;
        Ok(Self::Field(Box::new(FieldTransform {
            field,
            to_voxel,
            beyond,
        })))
    }

    /// Where a place goes.
    pub fn map(&self, point: WorldPoint) -> WorldPoint {
        match self {
            Self::Affine(matrix) => WorldPoint(place(matrix, point.0)),
            Self::InverseField(inverse) => inverse.map(point),
            Self::Field(transform) => {
                let u = transform.displacement(place(&transform.to_voxel, point.0));
                WorldPoint(point.0 + transform.field.geometry.affine.linear() * u)
            }
        }
    }
}

impl FieldTransform {
    pub fn field(&self) -> &DisplacementField {
        &self.field
    }

    /// At a place in voxels of the field; the height over a 2-D field does not count.
    fn displacement(&self, voxel: Vector3<f64>) -> Vector3<f64> {
        match self.is_still(voxel) {
            true => Vector3::zeros(),
            false => self.continued(voxel),
        }
    }

    /// Whether a place lies where nothing moves.
    fn is_still(&self, voxel: Vector3<f64>) -> bool {
        self.beyond == Beyond::Still && !self.holds(voxel)
    }

    /// As [`Self::displacement`], outside the grid that of the edge in any case.
    fn continued(&self, mut voxel: Vector3<f64>) -> Vector3<f64> {
        if self.field.geometry.dimension == Dimension::Two {
            voxel.z = 0.0;
        }
        Sampler::new(&self.field).at(voxel)
    }

    /// Whether a place lies within the voxels of the grid, half a voxel beyond their outermost centres.
    fn holds(&self, voxel: Vector3<f64>) -> bool {
        let geometry = &self.field.geometry;
        (0..geometry.dimension.axes()).all(|axis| {
            let at = snapped(voxel[axis] + 0.5);
            at >= 0.0 && at < geometry.shape[axis] as f64
        })
    }
}

/// Refuses fields of 2-D images for volumes: they know nothing of the third axis.
fn check_dimension(transforms: &[Transform], dimension: Dimension) -> Result<()> {
    let is_flat = |transform: &Transform| {
        let field = match transform {
            Transform::Field(field) => &field.field,
            Transform::InverseField(inverse) => &inverse.forward().field,
            Transform::Affine(_) => return false,
        };
        field.geometry.dimension == Dimension::Two
    };
    if dimension == Dimension::Three && transforms.iter().any(is_flat) {
        return Err(Error::invalid(
            "the displacement field is 2-D, the reference 3-D; both must have the same dimension",
        ));
    }
    Ok(())
}

/// The way of a place through several transforms, in the order given.
pub fn map_point(transforms: &[Transform], point: WorldPoint) -> WorldPoint {
    transforms
        .iter()
        .fold(point, |point, transform| transform.map(point))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Affine, Geometry};

    #[test]
    fn outside_their_grid_only_fields_of_registrations_move() {
        // Voxels of 2 mm with centres at 0, 2 .. 8 mm: their box goes from -1 to 9 mm.
        for (dimension, depth) in [(Dimension::Two, 1), (Dimension::Three, 5)] {
            let affine = Affine::from_spacing([2.0; 3]);
            let geometry = Geometry::new([5, 5, depth], dimension, affine);
            let values = vec![1.5; dimension.axes() * geometry.voxels()];
            let field = DisplacementField::from_values(values, geometry);
            let foreign = Transform::of(Step::Field(field.clone())).unwrap();
            let own = Transform::field(field).unwrap();
            for (x, inside) in [(-1.1, false), (-0.9, true), (8.9, true), (9.1, false)] {
                let start = WorldPoint(Vector3::new(x, 4.0, 0.0));
                let moved = |transform: &Transform| transform.map(start).0.x - x;
                let expected = if inside { 3.0 } else { 0.0 };
                assert!(
                    (moved(&foreign) - expected).abs() < 1e-6,
                    "{dimension:?} {x}"
                );
                assert!((moved(&own) - 3.0).abs() < 1e-6, "{dimension:?} {x}");
            }
            // Backwards as well, where no place inside ends up there.
            let back = inverted(&[foreign, own]).unwrap();
            for (x, expected) in [(6.0, [-3.0, -3.0]), (20.0, [0.0, -3.0])] {
                let start = WorldPoint(Vector3::new(x, 4.0, 0.0));
                // The last comes first.
                let moved = [1, 0].map(|n: usize| back[n].map(start).0.x - x);
                for (found, expected) in moved.iter().zip(expected) {
                    assert!(
                        (found - expected).abs() < 1e-3,
                        "{dimension:?} {x}: {moved:?}"
                    );
                }
            }
        }
    }
}
