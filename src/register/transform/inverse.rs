//! Displacement fields backwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nalgebra::{Matrix3, Vector3};

use super::{FieldTransform, Transform};
use crate::error::{Error, Result};
use crate::volume::WorldPoint;
use crate::volume::resample::place;

/// The search at a place ends here, in voxels of the field.
const CLOSE: f64 = 1e-6;
/// A place further from its solution than this, in voxels, has none: there the field folds.
const TOLERANCE: f64 = 1e-2;
const FIXED_POINT_STEPS: usize = 40;
const NEWTON_STEPS: usize = 20;

/// The inverse of a displacement field: to each `y` the `x` with `x + u(x) = y`.
///
/// Found by fixed-point iteration, `x <- y - u(x)` (Chen, Lu, Chen, Ruchala & Olivera, *Medical Physics* 35, 2008), which
/// converges where the field changes by less than a voxel a voxel, and by Newton's method where it does not.
#[derive(Debug, Clone)]
pub struct InverseField {
    forward: FieldTransform,
    /// The largest residual so far, as the bits of a float64; shared by copies.
    worst: Arc<AtomicU64>,
}

impl InverseField {
    pub(super) fn new(forward: FieldTransform) -> Self {
        Self {
            forward,
            worst: Arc::new(AtomicU64::new(0)),
        }
    }

    pub(super) fn forward(&self) -> &FieldTransform {
        &self.forward
    }

    /// Where a place goes; how well it was found is kept for [`check_inverses`].
    pub(super) fn map(&self, point: WorldPoint) -> WorldPoint {
        let goal = place(&self.forward.to_voxel, point.0);
        let (found, residual) = self.solve(goal);
        // The bits of positive numbers are ordered as the numbers are.
        self.worst.fetch_max(residual.to_bits(), Ordering::Relaxed);
        WorldPoint(point.0 + self.forward.field.geometry.affine.linear() * (found - goal))
    }

    /// The largest `|x + u(x) - y|` of all places so far, in voxels of the field.
    pub fn worst_residual(&self) -> f64 {
        f64::from_bits(self.worst.load(Ordering::Relaxed))
    }

    /// The solution and its residual, both in voxels.
    fn solve(&self, goal: Vector3<f64>) -> (Vector3<f64>, f64) {
        let miss = |x: Vector3<f64>| x + self.forward.displacement(x) - goal;
        let mut best = (goal, f64::INFINITY);
        let mut x = goal;
        for step in 0..FIXED_POINT_STEPS + NEWTON_STEPS {
            let residual = miss(x);
            let length = residual.norm();
            if length < best.1 {
                best = (x, length);
            }
            if length < CLOSE {
                break;
            }
            if step < FIXED_POINT_STEPS {
                x -= residual;
                continue;
            }
            // From the best place on; half steps keep it from jumping between cells of the grid.
            let start = best.0;
            let Some(inverse) = derivative(&miss, start).try_inverse() else {
                break;
            };
            let full = inverse * miss(start);
            let halved = [1.0, 0.5, 0.25, 0.125].map(|part| start - full * part);
            let better = halved
                .into_iter()
                .find(|&place| miss(place).norm() < best.1);
            match better {
                Some(place) => x = place,
                None => break,
            }
        }
        best
    }
}

/// Central differences over a tenth of a voxel.
fn derivative(function: &impl Fn(Vector3<f64>) -> Vector3<f64>, at: Vector3<f64>) -> Matrix3<f64> {
    let column = |axis: usize| {
        let mut step = Vector3::zeros();
        step[axis] = 0.05;
        (function(at + step) - function(at - step)) / 0.1
    };
    Matrix3::from_columns(&[column(0), column(1), column(2)])
}

/// Whether the inverses among the transforms were found at every place asked for; the largest residual in voxels.
///
/// # Errors
/// A place that no place of the field leads to, since the field folds there.
pub fn check_inverses(transforms: &[Transform]) -> Result<Option<f64>> {
    let mut worst = None;
    for transform in transforms {
        if let Transform::InverseField(inverse) = transform {
            worst = Some(inverse.worst_residual().max(worst.unwrap_or(0.0)));
        }
    }
    match worst {
        // Also where it is no number.
        Some(residual) if !(residual <= TOLERANCE) => Err(Error::invalid(format!(
            "the inverse of a displacement field was not found: it misses by {residual:.3} voxels (at most {TOLERANCE}), \
             since the field folds; give the inverse field that its program wrote"
        ))),
        _ => Ok(worst),
    }
}
