//! The parameters of a linear map.

use nalgebra::{Matrix3, Matrix4, Rotation3, Vector3};

use super::Freedom;
use crate::volume::{Dimension, Geometry};

/// The coordinates that parameters move: millimetres from the centre of the fixed image, along its own plane in 2-D.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// In which images move: two of volumes as well that keep to their slices.
    pub dimension: Dimension,
    /// Columns are orthonormal world directions; in 2-D the first two span the plane.
    axes: Matrix3<f64>,
    /// Millimetres that a rotation by one radian moves a typical sample: brings all parameters to one scale.
    radius: f64,
}

/// A linear map near `start`: `q -> start (P(p) q + t(p))`, `q` in millimetres from the centre of the fixed image.
///
/// Parameters are millimetres: translations along the frame's axes, then rotations, zoom, or the entries of a matrix,
/// times the radius.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pose {
    frame: Frame,
    freedom: Freedom,
    /// From millimetres about the centre of the fixed image to the moving world.
    start: Matrix4<f64>,
}

impl Frame {
    /// With `in_plane` a volume moves within its slices only.
    pub fn new(fixed: &Geometry, radius: f64, in_plane: bool) -> Self {
        let dimension = match in_plane {
            true => Dimension::Two,
            false => fixed.dimension,
        };
        let axes = match dimension {
            Dimension::Three => Matrix3::identity(),
            Dimension::Two => {
                let linear = fixed.affine.linear();
                let across = fixed.slice_axis();
                let first = linear.column((across + 1) % 3).normalize();
                let second = linear.column((across + 2) % 3);
                let normal = first.cross(&second).normalize();
                Matrix3::from_columns(&[first, normal.cross(&first), normal])
            }
        };
        Self {
            dimension,
            axes,
            radius,
        }
    }

    /// Turned by `vector`, axis times angle in radians along the frame's axes (in 2-D only about the normal).
    pub fn rotation(&self, vector: Vector3<f64>) -> Matrix3<f64> {
        self.outward(&Rotation3::new(vector).into_inner())
    }

    /// The part of a shift (mm) that the images may move by.
    pub fn within(&self, shift: Vector3<f64>) -> Vector3<f64> {
        let normal = self.axes.column(2);
        match self.dimension {
            Dimension::Three => shift,
            Dimension::Two => shift - normal * normal.dot(&shift),
        }
    }

    /// Mirrored along the first axis.
    pub fn mirror(&self) -> Matrix3<f64> {
        self.outward(&Matrix3::from_diagonal(&Vector3::new(-1.0, 1.0, 1.0)))
    }

    /// Whether a rotation turns a 2-D image within its plane; every rotation of a volume will do.
    pub fn keeps_plane(&self, rotation: &Matrix3<f64>) -> bool {
        let normal = self.axes.column(2);
        self.dimension == Dimension::Three || (rotation * normal).dot(&normal) > 0.99
    }

    /// A typical sample along an axis, mm from the centre; in 2-D the centre itself for the normal.
    pub fn probe(&self, axis: usize) -> Vector3<f64> {
        let there = axis < self.dimension.axes();
        self.axes.column(axis) * if there { self.radius } else { 0.0 }
    }

    fn outward(&self, local: &Matrix3<f64>) -> Matrix3<f64> {
        self.axes * local * self.axes.transpose()
    }
}

impl Pose {
    pub fn new(frame: Frame, freedom: Freedom, start: Matrix4<f64>) -> Self {
        Self {
            frame,
            freedom,
            start,
        }
    }

    /// Number of parameters: 3-D 0, 6, 7 or 12; 2-D and within slices 0, 3, 4 or 6.
    pub fn parameters(&self) -> usize {
        let axes = self.frame.dimension.axes();
        let rotations = axes * (axes - 1) / 2;
        axes + match self.freedom {
            Freedom::None => return 0,
            Freedom::Rigid => rotations,
            Freedom::Similarity => rotations + 1,
            Freedom::Affine => axes * axes,
        }
    }

    /// From millimetres about the centre of the fixed image to the moving world.
    pub fn matrix(&self, parameters: &[f64]) -> Matrix4<f64> {
        let mut moved = self.linear(parameters).0.to_homogeneous();
        let translation = self.translation(parameters);
        moved.fixed_view_mut::<3, 1>(0, 3).copy_from(&translation);
        self.start * moved
    }

    /// The gradient by the parameters, given that by the upper three rows of the matrix.
    pub fn gradient(&self, parameters: &[f64], by_matrix: &[[f64; 4]; 3]) -> Vec<f64> {
        let back = self.start.fixed_view::<3, 3>(0, 0).transpose();
        let by_linear = back * Matrix3::from_fn(|row, column| by_matrix[row][column]);
        let by_offset = back * Vector3::from_fn(|row, _| by_matrix[row][3]);
        let axes = self.frame.dimension.axes().min(parameters.len());
        let translations = (0..axes).map(|axis| self.frame.axes.column(axis).dot(&by_offset));
        let derivatives = self.linear(parameters).1;
        let others = derivatives
            .iter()
            .map(|derivative| derivative.dot(&by_linear));
        translations.chain(others).collect()
    }

    fn translation(&self, parameters: &[f64]) -> Vector3<f64> {
        let axes = self.frame.dimension.axes();
        let along = parameters.iter().take(axes).enumerate();
        along
            .map(|(axis, &t)| self.frame.axes.column(axis) * t)
            .sum()
    }

    /// The linear part in the world, and its derivatives by the parameters after the translations.
    fn linear(&self, parameters: &[f64]) -> (Matrix3<f64>, Vec<Matrix3<f64>>) {
        let axes = self.frame.dimension.axes();
        let scaled: Vec<f64> = parameters
            .iter()
            .skip(axes)
            .map(|p| p / self.frame.radius)
            .collect();
        let (local, derivatives) = match self.freedom {
            Freedom::None => (Matrix3::identity(), Vec::new()),
            Freedom::Rigid => rotation(&scaled),
            Freedom::Similarity => {
                let (zoom, angles) = scaled.split_last().expect("a similarity has a zoom");
                let (turn, by_angle) = rotation(angles);
                let zoomed = turn * zoom.exp();
                let by_angle = by_angle.into_iter().map(|d| d * zoom.exp());
                (zoomed, by_angle.chain([zoomed]).collect())
            }
            Freedom::Affine => matrix(&scaled, axes),
        };
        let (local, derivatives) = match self.frame.dimension {
            Dimension::Three => (local, derivatives),
            // What happens along the normal of a plane has no meaning and stays the identity.
            Dimension::Two => (
                in_plane(local, 1.0),
                derivatives.into_iter().map(|d| in_plane(d, 0.0)).collect(),
            ),
        };
        let outward = |local: &Matrix3<f64>| self.frame.outward(local);
        let scale = self.frame.radius.recip();
        (
            outward(&local),
            derivatives.iter().map(|d| outward(d) * scale).collect(),
        )
    }
}

fn in_plane(mut matrix: Matrix3<f64>, normal: f64) -> Matrix3<f64> {
    matrix.set_column(2, &Vector3::new(0.0, 0.0, normal));
    matrix.set_row(2, &Vector3::new(0.0, 0.0, normal).transpose());
    matrix
}

/// `Rz Ry Rx` for three angles, `Rz` for one, and the derivatives.
fn rotation(angles: &[f64]) -> (Matrix3<f64>, Vec<Matrix3<f64>>) {
    let about = |axis: usize, angle: f64| {
        let (sin, cos) = angle.sin_cos();
        let (a, b) = ((axis + 1) % 3, (axis + 2) % 3);
        let (mut turn, mut slope) = (Matrix3::identity(), Matrix3::zeros());
        for (at, value, derivative) in [
            ((a, a), cos, -sin),
            ((b, b), cos, -sin),
            ((a, b), -sin, -cos),
            ((b, a), sin, cos),
        ] {
            (turn[at], slope[at]) = (value, derivative);
        }
        (turn, slope)
    };
    match angles {
        [x, y, z] => {
            let [(x, dx), (y, dy), (z, dz)] = [about(0, *x), about(1, *y), about(2, *z)];
            (z * y * x, vec![z * y * dx, z * dy * x, dz * y * x])
        }
        _ => {
            let (z, dz) = about(2, angles[0]);
            (z, vec![dz])
        }
    }
}

/// The identity plus the entries, row by row.
fn matrix(entries: &[f64], axes: usize) -> (Matrix3<f64>, Vec<Matrix3<f64>>) {
    let mut sum = Matrix3::identity();
    let mut derivatives = Vec::new();
    for (n, entry) in entries.iter().enumerate() {
        let at = (n / axes, n % axes);
        sum[at] += entry;
        let mut derivative = Matrix3::zeros();
        derivative[at] = 1.0;
        derivatives.push(derivative);
    }
    (sum, derivatives)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Affine;

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let linear = Matrix3::new(0.2, -1.4, 0.1, -0.9, 0.1, 0.3, 0.1, 0.2, 2.5);
        let start = Affine::from_parts(linear, Vector3::new(3.0, -2.0, 8.0)).0;
        // Any linear function of the matrix has its coefficients as gradient.
        let by_matrix = [
            [0.3, -1.0, 0.7, 0.2],
            [2.0, 0.4, -0.6, 1.5],
            [-0.8, 0.9, 0.1, -0.5],
        ];
        for (dimension, in_plane) in [
            (Dimension::Two, false),
            (Dimension::Three, false),
            (Dimension::Three, true),
        ] {
            let grid = Geometry::new([9, 9, 9], dimension, Affine(start));
            for freedom in [
                Freedom::None,
                Freedom::Rigid,
                Freedom::Similarity,
                Freedom::Affine,
            ] {
                let pose = Pose::new(Frame::new(&grid, 40.0, in_plane), freedom, start);
                let at: Vec<f64> = (0..pose.parameters())
                    .map(|n| 7.0 - 3.0 * n as f64)
                    .collect();
                let value = |p: &[f64]| -> f64 {
                    let m = pose.matrix(p);
                    (0..3)
                        .map(|r| (0..4).map(|c| by_matrix[r][c] * m[(r, c)]).sum::<f64>())
                        .sum()
                };
                for (n, found) in pose.gradient(&at, &by_matrix).into_iter().enumerate() {
                    let [mut low, mut high] = [at.clone(), at.clone()];
                    (low[n], high[n]) = (at[n] - 1e-3, at[n] + 1e-3);
                    let expected = (value(&high) - value(&low)) / 2e-3;
                    approx::assert_abs_diff_eq!(found, expected, epsilon = 1e-7);
                }
            }
        }
    }

    #[test]
    fn counts_degrees_of_freedom() {
        let count = |dimension, in_plane, freedom| {
            let grid = Geometry::new([9, 9, 1], dimension, Affine::identity());
            Pose::new(
                Frame::new(&grid, 1.0, in_plane),
                freedom,
                Matrix4::identity(),
            )
            .parameters()
        };
        let all = [
            Freedom::None,
            Freedom::Rigid,
            Freedom::Similarity,
            Freedom::Affine,
        ];
        for (dimension, in_plane, counts) in [
            (Dimension::Three, false, [0, 6, 7, 12]),
            (Dimension::Two, false, [0, 3, 4, 6]),
            (Dimension::Three, true, [0, 3, 4, 6]),
        ] {
            assert_eq!(all.map(|f| count(dimension, in_plane, f)), counts);
        }
    }
}
