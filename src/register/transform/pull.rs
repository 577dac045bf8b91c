//! Images and labels through transforms onto a reference grid.

use nalgebra::{Matrix4, Vector3};
use rayon::prelude::*;

use super::{Transform, check_dimension, check_inverses, map_point, matrix_of};
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
    series: Series,
    reference: &Geometry,
    transforms: &[Transform],
    interpolation: Interpolation,
    fill: Fill,
) -> Result<Series> {
    if series.volumes.len() == 1 || matrix_of(transforms).is_some() {
        return each(series, |image| {
            let outside = fill.outside(image);
            pull_image(image, reference, transforms, interpolation, outside)
        });
    }
    // All volumes ask for the same places, which take long to find through fields.
    let path = Path::new(series.geometry(), reference, transforms)?;
    let places = Places::find(&path, reference.shape);
    check_inverses(transforms)?;
    each(series, |image| {
        let outside = fill.outside(image);
        let position = |voxel| places.at(voxel);
        image_at(image, reference, position, interpolation, outside)
    })
}

/// Moves the volumes one by one; each is dropped when it has been moved.
fn each(series: Series, pull: impl Fn(&Image) -> Result<Image>) -> Result<Series> {
    let volumes = series.volumes.into_iter();
    Ok(Series {
        volumes: volumes.map(|image| pull(&image)).collect::<Result<_>>()?,
        kind: series.kind,
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

    /// The reference's plane must not cross the image's.
    fn check_planes(&self, image: &Geometry, shape: [usize; 3]) -> Result<()> {
        let ends = [[0, 0], [shape[0] - 1, 0], [0, shape[1] - 1]];
        let [origin, along_i, along_j] =
            ends.map(|[i, j]| self.through(Vector3::new(i as f64, j as f64, 0.0)));
        if image.keeps_to_plane(along_i - origin) && image.keeps_to_plane(along_j - origin) {
            return Ok(());
        }
        Err(Error::invalid(
            "the two 2-D images lie in planes that are not parallel; check their headers",
        ))
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

/// Where every voxel of a reference leads to, for several images on one grid.
struct Places {
    shape: [usize; 3],
    axes: usize,
    /// A position in voxels for each voxel, the last axis fastest; `axes` numbers each, since the third is 0 in 2-D.
    positions: Vec<f64>,
}

impl Places {
    fn find(path: &Path, shape: [usize; 3]) -> Self {
        let axes = path.dimension.axes();
        let [_, nj, nk] = shape;
        let mut positions = vec![0.0; shape.iter().product::<usize>() * axes];
        let rows = positions.par_chunks_mut(nk * axes).enumerate();
        rows.for_each(|(row, out)| {
            let (i, j) = ((row / nj) as f64, (row % nj) as f64);
            for (k, out) in out.chunks_exact_mut(axes).enumerate() {
                let position = path.position(Vector3::new(i, j, k as f64));
                out.copy_from_slice(&position.as_slice()[..axes]);
            }
        });
        Self {
            shape,
            axes,
            positions,
        }
    }

    /// `voxel` is the centre of one.
    fn at(&self, voxel: Vector3<f64>) -> Vector3<f64> {
        let [i, j, k] = voxel.map(|v| v as usize).into();
        let [_, nj, nk] = self.shape;
        let start = ((i * nj + j) * nk + k) * self.axes;
        let mut position = Vector3::zeros();
        position.as_mut_slice()[..self.axes]
            .copy_from_slice(&self.positions[start..start + self.axes]);
        position
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register::field::from_function;
    use crate::register::inverted;
    use crate::volume::SeriesKind;
    use ndarray::Array3;

    /// A grid, and the inverse of waves on it.
    fn case(dimension: Dimension) -> (Geometry, Vec<Transform>) {
        let shape = [12, 10, if dimension == Dimension::Two { 1 } else { 8 }];
        let grid = Geometry::new(shape, dimension, Affine::from_spacing([1.0, 2.0, 1.5]));
        let waves = from_function(&grid, |x| {
            Vector3::new((0.5 * x.y).sin(), (0.4 * x.x).cos(), 0.3 * x.x.sin())
        });
        let waves = Transform::field(waves).unwrap();
        (grid, inverted(&[waves]).unwrap())
    }

    #[test]
    fn a_series_looks_for_its_places_once_and_is_moved_as_its_volumes() {
        for dimension in [Dimension::Two, Dimension::Three] {
            let (grid, back) = case(dimension);
            let volume = |n: usize| {
                let value = |(i, j, k)| ((7 * i + 3 * j + 5 * k) * n % 17) as f32;
                let data = Array3::from_shape_fn(grid.shape, value);
                Image {
                    data,
                    geometry: grid.clone(),
                }
            };
            let series = Series {
                volumes: (1..4).map(volume).collect(),
                kind: SeriesKind::Frames {
                    sizes: vec![3],
                    seconds: None,
                },
            };
            let kind = series.kind.clone();
            let (linear, fill) = (Interpolation::Linear, Fill::Value(-1.0));
            let moved = pull_series(series, &grid, &back, linear, fill).unwrap();
            // Of 2-D images three places more show that their planes are parallel.
            let corners = if dimension == Dimension::Two { 3 } else { 0 };
            match &back[..] {
                [Transform::InverseField(inverse)] => {
                    assert_eq!(inverse.places(), (grid.voxels() + corners) as u64);
                }
                _ => unreachable!("there is one field, and it was inverted"),
            }
            assert_eq!((moved.volumes.len(), &moved.kind), (3, &kind));
            for (n, moved) in moved.volumes.iter().enumerate() {
                let outside = Outside::Value(-1.0);
                let alone = pull_image(&volume(n + 1), &grid, &back, linear, outside).unwrap();
                assert_eq!(moved, &alone, "{dimension:?} {n}");
            }
        }
    }
}
