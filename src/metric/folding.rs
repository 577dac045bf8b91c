//! Regularity of a displacement from its Jacobian determinant: folds and spread of the log.

use super::labels::same_shape;
use crate::error::Result;
use crate::volume::DisplacementField;
use ndarray::Array3;

/// Folds of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Folding {
    /// Voxels whose determinant is not above 0; one that is not a number counts as folded.
    pub folded: usize,
    /// Voxels counted: the whole grid with its border, or those of the mask. The denominator.
    pub voxels: usize,
    /// Least determinant; `NaN` when any is not a number.
    pub least: f64,
}

impl Folding {
    /// Folded voxels in percent of the voxels counted.
    pub fn percent(&self) -> f64 {
        100.0 * self.folded as f64 / self.voxels as f64
    }
}

/// Counts the voxels where the Jacobian determinant of `x + u(x)` is not above 0.
///
/// Derivatives as `numpy.gradient` takes them: central differences, one-sided at the border.
///
/// # Errors
/// The mask is not of the field's shape.
pub fn folding(field: &DisplacementField, mask: Option<&Array3<bool>>) -> Result<Folding> {
    if let Some(mask) = mask {
        same_shape("field and mask", &field.data.shape()[1..], mask.shape())?;
    }
    let mut result = Folding {
        folded: 0,
        voxels: 0,
        least: f64::INFINITY,
    };
    let mut inside = mask.map(|mask| mask.iter());
    for determinant in determinants(field) {
        if inside
            .as_mut()
            .is_some_and(|mask| mask.next() == Some(&false))
        {
            continue;
        }
        result.voxels += 1;
        // Not `<= 0`: a determinant that is no number is no proof of a one-to-one map.
        result.folded += usize::from(!matches!(
            determinant.partial_cmp(&0.0),
            Some(std::cmp::Ordering::Greater)
        ));
        if determinant.is_nan() || determinant < result.least {
            result.least = determinant;
        }
    }
    Ok(result)
}

/// Standard deviation (population) of `log(max(det, 1e-9))` over the grid; `NaN` when a determinant is
/// not a number.
pub fn sd_log_jacobian(field: &DisplacementField) -> f64 {
    sd(determinants(field)
        .into_iter()
        .map(|d| log_clipped(d, f64::INFINITY)))
}

/// The same as the Learn2Reg evaluation computes it: `log(clip(det + 3, 1e-9, 1e9))` over the grid less
/// two voxels on each side.
///
/// The 3 is in their code (evaluation.py, 2022 to 2025); values are comparable to published Learn2Reg
/// results only. `NaN` when an axis has fewer than five voxels.
pub fn sd_log_jacobian_l2r(field: &DisplacementField) -> f64 {
    const CROP: usize = 2;
    let shape = field.geometry.shape;
    let axes = field.geometry.dimension.axes();
    let kept = |index: usize| {
        let [_, n1, n2] = shape;
        let place = [index / (n1 * n2), index / n2 % n1, index % n2];
        (0..axes).all(|axis| place[axis] >= CROP && place[axis] + CROP < shape[axis])
    };
    sd(determinants(field)
        .into_iter()
        .enumerate()
        .filter(|(index, _)| kept(*index))
        .map(|(_, determinant)| log_clipped(determinant + 3.0, 1e9)))
}

/// `clamp` would do, but for `NaN`, which must survive.
fn log_clipped(determinant: f64, high: f64) -> f64 {
    if determinant.is_nan() {
        return f64::NAN;
    }
    determinant.clamp(1e-9, high).ln()
}

/// Population standard deviation, by Welford's running sums.
fn sd(values: impl Iterator<Item = f64>) -> f64 {
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for value in values {
        count += 1.0;
        let deviation = value - mean;
        mean += deviation / count;
        squares += deviation * (value - mean);
    }
    (squares / count).sqrt()
}

/// Jacobian determinant of `x + u(x)` at every voxel, row-major.
fn determinants(field: &DisplacementField) -> Vec<f64> {
    let shape = field.geometry.shape;
    let axes = field.geometry.dimension.axes();
    let slope = |component: usize, axis: usize, voxel: [usize; 3]| {
        let n = shape[axis];
        let (mut low, mut high) = (voxel, voxel);
        low[axis] = voxel[axis].saturating_sub(1);
        high[axis] = (voxel[axis] + 1).min(n - 1);
        let at = |v: [usize; 3]| f64::from(field.data[[component, v[0], v[1], v[2]]]);
        let width = (high[axis] - low[axis]).max(1) as f64;
        (at(high) - at(low)) / width
    };
    ndarray::indices(shape)
        .into_iter()
        .map(|(i, j, k)| {
            let mut jacobian = nalgebra::Matrix3::identity();
            for component in 0..axes {
                for axis in 0..axes {
                    jacobian[(component, axis)] += slope(component, axis, [i, j, k]);
                }
            }
            jacobian.determinant()
        })
        .collect()
}
