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

/// A voxel grid: its size, whether it is 2-D or 3-D, and where it lies.
#[derive(Debug, Clone, PartialEq)]
pub struct Geometry {
    /// Voxels along `(i, j, k)`; 2-D grids have `k = 1`.
    pub shape: [usize; 3],
    pub dimension: Dimension,
    pub affine: Affine,
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
        let spacing = affine.spacing();
        let volume: f64 = spacing.iter().product();
        // Relative to a box of the same voxel sizes: 1e-6 is an axis pair less than 1e-4 degrees apart.
        if affine.linear().determinant().abs() <= 1e-6 * volume {
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
}

impl Geometry {
    pub fn new(shape: [usize; 3], dimension: Dimension, affine: Affine) -> Self {
        Self {
            shape,
            dimension,
            affine,
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
