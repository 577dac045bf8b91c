//! The field that is optimised: a velocity or a displacement on a grid of its own.

use super::super::network::INVERSION;
use super::grid::Grid;
use crate::kernels::exponential::{Exponential, Flow};
use crate::kernels::warp::{Border, Shape};
use crate::kernels::{field, gaussian, jacobian};
use crate::model::TransformKind;

/// How far a velocity is followed in one step of its integration.
#[derive(Debug, Clone, Copy)]
pub(super) enum Steps {
    /// Half a voxel of its grid at most: enough to know which way to change it.
    Long,
    /// A sixteenth: for transforms that are kept, whose inverse is to undo them.
    Short,
}

impl Steps {
    /// Squarings that make steps so short of a velocity.
    fn squarings(self, velocity: &[f32]) -> usize {
        let longest = match self {
            Self::Long => 0.5,
            Self::Short => 0.0625,
        };
        let largest = velocity
            .iter()
            .fold(0.0_f32, |largest, v| largest.max(v.abs()));
        // What is not finite ends in an error after the descent.
        (largest / longest).log2().ceil().clamp(1.0, 10.0) as usize
    }
}

/// Rounds of the logarithm.
const LOGARITHM: usize = 8;

/// A velocity, or a displacement, in voxels of `grid`.
pub(super) struct Field {
    pub kind: TransformKind,
    /// `[axes, extent]`
    pub values: Vec<f32>,
    pub grid: Grid,
}

/// A displacement on the images' grid, with what its gradient needs.
pub(super) enum Displaced {
    Velocity { flow: Flow, onto: Vec<f32> },
    Displacement { onto: Vec<f32> },
}

impl Displaced {
    pub fn displacement(&self) -> &[f32] {
        match self {
            Self::Velocity { onto, .. } | Self::Displacement { onto } => onto,
        }
    }
}

impl Field {
    /// The identity.
    pub fn zero(kind: TransformKind, grid: Grid) -> Self {
        Self {
            kind,
            values: vec![0.0; grid.axes * grid.voxels()],
            grid,
        }
    }

    /// The same field on another grid, without what a coarser one cannot hold.
    pub fn on(&self, grid: Grid) -> Self {
        let smooth = self.grid.smooth_for(&self.values, self.grid.axes, &grid);
        Self {
            kind: self.kind,
            values: self.grid.regrid(&smooth, &grid),
            grid,
        }
    }

    /// The field of the other kind that makes the same transform, or nearly.
    pub fn into_kind(self, kind: TransformKind) -> Self {
        let values = match (self.kind, kind) {
            (TransformKind::Velocity, TransformKind::Displacement) => self
                .displaced(1.0, &self.grid, Steps::Short)
                .displacement()
                .to_vec(),
            (TransformKind::Displacement, TransformKind::Velocity) => self.logarithm(),
            _ => return self,
        };
        Self {
            kind,
            values,
            grid: self.grid,
        }
    }

    /// A velocity whose exponential is about this displacement: `v <- v + (phi o exp(-v) - id)`, from `v = u` (Bossa and
    /// Olmos, MICCAI 2008 workshop, first order). Poor where the displacement folds.
    fn logarithm(&self) -> Vec<f32> {
        let Grid { extent, axes, .. } = self.grid;
        let mut velocity = self.values.clone();
        for _ in 0..LOGARITHM {
            let back =
                exponential(&velocity, &self.grid, -1.0, Steps::Short).displacement(&velocity);
            let left = field::compose(&self.values, &back, axes, extent, Border::Edge);
            velocity
                .iter_mut()
                .zip(left)
                .for_each(|(v, left)| *v += left);
        }
        velocity
    }

    /// The displacement on the grid `onto`: with `sign = -1` of the inverse transform, which only a velocity knows.
    pub fn displaced(&self, sign: f32, onto: &Grid, steps: Steps) -> Displaced {
        match self.kind {
            TransformKind::Velocity => {
                let exponential = exponential(&self.values, &self.grid, sign, steps);
                let flow = exponential.flow(&self.values);
                let onto = self.grid.regrid(flow.displacement(), onto);
                Displaced::Velocity { flow, onto }
            }
            TransformKind::Displacement => Displaced::Displacement {
                onto: self.grid.regrid(&self.values, onto),
            },
        }
    }

    /// Gradient for the field's values of a loss whose gradient for the displacement on `onto` is `grad`.
    pub fn gradient(&self, displaced: &Displaced, grad: Vec<f32>, onto: &Grid) -> Vec<f32> {
        let grad = self.grid.regrid_grad(grad, onto);
        match displaced {
            Displaced::Velocity { flow, .. } => flow.grad(&grad),
            Displaced::Displacement { .. } => grad,
        }
    }

    /// Forward and inverse displacement on the grid `onto`.
    pub fn both_ways(&self, onto: &Grid) -> [Vec<f32>; 2] {
        let forward = self
            .displaced(1.0, onto, Steps::Short)
            .displacement()
            .to_vec();
        let inverse = match self.kind {
            TransformKind::Velocity => self
                .displaced(-1.0, onto, Steps::Short)
                .displacement()
                .to_vec(),
            TransformKind::Displacement => {
                let (updates, tolerance) = INVERSION;
                field::invert(&forward, onto.axes, onto.extent, updates, tolerance).0
            }
        };
        [forward, inverse]
    }

    /// Smooths the field where one of its transforms folds on the grid `onto`, until none does.
    ///
    /// The values must be finite. Smoothing changes nothing elsewhere. What it cannot mend in [`ROUNDS`] is mended by shrinking the whole field.
    pub fn unfold(&mut self, onto: &Grid) {
        for round in 0.. {
            let folded = self.folded(onto);
            if folded.iter().all(|&f| f == 0.0) {
                return;
            }
            if round < ROUNDS {
                self.smooth_where(&onto.neighbourhood(&folded, &self.grid));
            } else {
                self.values.iter_mut().for_each(|v| *v *= SHRINK);
            }
        }
    }

    /// 1 where a transform folds or nearly does, else 0; `[extent]` of `onto`.
    fn folded(&self, onto: &Grid) -> Vec<f32> {
        let signs: &[f32] = match self.kind {
            TransformKind::Velocity => &[1.0, -1.0],
            TransformKind::Displacement => &[1.0],
        };
        let mut folded = vec![0.0; onto.voxels()];
        for &sign in signs {
            let displaced = self.displaced(sign, onto, Steps::Short);
            let determinants =
                jacobian::determinant(displaced.displacement(), onto.axes, onto.extent);
            for (folded, determinant) in folded.iter_mut().zip(determinants) {
                if determinant.is_nan() || determinant <= LEAST_DETERMINANT {
                    *folded = 1.0;
                }
            }
        }
        folded
    }

    /// Blends the field with its smoothed self by weights from 0 to 1 on its grid.
    fn smooth_where(&mut self, weight: &[f32]) {
        let Grid { extent, axes, .. } = self.grid;
        let sd = extent.map(|n| if n > 1 { 1.0 } else { 0.0 });
        let smooth = gaussian::smooth(&self.values, axes, extent, sd);
        let components = self.values.chunks_exact_mut(weight.len());
        for (values, smooth) in components.zip(smooth.chunks_exact(weight.len())) {
            for ((value, smooth), weight) in values.iter_mut().zip(smooth).zip(weight) {
                *value += weight * (smooth - *value);
            }
        }
    }
}

/// The exponential of `sign` times a velocity on `grid`, in steps as short as asked.
fn exponential(velocity: &[f32], grid: &Grid, sign: f32, steps: Steps) -> Exponential {
    Exponential {
        shape: Shape::fields(grid.extent, 1, grid.axes, Border::Edge),
        squarings: steps.squarings(velocity),
        sign,
    }
}

/// Where less of a volume is left, the transform counts as folded: a margin for the rounding of written files.
const LEAST_DETERMINANT: f32 = 0.01;
/// Rounds of smoothing before the whole field is shrunk ...
const ROUNDS: usize = 50;
/// ... by this factor, again and again.
const SHRINK: f32 = 0.9;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::oracle::random::uniform;

    #[test]
    fn a_displacement_has_the_velocity_that_makes_it() {
        let grid = Grid {
            extent: [9, 10, 11],
            spacing: [1.0; 3],
            axes: 3,
        };
        let coarse = grid.coarser(3.0);
        let mut velocity = Field::zero(TransformKind::Velocity, coarse);
        velocity.values = uniform(1, velocity.values.len(), 0.05);
        let velocity = velocity.on(grid);
        let before = velocity
            .displaced(1.0, &grid, Steps::Short)
            .displacement()
            .to_vec();
        let length = |u: &[f32]| u.iter().map(|u| u * u).sum::<f32>().sqrt();
        let displacement = velocity.into_kind(TransformKind::Displacement);
        assert_eq!(displacement.values, before);
        let again = displacement.into_kind(TransformKind::Velocity);
        let after = again
            .displaced(1.0, &grid, Steps::Short)
            .displacement()
            .to_vec();
        let left: Vec<f32> = before.iter().zip(&after).map(|(a, b)| a - b).collect();
        assert!(
            length(&left) < 0.05 * length(&before),
            "{} {}",
            length(&left),
            length(&before)
        );
    }

    #[test]
    fn a_coarser_grid_gets_the_mean_of_what_it_cannot_hold() {
        let grid = Grid {
            extent: [1, 33, 33],
            spacing: [1.0; 3],
            axes: 2,
        };
        let mut field = Field::zero(TransformKind::Displacement, grid);
        // Between 3 and 5 from voxel to voxel: every other one, which lies on the coarser grid, has 3.
        let values = field.values.iter_mut().enumerate();
        values.for_each(|(at, v)| *v = 3.0 + 2.0 * (at % 33 % 2) as f32);
        let coarse = field.on(grid.coarser(2.0));
        assert_eq!(coarse.grid.extent, [1, 17, 17]);
        for (at, value) in coarse.values.iter().enumerate() {
            // Voxels are twice as large; at the edges the outermost value goes on.
            if (2..15).contains(&(at % 17)) {
                assert!((value - 2.0).abs() < 0.02, "{at}: {value}");
            }
        }
    }

    #[test]
    fn folds_are_smoothed_away_and_the_rest_stays() {
        for (kind, extent, axes) in [
            (TransformKind::Velocity, [12, 13, 14], 3),
            (TransformKind::Displacement, [12, 13, 14], 3),
            (TransformKind::Displacement, [1, 20, 30], 2),
        ] {
            let grid = Grid {
                extent,
                spacing: [1.0; 3],
                axes,
            };
            let fine = Grid {
                extent: extent.map(|n| (2 * n).saturating_sub(1)),
                ..grid
            };
            let mut field = Field::zero(kind, grid);
            // Rough in the first quarter, nothing elsewhere.
            let rough = grid.voxels() / 4;
            for c in 0..axes {
                let values = uniform(c as u64, rough, 6.0);
                field.values[c * grid.voxels()..][..rough].copy_from_slice(&values);
            }
            assert!(field.folded(&fine).contains(&1.0));
            field.unfold(&fine);
            let [forward, inverse] = field.both_ways(&fine);
            let folds = |displacement: &[f32]| {
                let determinants = jacobian::determinant(displacement, axes, fine.extent);
                determinants.iter().any(|&d| d.is_nan() || d <= 0.0)
            };
            assert!(!folds(&forward), "{kind:?} {extent:?}");
            // The inverse of a displacement is computed afterwards, not kept from folding.
            assert!(kind == TransformKind::Displacement || !folds(&inverse));
            assert!(
                field.values.iter().any(|v| v.abs() > 0.05),
                "something is left"
            );
            let end = &field.values[grid.voxels() - rough / 2..grid.voxels()];
            assert!(
                end.iter().all(|v| v.abs() < 1e-3),
                "far from the folds nothing moves"
            );
        }
    }
}
