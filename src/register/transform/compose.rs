//! Several transforms as one, backwards, and what they do to volumes.

use nalgebra::Matrix4;

use super::{FieldTransform, InverseField, Transform, check_dimension, check_inverses, map_point};
use crate::error::{Error, Result};
use crate::register::field::from_function;
use crate::volume::resample::place;
use crate::volume::{DisplacementField, Geometry, VoxelPoint};

/// The transforms, followed in the order given, as one displacement field on a grid.
///
/// On a 2-D grid only displacements along its plane count.
///
/// # Errors
/// A grid whose affine has no inverse, a 2-D field on a 3-D grid, an inverse of a field that was not found.
pub fn compose(transforms: &[Transform], grid: &Geometry) -> Result<DisplacementField> {
    check_dimension(transforms, grid.dimension)?;
    let to_voxel = grid.to_voxel()?;
    let field = if let Some(matrix) = matrix_of(transforms) {
        // The linear part on its own, so that the identity gives zeros and not differences of positions.
        let mut linear = to_voxel * matrix * grid.affine.0 - Matrix4::identity();
        linear[(3, 3)] = 1.0;
        from_function(grid, |voxel| place(&linear, voxel))
    } else {
        from_function(grid, |voxel| {
            let end = map_point(transforms, grid.affine.to_world(VoxelPoint(voxel)));
            place(&to_voxel, end.0) - voxel
        })
    };
    check_inverses(transforms)?;
    Ok(field)
}

/// The one matrix of transforms that are all affine.
pub fn matrix_of(transforms: &[Transform]) -> Option<Matrix4<f64>> {
    let mut all = Matrix4::identity();
    for transform in transforms {
        match transform {
            Transform::Affine(matrix) => all = matrix * all,
            Transform::Field(_) | Transform::InverseField(_) => return None,
        }
    }
    Some(all)
}

/// The way back: the inverse of each transform, the last one first.
///
/// # Errors
/// A matrix without inverse. Whether a field has one shows when it is used ([`check_inverses`]).
pub fn inverted(transforms: &[Transform]) -> Result<Vec<Transform>> {
    let one = |transform: &Transform| {
        Ok(match transform {
            Transform::Affine(matrix) => {
                Transform::Affine(matrix.try_inverse().ok_or_else(|| {
                    Error::invalid("an affine among the transforms is singular: it has no inverse")
                })?)
            }
            Transform::Field(forward) => {
                let forward: FieldTransform = forward.as_ref().clone();
                Transform::InverseField(Box::new(InverseField::new(forward)))
            }
            Transform::InverseField(inverse) => {
                Transform::Field(Box::new(inverse.forward().clone()))
            }
        })
    };
    transforms.iter().rev().map(one).collect()
}
