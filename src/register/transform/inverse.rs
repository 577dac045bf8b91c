//! Displacement fields backwards.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nalgebra::{Matrix3, Vector3};

use super::{FieldTransform, Transform};
use crate::error::{Error, Result};
use crate::volume::WorldPoint;
use crate::volume::resample::place;

/// The search at a place ends here, in voxels of the field; positions in fields are rounded by as much.
const CLOSE: f64 = 1e-5;
/// A place further from its solution than this, in voxels, has none: there the field folds between voxels.
const TOLERANCE: f64 = 1e-2;
/// The share of places that may have none: interpolated fields fold in a few cells though no voxel of theirs does.
const MOST_FOLDED: f64 = 1e-2;
const FIXED_POINT_STEPS: usize = 40;
const NEWTON_STEPS: usize = 20;

/// The inverse of a displacement field: to each `y` the `x` with `x + u(x) = y`.
///
/// Found by fixed-point iteration, `x <- y - u(x)` (Chen, Lu, Chen, Ruchala & Olivera, *Medical Physics* 35, 2008), which
/// converges where the field changes by less than a voxel a voxel, and by Newton's method where it does not. The search
/// may leave the grid, where the edge's displacement holds: a jump there would leave places without a solution.
#[derive(Debug, Clone)]
pub struct InverseField {
    forward: FieldTransform,
    /// What became of the places so far; shared by copies.
    found: Arc<Found>,
}

#[derive(Debug, Default)]
struct Found {
    /// The largest residual, as the bits of a float64.
    worst: AtomicU64,
    places: AtomicU64,
    /// Those without a solution.
    missed: AtomicU64,
}

impl InverseField {
    pub(super) fn new(forward: FieldTransform) -> Self {
        Self {
            forward,
            found: Arc::default(),
        }
    }

    pub(super) fn forward(&self) -> &FieldTransform {
        &self.forward
    }

    /// Where a place goes; how well it was found is kept for [`check_inverses`].
    pub(super) fn map(&self, point: WorldPoint) -> WorldPoint {
        let goal = place(&self.forward.to_voxel, point.0);
        let (mut solution, mut residual) = self.solve(goal);
        if self.forward.is_still(goal) && self.forward.is_still(solution) {
            (solution, residual) = (goal, 0.0);
        }
        self.found.note(residual);
        WorldPoint(point.0 + self.forward.field.geometry.affine.linear() * (solution - goal))
    }

    /// The largest `|x + u(x) - y|` of all places so far, in voxels of the field.
    pub fn worst_residual(&self) -> f64 {
        f64::from_bits(self.found.worst.load(Ordering::Relaxed))
    }

    /// How many places were looked for so far.
    #[cfg(test)]
    pub(super) fn places(&self) -> u64 {
        self.found.places.load(Ordering::Relaxed)
    }

    /// The share of all places so far that have no solution.
    fn missed(&self) -> f64 {
        let [missed, places] = [&self.found.missed, &self.found.places]
            .map(|count| count.load(Ordering::Relaxed) as f64);
        missed / places.max(1.0)
    }

    /// The solution and its residual, both in voxels.
    fn solve(&self, goal: Vector3<f64>) -> (Vector3<f64>, f64) {
        let miss = |x: Vector3<f64>| x + self.forward.continued(x) - goal;
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

impl Found {
    fn note(&self, residual: f64) {
        // The bits of positive numbers are ordered as the numbers are.
        self.worst.fetch_max(residual.to_bits(), Ordering::Relaxed);
        self.places.fetch_add(1, Ordering::Relaxed);
        if residual.is_nan() || residual > TOLERANCE {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
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

/// How far the inverses of fields were missed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Residual {
    /// The largest distance, in voxels of the field.
    pub voxels: f64,
    /// Share of the places that were missed by more than the tolerance, since the field folds between voxels.
    pub missed: f64,
}

impl Residual {
    /// The larger of both figures.
    pub fn worse(self, other: Self) -> Self {
        Self {
            voxels: self.voxels.max(other.voxels),
            missed: self.missed.max(other.missed),
        }
    }
}

impl fmt::Display for Residual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error at most {:.2} voxels", self.voxels)?;
        match self.missed {
            0.0 => Ok(()),
            missed => write!(f, "; not invertible at {:.2} % of voxels", 100.0 * missed),
        }
    }
}

/// Whether the inverses among the transforms were found, but for few places, and how well; `None` where there are none.
///
/// # Errors
/// Many places that no place of the field leads to, since the field folds there.
pub fn check_inverses(transforms: &[Transform]) -> Result<Option<Residual>> {
    let mut worst: Option<Residual> = None;
    for transform in transforms {
        if let Transform::InverseField(inverse) = transform {
            let found = Residual {
                voxels: inverse.worst_residual(),
                missed: inverse.missed(),
            };
            if found.voxels.is_nan() || found.missed > MOST_FOLDED {
                return Err(Error::invalid(format!(
                    "the inverse of a displacement field was not found at {:.1} % of the places, since the field folds: it misses \
                     by up to {:.3} voxels; give the inverse field that its program wrote",
                    100.0 * found.missed,
                    found.voxels
                )));
            }
            worst = Some(worst.map_or(found, |worst| worst.worse(found)));
        }
    }
    Ok(worst)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register::field::from_function;
    use crate::register::{inverted, map_point};
    use crate::volume::{Affine, Dimension, Geometry, VoxelPoint};

    fn grid(dimension: Dimension) -> Geometry {
        let shape = if dimension == Dimension::Two {
            [24, 20, 1]
        } else {
            [24, 20, 16]
        };
        let linear = match dimension {
            Dimension::Two => Matrix3::new(-1.5, 0.3, 0.0, 0.4, -2.0, 0.0, 0.0, 0.0, 1.0),
            Dimension::Three => Matrix3::new(0.2, -1.4, 0.1, -0.9, 0.1, 0.3, 0.1, 0.2, 2.5),
        };
        Geometry::new(
            shape,
            dimension,
            Affine::from_parts(linear, Vector3::new(3.0, -5.0, 7.0)),
        )
    }

    /// Waves of the given height in voxels, half a wave in 8 voxels.
    ///
    /// At a height of 2 the derivative along k reaches 1.18, where iteration alone does not converge, but not -1, where
    /// the field would fold.
    fn waves(dimension: Dimension, height: f64) -> Transform {
        let field = from_function(&grid(dimension), |x| {
            let angle = |at: f64| at * std::f64::consts::PI / 8.0;
            let wave = |at: f64| height * angle(at).sin();
            let steep = |at: f64| wave(at) + 0.25 * height * angle(2.0 * at).sin();
            let along_k = match dimension {
                Dimension::Two => 0.0,
                Dimension::Three => steep(x.x + x.z),
            };
            Vector3::new(wave(x.y + 1.0), wave(x.x), along_k)
        });
        Transform::field(field).unwrap()
    }

    #[test]
    fn there_and_back_is_where_it_began() {
        for dimension in [Dimension::Two, Dimension::Three] {
            for height in [1.0, 2.0] {
                let turn =
                    Transform::Affine(nalgebra::Matrix4::new_rotation(Vector3::new(0.1, 0.2, 0.3)));
                let chain = match dimension {
                    Dimension::Two => vec![waves(dimension, 2.0)],
                    Dimension::Three => vec![waves(dimension, height), turn, waves(dimension, 1.0)],
                };
                let back = inverted(&chain).unwrap();
                for n in 0..50_u32 {
                    let voxel = Vector3::new(f64::from(n % 22), f64::from(n * 7 % 19), 0.0);
                    let start = grid(dimension).affine.to_world(VoxelPoint(voxel));
                    let end = map_point(&back, map_point(&chain, start));
                    assert!(
                        (end.0 - start.0).norm() < 5e-3,
                        "{dimension:?} {height} {voxel}"
                    );
                }
                assert!(
                    check_inverses(&back)
                        .unwrap()
                        .is_some_and(|worst| worst.voxels < 1e-2)
                );
            }
        }
    }

    #[test]
    fn places_without_a_solution_are_told() {
        let residual = |missed| Residual {
            voxels: 0.25,
            missed,
        };
        let found = residual(0.0).to_string();
        assert_eq!(found, "error at most 0.25 voxels");
        let told = residual(0.001).to_string();
        assert_eq!(
            told,
            "error at most 0.25 voxels; not invertible at 0.10 % of voxels"
        );
    }

    #[test]
    fn a_residual_is_never_smaller_than_the_truth() {
        // Folded: neighbours change places.
        let field = from_function(&grid(Dimension::Three), |x| {
            let wave = 9.0 * (x.x * 2.1).sin();
            Vector3::new(wave, 7.0 * (x.x * 1.7 + x.y).cos(), 0.0)
        });
        let forward = [Transform::field(field).unwrap()];
        let back = inverted(&forward).unwrap();
        let nothing_asked = Residual {
            voxels: 0.0,
            missed: 0.0,
        };
        assert_eq!(check_inverses(&back).unwrap(), Some(nothing_asked));
        let mut worst = 0.0_f64;
        for n in 0..60_u32 {
            let voxel = Vector3::new(f64::from(n % 23) + 0.3, f64::from(n * 7 % 19), 8.0);
            let start = grid(Dimension::Three).affine.to_world(VoxelPoint(voxel));
            let again = map_point(&forward, map_point(&back, start));
            let miss = grid(Dimension::Three)
                .affine
                .linear()
                .try_inverse()
                .unwrap()
                * (again.0 - start.0);
            worst = worst.max(miss.norm());
        }
        match check_inverses(&back) {
            Ok(residual) => assert!(residual.unwrap().voxels >= worst - 1e-9),
            Err(error) => {
                assert!(worst > TOLERANCE);
                assert!(error.to_string().contains("folds"), "{error}");
            }
        }
    }
}
