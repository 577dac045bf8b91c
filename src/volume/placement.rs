//! Where ITK says that an image lies: direction cosines, spacing and origin in LPS millimetres.

use nalgebra::{DMatrix, DVector, Matrix3, Vector3};

use super::{Affine, Dimension, Geometry};

/// `LPS = directions * diag(spacing) * index + origin`, the form of MetaImage, NRRD and ITK's transforms.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placement {
    /// Columns: the directions of the voxel axes.
    pub directions: DMatrix<f64>,
    pub spacing: Vec<f64>,
    pub origin: DVector<f64>,
}

impl Placement {
    /// Of a grid with two axes when [`is_planar`], else with three.
    pub fn of(geometry: &Geometry) -> Self {
        let axes = if is_planar(geometry) { 2 } else { 3 };
        let linear = flip() * geometry.affine.linear();
        let origin = flip() * geometry.affine.translation();
        let spacing = geometry.spacing();
        Self {
            directions: DMatrix::from_fn(axes, axes, |row, axis| {
                linear[(row, axis)] / spacing[axis]
            }),
            spacing: spacing[..axes].to_vec(),
            origin: DVector::from_fn(axes, |row, _| origin[row]),
        }
    }

    /// Of two axes the plane is the world's x-y plane at height 0, a voxel 1 mm high.
    ///
    /// # Errors
    /// Spacings that are not above 0, or directions that do not span the world; the text completes "the ...".
    pub fn affine(&self) -> Result<Affine, String> {
        if let Some(size) = self
            .spacing
            .iter()
            .find(|size| !(**size > 0.0 && size.is_finite()))
        {
            return Err(format!("voxel size is {size}; expected mm above 0"));
        }
        let axes = self.spacing.len().min(3);
        let mut linear = Matrix3::identity();
        let mut origin = Vector3::zeros();
        for row in 0..axes {
            for axis in 0..axes {
                linear[(row, axis)] = self.directions[(row, axis)] * self.spacing[axis];
            }
            origin[row] = self.origin[row];
        }
        let affine = Affine::from_parts(flip() * linear, flip() * origin);
        Affine::checked(affine.0).map_err(|problem| format!("placement {problem}"))
    }
}

/// Whether a grid is one of ITK's 2-D images: a slice in the world's x-y plane at height 0.
///
/// Any other slice keeps its place only as a volume of one slice.
pub(crate) fn is_planar(geometry: &Geometry) -> bool {
    let affine = &geometry.affine;
    geometry.dimension == Dimension::Two
        && in_axial_plane(affine)
        && affine.translation().z.abs() <= 1e-6
}

/// Whether the first two voxel axes stay at one height in the world.
pub(crate) fn in_axial_plane(affine: &Affine) -> bool {
    let linear = affine.linear();
    let spacing = affine.spacing();
    (0..2).all(|axis| linear[(2, axis)].abs() <= 1e-6 * spacing[axis])
}

/// LPS to RAS, and back.
pub(crate) fn flip() -> Matrix3<f64> {
    Matrix3::from_diagonal(&Vector3::new(-1.0, -1.0, 1.0))
}
