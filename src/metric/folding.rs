//! Regularity of a displacement from its Jacobian determinant: folds and spread of the log.
//!
//! Determinants are those of [`crate::kernels::jacobian`] (float32); counts and sums are exact and
//! float64.

use super::labels::same_shape;
use crate::error::Result;
use crate::kernels::jacobian;
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
    let mut result = Folding {
        folded: 0,
        voxels: 0,
        least: f64::INFINITY,
    };
    for determinant in counted(field, mask, 0)? {
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

/// Standard deviation (population) of `log(max(det, 1e-9))` over the voxels of `mask` (all, without
/// one); `NaN` when a determinant there is not a number.
///
/// # Errors
/// The mask is not of the field's shape.
pub fn sd_log_jacobian(field: &DisplacementField, mask: Option<&Array3<bool>>) -> Result<f64> {
    let counted = counted(field, mask, 0)?;
    Ok(sd(counted.map(|determinant| {
        log_clipped(determinant, f64::INFINITY)
    })))
}

/// The same as the Learn2Reg evaluation computes it: `log(clip(det + 3, 1e-9, 1e9))` over the grid less
/// two voxels on each side.
///
/// The 3 is in their code (evaluation.py, 2022 to 2025); values are comparable to published Learn2Reg
/// results only. `NaN` when an axis has fewer than five voxels.
///
/// # Errors
/// The mask is not of the field's shape.
pub fn sd_log_jacobian_l2r(field: &DisplacementField, mask: Option<&Array3<bool>>) -> Result<f64> {
    let counted = counted(field, mask, 2)?;
    Ok(sd(
        counted.map(|determinant| log_clipped(determinant + 3.0, 1e9))
    ))
}

/// Determinants inside the mask, less `crop` voxels on each side of the grid.
fn counted<'a>(
    field: &'a DisplacementField,
    mask: Option<&'a Array3<bool>>,
    crop: usize,
) -> Result<impl Iterator<Item = f64> + use<'a>> {
    if let Some(mask) = mask {
        same_shape("field and mask", &field.data.shape()[1..], mask.shape())?;
    }
    let shape = field.geometry.shape;
    let axes = field.geometry.dimension.axes();
    let kept = move |index: usize| {
        let [_, n1, n2] = shape;
        let place = [index / (n1 * n2), index / n2 % n1, index % n2];
        (0..axes).all(|axis| place[axis] >= crop && place[axis] + crop < shape[axis])
            && mask.is_none_or(|mask| mask[place])
    };
    let determinants = jacobian(field).into_iter().map(f64::from).enumerate();
    Ok(determinants
        .filter(move |(index, _)| kept(*index))
        .map(|(_, determinant)| determinant))
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

/// The Jacobian determinant of `x + u(x)` at every voxel: how much the transform enlarges what lies there; at most 0
/// where it folds. Central differences, one-sided at the edges.
pub fn jacobian(field: &DisplacementField) -> Array3<f32> {
    let u = field.data.as_standard_layout();
    let values = u.as_slice().expect("standard layout is contiguous");
    let (axes, shape) = (field.geometry.dimension.axes(), field.geometry.shape);
    let determinants = jacobian::determinant(values, axes, field.geometry.tensor_shape());
    Array3::from_shape_vec(shape, determinants).expect("one value per voxel")
}
