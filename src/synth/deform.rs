//! Smooth random deformations of a label map, and the true field between two of them.
//!
//! A deformation is phi(x) = A exp(v)(x): a smooth random stationary velocity v, integrated by scaling
//! and squaring on a coarser grid (Arsigny et al., MICCAI 2006), then an affine A. Because the inverse
//! of exp(v) is exp(-v), the true field needs no numerical inversion:
//! phi2^-1 phi1 = exp(-v2) A2^-1 A1 exp(v1).

use std::borrow::Cow;

use nalgebra::Matrix4;
use serde::{Deserialize, Serialize};

use super::affine::AffineConfig;
use super::engine::Engine;
use super::grid::Grid;
use super::noise;
use super::range::{Range, STRENGTH, check_lengths};
use super::seeds::{Seeds, Side, Step};
use crate::error::{Error, Result};

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
            .check("deformation.velocity_sd", STRENGTH)?;
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
pub(super) struct Deformation<'a, E: Engine> {
    engine: &'a E,
    /// v on the coarser grid, in voxels of that grid.
    velocity: E::Array,
    /// A; `None` is the identity.
    affine: Option<Matrix4<f64>>,
    steps: usize,
    coarse: Grid,
    grid: Grid,
}

impl<'a, E: Engine> Deformation<'a, E> {
    /// The random deformation of one image of the pair.
    pub fn draw(
        engine: &'a E,
        config: &DeformationConfig,
        grid: &Grid,
        seeds: &Seeds,
        side: Side,
    ) -> Self {
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
        let lattices = noise::lattices(&octaves, grid.axes(), coarse.extent, &mut rng);
        let to_coarse: Vec<f32> = (0..grid.axes())
            .map(|c| 1.0 / grid.step_ratio(&coarse, c))
            .collect();
        let wanted = config
            .affine
            .wanted(&mut seeds.rng(Step::Affine, Side::Fixed, 0));
        let affine = wanted.then(|| {
            config
                .affine
                .draw(grid, &mut seeds.rng(Step::Affine, side, 1))
        });
        Self {
            engine,
            velocity: engine.smooth(&lattices, &to_coarse, &coarse),
            affine,
            steps: config.integration_steps,
            coarse,
            grid: *grid,
        }
    }

    /// Displacement of exp(v) on the full grid, voxels.
    pub fn forward(&self) -> E::Array {
        self.exponential(1.0)
    }

    /// Displacement of exp(-v), the inverse of exp(v), likewise.
    pub fn backward(&self) -> E::Array {
        self.exponential(-1.0)
    }

    /// Displacement of A exp(v), given that of exp(v).
    pub fn with_affine<'b>(&self, forward: &'b E::Array) -> Cow<'b, E::Array> {
        apply_affine(self.engine, self.affine, &self.grid, forward)
    }

    fn exponential(&self, sign: f32) -> E::Array {
        self.engine
            .exponential(&self.velocity, sign, self.steps, &self.coarse, &self.grid)
    }
}

/// The true field of a pair, phi2^-1 phi1 as a pull on the fixed grid, voxels:
/// `moving(x + u(x)) = fixed(x)`.
///
/// `forward` is the displacement of exp(v1) of the fixed image, `backward` that of exp(-v2) of the
/// moving one.
pub(super) fn true_field<E: Engine>(
    fixed: &Deformation<E>,
    moving: &Deformation<E>,
    forward: &E::Array,
    backward: &E::Array,
) -> E::Array {
    let identity = Matrix4::identity();
    let relative = (fixed.affine.is_some() || moving.affine.is_some()).then(|| {
        let inverse = moving.affine.unwrap_or(identity).try_inverse();
        // Scales are at least 0.1 (see `AffineConfig::check`), so the inverse exists.
        inverse.unwrap_or(identity) * fixed.affine.unwrap_or(identity)
    });
    let grid = &fixed.grid;
    let flow = apply_affine(fixed.engine, relative, grid, forward);
    fixed.engine.compose(backward, &flow, grid)
}

/// Displacement of `x -> matrix (x + u(x))`.
fn apply_affine<'a, E: Engine>(
    engine: &E,
    matrix: Option<Matrix4<f64>>,
    grid: &Grid,
    u: &'a E::Array,
) -> Cow<'a, E::Array> {
    match matrix {
        None => Cow::Borrowed(u),
        Some(matrix) => {
            let map = [0, 1, 2].map(|row| [0, 1, 2, 3].map(|column| matrix[(row, column)]));
            Cow::Owned(engine.affine(u, &map, grid))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::field;
    use crate::kernels::warp::Border;
    use crate::synth::Host;
    use crate::volume::Dimension;

    const GRIDS: [(Dimension, [usize; 3]); 2] = [
        (Dimension::Two, [120, 100, 1]),
        (Dimension::Three, [48, 40, 56]),
    ];

    /// A deformation of a full-resolution velocity, without affine.
    fn integrated(velocity: Vec<f32>, grid: Grid) -> Deformation<'static, Host> {
        Deformation {
            engine: &Host,
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
        let phi1 = Deformation::draw(&Host, config, grid, &seeds, Side::Fixed);
        let phi2 = Deformation::draw(&Host, config, grid, &seeds, Side::Moving);
        let truth = true_field(&phi1, &phi2, &phi1.forward(), &phi2.backward());
        let whole = |phi: &Deformation<Host>| phi.with_affine(&phi.forward()).into_owned();
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
