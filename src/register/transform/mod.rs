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
pub use pull::{pull_image, pull_labels, pull_series};

use std::sync::Arc;

use nalgebra::{Matrix4, Vector3};

use super::field::Sampler;
use crate::error::{Error, Result};
use crate::volume::resample::place;
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

/// A displacement field with the way to its voxels; outside its grid the edge's displacement holds.
#[derive(Debug, Clone)]
pub struct FieldTransform {
    field: Arc<DisplacementField>,
    to_voxel: Matrix4<f64>,
}

impl Transform {
    /// # Errors
    /// A field whose affine has no inverse.
    pub fn field(field: impl Into<Arc<DisplacementField>>) -> Result<Self> {
        let field = field.into();
        let to_voxel = field.geometry.to_voxel()?;
        Ok(Self::Field(Box::new(FieldTransform { field, to_voxel })))
    }

    /// What a file holds.
    ///
    /// # Errors
    /// As [`Transform::field`].
    pub fn of(step: Step) -> Result<Self> {
        match step {
            Step::Affine { affine, .. } => Ok(Self::Affine(affine.0)),
            Step::Field(field) => Self::field(field),
        }
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
    fn displacement(&self, mut voxel: Vector3<f64>) -> Vector3<f64> {
        if self.field.geometry.dimension == Dimension::Two {
            voxel.z = 0.0;
        }
        Sampler::new(&self.field).at(voxel)
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
