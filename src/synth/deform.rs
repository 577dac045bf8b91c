//! Smooth random deformations of a label map, and the true field between two of them.
//!
//! A deformation is phi(x) = A exp(v)(x): a smooth random stationary velocity v, integrated by scaling
//! and squaring on a coarser grid (Arsigny et al., MICCAI 2006), then an affine A. Because the inverse
//! of exp(v) is exp(-v), the true field needs no numerical inversion:
//! phi2^-1 phi1 = exp(-v2) A2^-1 A1 exp(v1).

use std::borrow::Cow;

use nalgebra::Matrix4;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::affine::AffineConfig;
use super::grid::Grid;
use super::noise;
use super::range::{NOT_NEGATIVE, Range, check_lengths};
use super::seeds::{Seeds, Side, Step};
use crate::error::{Error, Result};
use crate::kernels::exponential::Exponential;
use crate::kernels::warp::{Border, Shape};
use crate::kernels::{field, resize};

/// Smooth random deformation of the label map, drawn anew for each image of a pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeformationConfig {
    /// Node distances of the velocity noise, voxels at `reference_size`. Default 16, 32, 64: the
    /// SynthMorph shapes model's 8, 16, 32 on its half-resolution grid.
    pub velocity_scales: Vec<f64>,
    /// SD of the velocity, drawn per scale, voxels at `reference_size`. Default up to 6: the
    /// SynthMorph shapes model's 3 on its half-resolution grid.
    pub velocity_sd: Range,
    /// The velocity is integrated on a grid this many times coarser. SynthMorph: 2.
    pub velocity_downsize: usize,
    /// Squarings of the integration. VoxelMorph: 7 (SynthMorph 5, which is less exact).
    pub integration_steps: usize,
    pub affine: AffineConfig,
}

impl Default for DeformationConfig {
    fn default() -> Self {
        Self {
            velocity_scales: vec![16.0, 32.0, 64.0],
            velocity_sd: Range::new(0.0, 6.0),
            velocity_downsize: 2,
            integration_steps: 7,
            affine: AffineConfig::default(),
        }
    }
}

impl DeformationConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_lengths("deformation.velocity_scales", &self.velocity_scales)?;
        self.velocity_sd
            .check("deformation.velocity_sd", NOT_NEGATIVE)?;
        if !(1..=8).contains(&self.velocity_downsize) {
            return Err(Error::invalid(format!(
                "synth.deformation.velocity_downsize: expected 1 to 8, found {}",
                self.velocity_downsize
            )));
        }
        if !(1..=20).contains(&self.integration_steps) {
            return Err(Error::invalid(format!(
                "synth.deformation.integration_steps: expected 1 to 20 squarings, found {}",
                self.integration_steps
            )));
        }
        self.affine.check()
    }
}

/// One deformation phi = A exp(v) of a grid.
pub(super) struct Deformation {
    /// v on the coarser grid, in voxels of that grid, `[component, d, h, w]`.
    velocity: Vec<f32>,
    /// A; `None` is the identity.
    affine: Option<Matrix4<f64>>,
    steps: usize,
    coarse: Grid,
    grid: Grid,
}

impl Deformation {
    /// The random deformation of one image of the pair.
    pub fn draw(config: &DeformationConfig, grid: &Grid, seeds: &Seeds, side: Side) -> Self {
        let coarse = grid.coarser(config.velocity_downsize);
        let mut rng = seeds.rng(Step::Velocity, side, 0);
        let downsize = config.velocity_downsize as f64;
        let scales: Vec<f64> = grid
            .scales(&config.velocity_scales)
            .iter()
            .map(|s| s / downsize)
            .collect();
        let sd = config.velocity_sd.scaled(grid.length_factor);
        let octaves = noise::octaves(&scales, sd, &mut rng);
        let mut velocity = noise::smooth(&octaves, grid.axes(), coarse.extent, &mut rng);
        for (c, component) in velocity.chunks_exact_mut(coarse.voxels()).enumerate() {
            let to_coarse = 1.0 / step_ratio(&coarse, grid, c);
            component.iter_mut().for_each(|v| *v *= to_coarse);
        }
        let wanted = config
            .affine
            .wanted(&mut seeds.rng(Step::Affine, Side::Fixed, 0));
        let affine = wanted.then(|| {
            config
                .affine
                .draw(grid, &mut seeds.rng(Step::Affine, side, 1))
        });
        Self {
            velocity,
            affine,
            steps: config.integration_steps,
            coarse,
            grid: *grid,
        }
    }

    /// Displacement of exp(v) on the full grid, voxels, `[component, d, h, w]`.
    pub fn forward(&self) -> Vec<f32> {
        self.exponential(1.0)
    }

    /// Displacement of exp(-v), the inverse of exp(v), likewise.
    pub fn backward(&self) -> Vec<f32> {
        self.exponential(-1.0)
    }

    /// Displacement of A exp(v), given that of exp(v).
    pub fn with_affine<'a>(&self, forward: &'a [f32]) -> Cow<'a, [f32]> {
        apply_affine(self.affine, &self.grid, forward)
    }

    /// Displacement of exp(sign v) on the full grid.
    ///
    /// Outside the grid the displacement is that of the nearest edge voxel: zeros there would make a
    /// jump at the border, and folds.
    fn exponential(&self, sign: f32) -> Vec<f32> {
        let (axes, extent) = (self.grid.axes(), self.coarse.extent);
        let exponential = Exponential {
            shape: Shape::fields(extent, 1, axes, Border::Edge),
            squarings: self.steps,
            sign,
        };
        let u = exponential.displacement(&self.velocity);
        let mut full = Vec::with_capacity(axes * self.grid.voxels());
        for (c, component) in u.chunks_exact(self.coarse.voxels()).enumerate() {
            let scale = step_ratio(&self.coarse, &self.grid, c);
            full.extend(resize::linear(
                component,
                1,
                extent,
                self.grid.extent,
                scale,
            ));
        }
        full
    }
}

/// The true field of a pair, phi2^-1 phi1 as a pull on the fixed grid, voxels, `[component, d, h, w]`:
/// `moving(x + u(x)) = fixed(x)`.
///
/// `forward` is the displacement of exp(v1) of the fixed image, `backward` that of exp(-v2) of the
/// moving one.
pub(super) fn true_field(
    fixed: &Deformation,
    moving: &Deformation,
    forward: &[f32],
    backward: &[f32],
) -> Vec<f32> {
    let identity = Matrix4::identity();
    let relative = (fixed.affine.is_some() || moving.affine.is_some()).then(|| {
        let inverse = moving.affine.unwrap_or(identity).try_inverse();
        // Scales are at least 0.1 (see `AffineConfig::check`), so the inverse exists.
        inverse.unwrap_or(identity) * fixed.affine.unwrap_or(identity)
    });
    let grid = &fixed.grid;
    let flow = apply_affine(relative, grid, forward);
    field::compose(backward, &flow, grid.axes(), grid.extent, Border::Edge)
}

/// Displacement of `x -> matrix (x + u(x))`, `[component, d, h, w]` as `u`.
fn apply_affine<'a>(matrix: Option<Matrix4<f64>>, grid: &Grid, u: &'a [f32]) -> Cow<'a, [f32]> {
    let Some(matrix) = matrix else {
        return u.into();
    };
    let (voxels, width, first) = (grid.voxels(), grid.extent[2], 3 - grid.axes());
    let mut moved = vec![0.0; u.len()];
    moved
        .par_chunks_mut(width)
        .enumerate()
        .for_each(|(line, out)| {
            let (component, start) = (line * width / voxels, line * width % voxels);
            let axis = first + component;
            let origin = grid.position(start).map(|x| x as f64);
            for (step, out) in out.iter_mut().enumerate() {
                let mut position = origin;
                position[2] += step as f64;
                let mut to = matrix[(axis, 3)] - position[axis];
                for from in 0..3_usize {
                    let shift = if from < first {
                        0.0
                    } else {
                        f64::from(u[(from - first) * voxels + start + step])
                    };
                    to += matrix[(axis, from)] * (position[from] + shift);
                }
                *out = to as f32;
            }
        });
    moved.into()
}

/// Voxels of `grid` per voxel of `coarse` along component `c`, with aligned corners.
fn step_ratio(coarse: &Grid, grid: &Grid, c: usize) -> f32 {
    let axis = grid.axis(c);
    (grid.extent[axis] - 1) as f32 / (coarse.extent[axis] - 1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Dimension;

    const GRIDS: [(Dimension, [usize; 3]); 2] = [
        (Dimension::Two, [120, 100, 1]),
        (Dimension::Three, [48, 40, 56]),
    ];

    /// A deformation of a full-resolution velocity, without affine.
    fn integrated(velocity: Vec<f32>, grid: Grid) -> Deformation {
        Deformation {
            velocity,
            affine: None,
            steps: 7,
            coarse: grid,
            grid,
        }
    }

    #[test]
    fn a_constant_velocity_is_a_translation() {
        for (dimension, shape) in GRIDS {
            let grid = Grid::new(dimension, shape, 0.0).unwrap();
            let n = grid.voxels();
            let velocity = (0..grid.axes() * n).map(|i| 1.5 + (i / n) as f32);
            let deformation = integrated(velocity.collect(), grid);
            for (i, u) in deformation.forward().iter().enumerate() {
                // Doubling a power-of-two fraction of 1.5 and 2.5 is exact; 3.5 too.
                assert_eq!(*u, 1.5 + (i / n) as f32);
            }
        }
    }

    #[test]
    fn a_linear_velocity_gives_the_exponential() {
        // v(x) = a (x - c) moves x by (e^a - 1)(x - c). Inward, so that nothing is read from outside.
        let grid = Grid::new(Dimension::Two, [4, 81, 1], 0.0).unwrap();
        let (a, centre) = (-0.5_f32, 40.0);
        let along = |i: usize| (i % 81) as f32 - centre;
        let velocity = (0..2 * 324).map(|i| if i < 324 { 0.0 } else { a * along(i) });
        let deformation = integrated(velocity.collect(), grid);
        for (i, u) in deformation.forward().iter().enumerate().skip(324) {
            // Seven squarings stand for 128 Euler steps: (1 + a/128)^128, 0.1 % from e^a.
            let expected = (a.exp() - 1.0) * along(i);
            assert!(
                (u - expected).abs() <= 0.002 * expected.abs() + 1e-4,
                "{u} {expected}"
            );
        }
    }

    /// Distances in voxels between phi2(x + u(x)) and phi1(x), where both stay on the grid.
    fn inconsistencies(config: &DeformationConfig, grid: &Grid, index: u64) -> Vec<f32> {
        let seeds = Seeds::new(3, index);
        let phi1 = Deformation::draw(config, grid, &seeds, Side::Fixed);
        let phi2 = Deformation::draw(config, grid, &seeds, Side::Moving);
        let truth = true_field(&phi1, &phi2, &phi1.forward(), &phi2.backward());
        let whole = |phi: &Deformation| phi.with_affine(&phi.forward()).into_owned();
        let [first, second] = [&phi1, &phi2].map(whole);
        let (axes, extent, n) = (grid.axes(), grid.extent, grid.voxels());
        let there = field::compose(&second, &truth, axes, extent, Border::Edge);
        let inside = |u: &[f32], x: usize| {
            let at = grid.position(x);
            (0..axes).all(|c| {
                let axis = grid.axis(c);
                let to = at[axis] as f32 + u[c * n + x];
                (0.0..=(extent[axis] - 1) as f32).contains(&to)
            })
        };
        let distance = |x: usize| {
            let square = |c: usize| (there[c * n + x] - first[c * n + x]).powi(2);
            (0..axes).map(square).sum::<f32>().sqrt()
        };
        let kept = (0..n).filter(|&x| inside(&truth, x) && inside(&first, x));
        kept.map(distance).collect()
    }

    #[test]
    fn the_true_field_leads_where_the_definition_says() {
        let mut with_affine = DeformationConfig::default();
        with_affine.affine.prob = 1.0;
        for config in [DeformationConfig::default(), with_affine] {
            for (dimension, shape) in GRIDS {
                let grid = Grid::new(dimension, shape, 256.0).unwrap();
                let mut all: Vec<f32> = (0..3)
                    .flat_map(|index| inconsistencies(&config, &grid, index))
                    .collect();
                assert!(all.len() > grid.voxels());
                all.sort_by(f32::total_cmp);
                let [middle, most] = [all.len() / 2, all.len() * 99 / 100].map(|i| all[i]);
                // What interpolation of a velocity with kinks at its nodes leaves, in voxels; the
                // displacements themselves are of several voxels.
                assert!(middle < 0.1 && most < 0.5, "{shape:?}: {middle} {most}");
            }
        }
    }
}
