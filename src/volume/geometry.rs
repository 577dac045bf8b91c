//! Where a voxel grid lies in the world.
//!
//! Voxel space and world space are different types, so that an index can never be used as millimetres.
//! World is RAS+ millimetres; array axes are the NIfTI header's `(i, j, k)`, as nibabel shows them.

use nalgebra::{Matrix3, Matrix4, Vector3};

use crate::error::{Error, Result};

/// A position on a voxel grid, `(i, j, k)`; whole numbers are voxel centres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VoxelPoint(pub Vector3<f64>);

/// A position in RAS+ millimetres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WorldPoint(pub Vector3<f64>);

impl WorldPoint {
    /// A point whose numbers are LPS+ millimetres.
    pub fn from_lps(numbers: Vector3<f64>) -> Self {
        Self(Vector3::new(-numbers.x, -numbers.y, numbers.z))
    }

    /// The same point in LPS+ millimetres.
    pub fn lps(self) -> Vector3<f64> {
        Vector3::new(-self.0.x, -self.0.y, self.0.z)
    }
}

/// Maps voxel indices to RAS+ millimetres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine(pub Matrix4<f64>);

/// Whether a grid is a true 2-D image (stored with `k = 1`) or a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Dimension {
    #[serde(rename = "2d")]
    Two,
    #[serde(rename = "3d")]
    Three,
}

impl Dimension {
    /// Number of spatial axes, which is also the number of displacement components.
    pub fn axes(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Three => 3,
        }
    }
}

/// What the world of a grid is, by NIfTI's code: 1 the scanner's, 2 that of another image, 3 Talairach's, 4 MNI's, 5
/// another template's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct World(pub i16);

impl World {
    /// The file states no orientation; where the grid lies is assumed.
    pub const ASSUMED: Self = Self(0);
    /// That of another image, of which nothing more is known.
    pub const ALIGNED: Self = Self(2);
}

/// A voxel grid: its size, whether it is 2-D or 3-D, and where it lies.
#[derive(Debug, Clone)]
pub struct Geometry {
    /// Voxels along `(i, j, k)`; 2-D grids have `k = 1`.
    pub shape: [usize; 3],
    pub dimension: Dimension,
    pub affine: Affine,
    /// For whoever reads results on this grid.
    pub world: World,
}

/// Grids are equal where their voxels lie at the same places, whatever the world is called.
impl PartialEq for Geometry {
    fn eq(&self, other: &Self) -> bool {
        let place = |grid: &Self| (grid.shape, grid.dimension, grid.affine);
        place(self) == place(other)
    }
}

impl Affine {
    /// The identity: voxel `(i, j, k)` lies at `(i, j, k)` mm.
    pub fn identity() -> Self {
        Self(Matrix4::identity())
    }

    /// Axis-aligned RAS grid of the given spacing (mm) with voxel 0 at the origin.
    pub fn from_spacing(spacing: [f64; 3]) -> Self {
        Self(Matrix4::from_diagonal(&nalgebra::Vector4::new(
            spacing[0], spacing[1], spacing[2], 1.0,
        )))
    }

    /// `linear` columns are the world steps of one voxel, `translation` is the world place of voxel 0.
    pub fn from_parts(linear: Matrix3<f64>, translation: Vector3<f64>) -> Self {
        let mut matrix = Matrix4::identity();
        matrix.fixed_view_mut::<3, 3>(0, 0).copy_from(&linear);
        matrix.fixed_view_mut::<3, 1>(0, 3).copy_from(&translation);
        Self(matrix)
    }

    /// Accepts a matrix that places every voxel somewhere else; the error completes "the affine ...".
    pub fn checked(matrix: Matrix4<f64>) -> Result<Self, String> {
        let affine = Self(matrix);
        if matrix.iter().any(|v| !v.is_finite()) {
            return Err("has entries that are not finite numbers; the header is damaged".into());
        }
        if affine.is_singular() {
            let spacing = affine.spacing();
            return Err(format!(
                "is singular (voxel sizes {spacing:?} mm): it does not place voxels in the world"
            ));
        }
        Ok(affine)
    }

    pub fn to_world(&self, voxel: VoxelPoint) -> WorldPoint {
        WorldPoint(self.linear() * voxel.0 + self.translation())
    }

    /// `None` for a singular affine.
    pub fn inverse(&self) -> Option<Matrix4<f64>> {
        self.0.try_inverse()
    }

    /// Upper-left 3x3 block: columns are the world steps of one voxel along each axis.
    pub fn linear(&self) -> Matrix3<f64> {
        self.0.fixed_view::<3, 3>(0, 0).into_owned()
    }

    pub fn translation(&self) -> Vector3<f64> {
        self.0.fixed_view::<3, 1>(0, 3).into_owned()
    }

    /// Voxel sizes in mm along `(i, j, k)`.
    pub fn spacing(&self) -> [f64; 3] {
        let m = self.linear();
        [0, 1, 2].map(|c| m.column(c).norm())
    }

    /// Columns of length 1: the world directions of the voxel axes.
    pub fn directions(&self) -> Matrix3<f64> {
        let mut axes = self.linear();
        for (mut column, size) in axes.column_iter_mut().zip(self.spacing()) {
            column /= size;
        }
        axes
    }

    /// Whether it flattens space, so that there is no way back.
    pub fn is_singular(&self) -> bool {
        let volume: f64 = self.spacing().iter().product();
        // Relative to a box of the same voxel sizes: 1e-6 is an axis pair less than 1e-4 degrees apart.
        let keeps_volume = self.linear().determinant().abs() > 1e-6 * volume;
        // In this form a determinant that is not a number is singular too.
        !keeps_volume
    }

    /// Whether the voxel axes are not perpendicular.
    pub fn is_sheared(&self) -> bool {
        let axes = self.directions();
        // Far above float32 rounding, far below any shear that moves a voxel.
        (axes.transpose() * axes - Matrix3::identity()).amax() > 1e-5
    }
}

impl Geometry {
    pub fn new(shape: [usize; 3], dimension: Dimension, affine: Affine) -> Self {
        Self {
            shape,
            dimension,
            affine,
            world: World::ALIGNED,
        }
    }

    pub fn voxels(&self) -> usize {
        self.shape.iter().product()
    }

    /// From the world to the voxels.
    ///
    /// # Errors
    /// An affine that is singular.
    pub fn to_voxel(&self) -> Result<Matrix4<f64>> {
        let inverse = self.affine.inverse();
        inverse.ok_or_else(|| Error::invalid("the affine of an image is singular"))
    }

    pub fn spacing(&self) -> [f64; 3] {
        self.affine.spacing()
    }

    /// Whether a step in voxels runs along the plane of this 2-D grid; 0.01 is a slope of about half a degree.
    pub fn keeps_to_plane(&self, step: Vector3<f64>) -> bool {
        let step = step.component_mul(&Vector3::from(self.spacing()));
        step.z.abs() <= 0.01 * step.xy().norm()
    }

    /// The axis across the slices: that of the largest voxels, the last of equal ones; of a 2-D grid the third.
    pub fn slice_axis(&self) -> usize {
        let spacing = self.spacing();
        match self.dimension {
            Dimension::Two => 2,
            Dimension::Three => (0..3)
                .max_by(|&a, &b| spacing[a].total_cmp(&spacing[b]))
                .expect("there are three axes"),
        }
    }

    /// The grid of another voxel size (mm) that covers the same box about the same centre; the third of a 2-D grid stays.
    pub fn respaced(&self, spacing: [f64; 3]) -> Self {
        let old = self.spacing();
        let (mut shape, mut linear) = (self.shape, self.affine.linear());
        for axis in 0..self.dimension.axes() {
            let ratio = spacing[axis] / old[axis];
            shape[axis] = ((self.shape[axis] as f64 / ratio).round() as usize).max(1);
            let mut column = linear.column_mut(axis);
            column *= ratio;
        }
        let centre = |shape: [usize; 3]| Vector3::from(shape.map(|n| (n as f64 - 1.0) / 2.0));
        let middle = self.affine.to_world(VoxelPoint(centre(self.shape))).0;
        let affine = Affine::from_parts(linear, middle - linear * centre(shape));
        Self::new(shape, self.dimension, affine)
    }

    /// The grid as tensors see it, `[depth, height, width]`: `(i, j, k)` in 3-D, `(1, i, j)` in 2-D.
    ///
    /// Both orders describe the same row-major memory.
    pub fn tensor_shape(&self) -> [usize; 3] {
        let [i, j, k] = self.shape;
        match self.dimension {
            Dimension::Two => [1, i, j],
            Dimension::Three => [i, j, k],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Voxels of (2, 3, 5) mm, axis j leaning over to i by the tangent `lean`.
    fn leaning(lean: f64) -> Affine {
        let linear = Matrix3::new(2.0, 3.0 * lean, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 5.0);
        Affine::from_parts(linear, Vector3::new(7.0, 8.0, 9.0))
    }

    #[test]
    fn axes_that_lean_are_sheared_and_those_that_fall_together_singular() {
        for (lean, sheared, singular) in [
            (0.0, false, false),
            (1e-6, false, false),
            (1e-4, true, false),
            (1e5, true, false),
            (1e7, true, true),
        ] {
            let affine = leaning(lean);
            assert_eq!(affine.is_sheared(), sheared, "{lean}");
            assert_eq!(affine.is_singular(), singular, "{lean}");
            assert_eq!(Affine::checked(affine.0).is_err(), singular, "{lean}");
        }
        assert!(Affine(Matrix4::zeros()).is_singular());
        assert!(leaning(f64::NAN).is_singular());
    }

    #[test]
    fn steps_keep_to_a_plane_by_their_slope_in_millimetres() {
        let grid = Geometry::new([4, 4, 1], Dimension::Two, leaning(0.0));
        // A climb of 5 mm a voxel over steps of 2 and 3 mm.
        for (step, keeps) in [
            ([1.0, 0.0, 0.0039], true),
            ([1.0, 0.0, 0.0041], false),
            ([0.0, -10.0, -0.059], true),
            ([0.0, -10.0, -0.061], false),
            ([0.0; 3], true),
            ([0.0, 0.0, 1e-3], false),
        ] {
            assert_eq!(grid.keeps_to_plane(step.into()), keeps, "{step:?}");
        }
    }
}
