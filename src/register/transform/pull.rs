//! Images and labels through transforms onto a reference grid.

use nalgebra::{Matrix4, Vector3};

use super::{Transform, check_dimension, check_inverses, map_point};
use crate::error::{Error, Result};
use crate::register::Fill;
use crate::volume::resample::{
    Interpolation, LabelInterpolation, Outside, image_at, labels_at, place,
};
use crate::volume::{Affine, Dimension, Geometry, Image, LabelMap, Series, VoxelPoint};

/// The image on the grid `reference`: each voxel takes the value that the transforms, in the order given, lead to.
///
/// # Errors
/// 2-D images in planes that are not parallel, a 2-D image or field for a 3-D reference or the reverse, an inverse of a field
/// that was not found, splines through voxels that are not finite.
pub fn pull_image(
    image: &Image,
    reference: &Geometry,
    transforms: &[Transform],
    interpolation: Interpolation,
    outside: Outside,
) -> Result<Image> {
    let path = Path::new(&image.geometry, reference, transforms)?;
    let position = |voxel| path.position(voxel);
    let moved = image_at(image, reference, position, interpolation, outside)?;
    check_inverses(transforms)?;
    Ok(moved)
}

/// Every volume as [`pull_image`] does it, each with its own value outside.
///
/// # Errors
/// As [`pull_image`].
pub fn pull_series(
    series: &Series,
    reference: &Geometry,
    transforms: &[Transform],
    interpolation: Interpolation,
    fill: Fill,
) -> Result<Series> {
    let pull = |image: &Image| {
        pull_image(
            image,
            reference,
            transforms,
            interpolation,
            fill.outside(image),
        )
    };
    Ok(Series {
        volumes: series.volumes.iter().map(pull).collect::<Result<_>>()?,
        kind: series.kind.clone(),
    })
}

/// As [`pull_image`] for labels, 0 outside.
///
/// # Errors
/// As [`pull_image`].
pub fn pull_labels(
    labels: &LabelMap,
    reference: &Geometry,
    transforms: &[Transform],
    interpolation: LabelInterpolation,
) -> Result<LabelMap> {
    let path = Path::new(&labels.geometry, reference, transforms)?;
    let moved = labels_at(
        labels,
        reference,
        |voxel| path.position(voxel),
        interpolation,
    );
    check_inverses(transforms)?;
    Ok(moved)
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
        check_dimension(transforms, reference.dimension)?;
        let path = Self {
            reference: &reference.affine,
            transforms,
            to_voxel: image.to_voxel()?,
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
