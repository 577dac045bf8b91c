//! Images and labels through transforms onto a reference grid.

use nalgebra::{Matrix4, Vector3};
use rayon::prelude::*;

use super::{Transform, check_dimension, check_inverses, map_point, matrix_of};
use crate::error::{Error, Result};
use crate::volume::resample::{
    Interpolation, LabelInterpolation, Outside, image_at, labels_at, place,
};
use crate::volume::{Affine, Dimension, Geometry, Image, LabelMap, VoxelPoint};

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
    Mover::new(&image.geometry, 1, reference, transforms)?.moved(image, interpolation, outside)
}

/// Brings images of one grid onto a reference.
pub struct Mover<'a> {
    reference: &'a Geometry,
    path: Path<'a>,
    /// Where several images ask for the same places, which take long to find through fields.
    places: Option<Places>,
}

impl<'a> Mover<'a> {
    /// For `images` images on the grid `from`.
    ///
    /// # Errors
    /// As [`pull_image`], but for splines.
    pub fn new(
        from: &Geometry,
        images: usize,
        reference: &'a Geometry,
        transforms: &'a [Transform],
    ) -> Result<Self> {
        let path = Path::new(from, reference, transforms)?;
        let places = match path.way {
            Way::Chain { .. } if images > 1 => {
                let places = Places::find(&path, reference.shape);
                check_inverses(transforms)?;
                Some(places)
            }
            Way::Chain { .. } | Way::Matrix(_) => None,
        };
        Ok(Self {
            reference,
            path,
            places,
        })
    }

    /// As [`pull_image`].
    ///
    /// # Errors
    /// An inverse of a field that was not found, splines through voxels that are not finite.
    pub fn moved(
        &self,
        image: &Image,
        interpolation: Interpolation,
        outside: Outside,
    ) -> Result<Image> {
        if let Some(places) = &self.places {
            let position = |voxel| places.at(voxel);
            return image_at(image, self.reference, position, interpolation, outside);
        }
        let position = |voxel| self.path.position(voxel);
        let moved = image_at(image, self.reference, position, interpolation, outside)?;
        self.path.check_inverses()?;
        Ok(moved)
    }
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
    path.check_inverses()?;
    Ok(moved)
}

/// From voxels of a reference to voxels of an image.
struct Path<'a> {
    way: Way<'a>,
    dimension: Dimension,
}

enum Way<'a> {
    /// Through transforms that are all affine.
    Matrix(Matrix4<f64>),
    Chain {
        reference: &'a Affine,
        transforms: &'a [Transform],
        to_voxel: Matrix4<f64>,
    },
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
        let to_voxel = image.to_voxel()?;
        let way = match matrix_of(transforms) {
            Some(matrix) => Way::Matrix(to_voxel * matrix * reference.affine.0),
            None => Way::Chain {
                reference: &reference.affine,
                transforms,
                to_voxel,
            },
        };
        let path = Self {
            way,
            dimension: image.dimension,
        };
        match image.dimension {
            Dimension::Two => path.check_planes(image, reference.shape)?,
            Dimension::Three => {}
        }
        Ok(path)
    }

    /// # Errors
    /// Those of [`check_inverses`].
    fn check_inverses(&self) -> Result<()> {
        match self.way {
            Way::Matrix(_) => Ok(()),
            Way::Chain { transforms, .. } => check_inverses(transforms).map(drop),
        }
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
        match &self.way {
            Way::Matrix(matrix) => place(matrix, voxel),
            Way::Chain {
                reference,
                transforms,
                to_voxel,
            } => {
                let start = reference.to_world(VoxelPoint(voxel));
                place(to_voxel, map_point(transforms, start).0)
            }
        }
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
    fn several_images_look_for_their_places_once_and_are_moved_as_one_by_one() {
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
            let (linear, outside) = (Interpolation::Linear, Outside::Value(-1.0));
            let mover = Mover::new(&grid, 3, &grid, &back).unwrap();
            let moved = [1, 2, 3].map(|n| mover.moved(&volume(n), linear, outside).unwrap());
            // Of 2-D images three places more show that their planes are parallel.
            let corners = if dimension == Dimension::Two { 3 } else { 0 };
            match &back[..] {
                [Transform::InverseField(inverse)] => {
                    assert_eq!(inverse.places(), (grid.voxels() + corners) as u64);
                }
                _ => unreachable!("there is one field, and it was inverted"),
            }
            for (n, moved) in moved.iter().enumerate() {
                let alone = pull_image(&volume(n + 1), &grid, &back, linear, outside).unwrap();
                assert_eq!(moved, &alone, "{dimension:?} {n}");
            }
        }
    }

    #[test]
    fn affines_one_after_the_other_are_one_matrix() {
        let (grid, _) = case(Dimension::Three);
        let shift =
            |x: f64| Transform::Affine(Matrix4::new_translation(&Vector3::new(x, 0.0, 3.0)));
        let twice = Transform::Affine(Matrix4::new_scaling(2.0));
        let chain = [shift(1.0), twice, shift(-4.0)];
        let path = Path::new(&grid, &grid, &chain).unwrap();
        assert!(matches!(path.way, Way::Matrix(_)));
        // Voxels of 1, 2 and 1.5 mm: (3, 2, 3) lies at (3, 4, 4.5), goes to 2 (4, 4, 7.5) and then to (4, 8, 18).
        let found = path.position(Vector3::new(3.0, 2.0, 3.0));
        assert!(
            (found - Vector3::new(4.0, 4.0, 12.0)).amax() < 1e-12,
            "{found}"
        );
    }
}
