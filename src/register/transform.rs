//! Transforms as maps of the world, and moving images, labels and points through them.
//!
//! A transform of a registration maps a place of the reference (fixed) space to the place of the moving image whose
//! value belongs there. So images and labels are pulled *through* it onto the reference grid, while a point moves
//! *along* it: `forward` carries landmarks of the fixed image to the moving one, `inverse` those of the moving image
//! to the fixed one.

use std::sync::Arc;

use nalgebra::{Matrix4, Vector3};

use super::field::Sampler;
use crate::error::{Error, Result};
use crate::volume::resample::{Interpolation, Outside, image_at, labels_at, place};
use crate::volume::{
    Affine, Dimension, DisplacementField, Geometry, Image, LabelMap, VoxelPoint, WorldPoint,
};

/// A map from world to world, RAS millimetres.
#[derive(Debug, Clone)]
pub enum Transform {
    Field(Box<FieldTransform>),
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
        let to_voxel = to_voxel(&field.geometry)?;
        Ok(Self::Field(Box::new(FieldTransform { field, to_voxel })))
    }

    /// Where a place goes.
    pub fn map(&self, point: WorldPoint) -> WorldPoint {
        match self {
            Self::Affine(matrix) => WorldPoint(place(matrix, point.0)),
            Self::Field(transform) => {
                let FieldTransform { field, to_voxel } = transform.as_ref();
                let mut voxel = place(to_voxel, point.0);
                if field.geometry.dimension == Dimension::Two {
                    voxel.z = 0.0;
                }
                let u = Sampler::new(field).at(voxel);
                WorldPoint(point.0 + field.geometry.affine.linear() * u)
            }
        }
    }
}

/// The way of a place through several transforms, in the order given.
pub fn map_point(transforms: &[Transform], point: WorldPoint) -> WorldPoint {
    transforms
        .iter()
        .fold(point, |point, transform| transform.map(point))
}

/// The image on the grid `reference`: each voxel takes the value that the transforms, in the order given, lead to.
///
/// # Errors
/// 2-D images in planes that are not parallel, a 2-D image for a 3-D reference or the reverse.
pub fn pull_image(
    image: &Image,
    reference: &Geometry,
    transforms: &[Transform],
    interpolation: Interpolation,
    outside: Outside,
) -> Result<Image> {
    let path = Path::new(&image.geometry, reference, transforms)?;
    Ok(image_at(
        image,
        reference,
        |voxel| path.position(voxel),
        interpolation,
        outside,
    ))
}

/// As [`pull_image`], by the nearest voxel, 0 outside.
///
/// # Errors
/// As [`pull_image`].
pub fn pull_labels(
    labels: &LabelMap,
    reference: &Geometry,
    transforms: &[Transform],
) -> Result<LabelMap> {
    let path = Path::new(&labels.geometry, reference, transforms)?;
    Ok(labels_at(labels, reference, |voxel| path.position(voxel)))
}

/// From voxels of a reference to voxels of an image.
struct Path<'a> {
    reference: &'a Affine,
    transforms: &'a [Transform],
    to_voxel: Matrix4<f64>,
    dimension: Dimension,
}

impl<'a> Path<'a> {
    fn new(image: &Geometry, reference: &'a Geometry, transforms: &'a [Transform]) -> Result<Self> {
        if image.dimension != reference.dimension {
            return Err(Error::invalid(format!(
                "the image is {}-D, the reference {}-D; both must have the same dimension",
                image.dimension.axes(),
                reference.dimension.axes()
            )));
        }
        let path = Self {
            reference: &reference.affine,
            transforms,
            to_voxel: to_voxel(image)?,
            dimension: image.dimension,
        };
        match image.dimension {
            Dimension::Two => path.check_planes(image, reference.shape)?,
            Dimension::Three => {}
        }
        Ok(path)
    }

    /// The reference's plane must not cross the image's; 0.01 is a slope of about half a degree.
    fn check_planes(&self, image: &Geometry, shape: [usize; 3]) -> Result<()> {
        let ends = [[0, 0], [shape[0] - 1, 0], [0, shape[1] - 1]];
        let [origin, along_i, along_j] =
            ends.map(|[i, j]| self.through(Vector3::new(i as f64, j as f64, 0.0)));
        let spacing = Vector3::from(image.spacing());
        for end in [along_i, along_j] {
            let step = (end - origin).component_mul(&spacing);
            if step.z.abs() > 0.01 * step.xy().norm().max(spacing.x) {
                return Err(Error::invalid(
                    "the two 2-D images lie in planes that are not parallel; check their headers",
                ));
            }
        }
        Ok(())
    }

    fn through(&self, voxel: Vector3<f64>) -> Vector3<f64> {
        let start = self.reference.to_world(VoxelPoint(voxel));
        place(&self.to_voxel, map_point(self.transforms, start).0)
    }

    fn position(&self, voxel: Vector3<f64>) -> Vector3<f64> {
        let mut position = self.through(voxel);
        if self.dimension == Dimension::Two {
            // Neither slice has a thickness: where they lie along their normal does not count.
            position.z = 0.0;
        }
        position
    }
}

/// From the world to the voxels of a grid.
pub(super) fn to_voxel(grid: &Geometry) -> Result<Matrix4<f64>> {
    let inverse = grid.affine.inverse();
    inverse.ok_or_else(|| Error::invalid("the affine of an image is singular"))
}
