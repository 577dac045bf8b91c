//! Non-diffeomorphic volume of a digital transformation.
//!
//! Liu, Chen, Wei, Carass & Prince, "On Finite Difference Jacobian Computation in Deformable Image
//! Registration" (IJCV 2024). A grid of points maps one to one when every simplex of neighbouring
//! points keeps its orientation. Each cube of voxels is cut into five tetrahedra in two ways; ten
//! determinants of differences about a voxel (eight forward/backward, two of face diagonals) are six
//! times their signed volumes. What is turned inside out is summed and the two ways are averaged. In
//! 2-D, a square is cut into two triangles in two ways: four determinants, twice the signed areas.
//!
//! Central differences miss folds that this finds: they do not look at the voxel itself.

use super::labels::same_shape;
use crate::error::Result;
use crate::volume::{Dimension, DisplacementField};
use ndarray::Array3;
use rayon::prelude::*;

/// Non-diffeomorphic volume and what it is measured against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NonDiffeomorphic {
    /// Volume turned inside out, in voxels (area in 2-D).
    pub volume: f64,
    /// Voxels counted: the grid, or the mask, without the border layer. The denominator.
    pub voxels: usize,
}

impl NonDiffeomorphic {
    /// In percent of the voxels counted.
    pub fn percent(&self) -> f64 {
        100.0 * self.volume / self.voxels as f64
    }
}

/// Non-diffeomorphic volume of `x + u(x)` over the voxels of `mask` (all, without one) that are not on
/// the border of the grid, as the LUMIR evaluation counts it.
///
/// `volume` is `NaN` when a displacement next to a counted voxel is not a number.
///
/// # Errors
/// The mask is not of the field's shape.
pub fn non_diffeomorphic_volume(
    field: &DisplacementField,
    mask: Option<&Array3<bool>>,
) -> Result<NonDiffeomorphic> {
    if let Some(mask) = mask {
        same_shape("field and mask", &field.data.shape()[1..], mask.shape())?;
    }
    let [n0, n1, n2] = field.geometry.shape;
    let third = match field.geometry.dimension {
        Dimension::Two => 0..n2,
        Dimension::Three => 1..n2.saturating_sub(1),
    };
    let planes: Vec<(f64, usize)> = (1..n0.saturating_sub(1))
        .into_par_iter()
        .map(|i| {
            let (mut volume, mut voxels) = (0.0, 0);
            for j in 1..n1.saturating_sub(1) {
                for k in third.clone() {
                    if mask.is_none_or(|mask| mask[[i, j, k]]) {
                        volume += turned_volume(field, [i, j, k]);
                        voxels += 1;
                    }
                }
            }
            (volume, voxels)
        })
        .collect();
    Ok(NonDiffeomorphic {
        volume: planes.iter().map(|plane| plane.0).sum(),
        voxels: planes.iter().map(|plane| plane.1).sum(),
    })
}

/// Volume about one voxel that is turned inside out.
fn turned_volume(field: &DisplacementField, voxel: [usize; 3]) -> f64 {
    match field.geometry.dimension {
        Dimension::Two => turned_area_2d(field, voxel),
        Dimension::Three => turned_volume_3d(field, voxel),
    }
}

fn turned_volume_3d(field: &DisplacementField, voxel: [usize; 3]) -> f64 {
    let to = |offset| difference::<3>(field, voxel, offset);
    // Differences forward and backward; a backward one is what the step back takes away.
    let steps = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
        .map(|step: [isize; 3]| [to(step), to(step.map(|s| -s)).map(|d| -d)]);
    let mut sum = 0.0;
    for x in steps[0] {
        for y in steps[1] {
            for z in steps[2] {
                sum += turned(determinant(x, y, z));
            }
        }
    }
    sum += turned(determinant(
        to([-1, -1, 0]),
        to([-1, 0, -1]),
        to([0, -1, -1]),
    ));
    sum += turned(determinant(to([1, 1, 0]), to([0, 1, 1]), to([1, 0, 1])));
    sum / 6.0 / 2.0
}

fn turned_area_2d(field: &DisplacementField, voxel: [usize; 3]) -> f64 {
    let to = |offset| difference::<2>(field, voxel, offset);
    let steps =
        [[1, 0, 0], [0, 1, 0]].map(|step: [isize; 3]| [to(step), to(step.map(|s| -s)).map(|d| -d)]);
    let mut sum = 0.0;
    for x in steps[0] {
        for y in steps[1] {
            sum += turned(x[0] * y[1] - x[1] * y[0]);
        }
    }
    sum / 2.0 / 2.0
}

/// The image of `voxel + offset` less the image of `voxel`.
fn difference<const N: usize>(
    field: &DisplacementField,
    voxel: [usize; 3],
    offset: [isize; 3],
) -> [f64; N] {
    let [i, j, k] = voxel;
    let [a, b, c] = [0, 1, 2].map(|axis| voxel[axis].wrapping_add_signed(offset[axis]));
    std::array::from_fn(|component| {
        let there = f64::from(field.data[[component, a, b, c]]);
        let here = f64::from(field.data[[component, i, j, k]]);
        offset[component] as f64 + there - here
    })
}

fn determinant(x: [f64; 3], y: [f64; 3], z: [f64; 3]) -> f64 {
    x[0] * (y[1] * z[2] - y[2] * z[1]) - x[1] * (y[0] * z[2] - y[2] * z[0])
        + x[2] * (y[0] * z[1] - y[1] * z[0])
}

/// The size of a negative determinant; `f64::max` would swallow `NaN`.
fn turned(determinant: f64) -> f64 {
    if determinant > 0.0 { 0.0 } else { -determinant }
}
