//! One synthetic pair: a label map, two deformations of it, two images of these, and the true field.

use ndarray::{Array3, Array4};
use rayon::prelude::*;

use super::config::SynthConfig;
use super::deform::{Deformation, true_field};
use super::engine::Engine;
use super::grid::Grid;
use super::host::Host;
use super::labels::LabelSource;
use super::paint::Painter;
use super::seeds::{Seeds, Side};
use crate::error::{Error, Result};
use crate::volume::Dimension;

/// Two images of one object in two shapes, with what is true about them.
#[derive(Debug, Clone, PartialEq)]
pub struct SynthPair {
    /// Intensities in [0, 1], `(i, j, k)`.
    pub fixed: Array3<f32>,
    pub moving: Array3<f32>,
    /// Labels by their own numbers; 0 is background.
    pub fixed_labels: Array3<i32>,
    pub moving_labels: Array3<i32>,
    /// Pull on the fixed grid in voxels, `[component, i, j, k]`: `moving(x + u(x)) = fixed(x)`.
    pub field: Array4<f32>,
}

/// Pair `index` of the endless set that `seed` stands for, on the CPU.
///
/// The result depends on the arguments alone: not on the number of threads, nor on what was made before.
/// `shape` is `(i, j, k)`, with `k = 1` in 2-D.
///
/// # Errors
/// Settings out of range, a shape that does not suit the dimension, label maps of another grid.
pub fn make_pair(
    config: &SynthConfig,
    source: &LabelSource,
    dimension: Dimension,
    shape: [usize; 3],
    seed: u64,
    index: u64,
) -> Result<SynthPair> {
    Recipe {
        config,
        source,
        dimension,
        shape,
        seed,
        index,
    }
    .pair()
}

fn array<T>(shape: [usize; 3], values: Vec<T>) -> Result<Array3<T>> {
    Array3::from_shape_vec(shape, values).map_err(|e| Error::invalid(format!("synth: {e}")))
}

/// What one pair is made by; see [`make_pair`] about the result.
#[derive(Debug, Clone, Copy)]
pub struct Recipe<'a> {
    pub config: &'a SynthConfig,
    pub source: &'a LabelSource,
    pub dimension: Dimension,
    /// `(i, j, k)`, with `k = 1` in 2-D.
    pub shape: [usize; 3],
    pub seed: u64,
    pub index: u64,
}

/// A pair as the arrays of an engine.
pub struct Made<'a, E: Engine> {
    pub grid: Grid,
    /// Intensities in [0, 1].
    pub fixed: E::Array,
    pub moving: E::Array,
    /// Places in `ids`.
    pub fixed_labels: E::Labels,
    pub moving_labels: E::Labels,
    /// Numbers of the labels, ascending but for background, which comes first.
    pub ids: Vec<i32>,
    fixed_deformation: Deformation<'a, E>,
    moving_deformation: Deformation<'a, E>,
    /// Displacement of the fixed deformation without its affine part.
    forward: E::Array,
}

impl Recipe<'_> {
    /// The pair, made on the CPU.
    ///
    /// # Errors
    /// Those of [`make_pair`].
    pub fn pair(&self) -> Result<SynthPair> {
        let made = self.make(&Host)?;
        let [fixed_labels, moving_labels] = made.label_maps()?;
        let field = made.field_map()?;
        let [fixed, moving] = made.into_images()?;
        Ok(SynthPair {
            fixed,
            moving,
            fixed_labels,
            moving_labels,
            field,
        })
    }

    /// The pair, made by `engine`.
    ///
    /// # Errors
    /// Those of [`make_pair`].
    pub fn make<'a, E: Engine>(&self, engine: &'a E) -> Result<Made<'a, E>> {
        let config = self.config;
        config.check()?;
        let grid = Grid::new(self.dimension, self.shape, config.reference_size)?;
        let seeds = Seeds::new(self.seed, self.index);
        let (labels, ids) = self.source.draw(engine, config, &grid, &seeds)?;

        let draw = |side| Deformation::draw(engine, &config.deformation, &grid, &seeds, side);
        let (phi1, phi2) = (draw(Side::Fixed), draw(Side::Moving));
        let moving_labels = engine.pull(&labels, &phi2.with_affine(&phi2.forward()), &grid);
        let forward = phi1.forward();
        let fixed_labels = engine.pull(&labels, &phi1.with_affine(&forward), &grid);

        let painter = Painter {
            engine,
            config,
            grid: &grid,
            seeds: &seeds,
            labels: ids.len(),
        };
        let [fixed, moving] = painter.images(&fixed_labels, &moving_labels);
        Ok(Made {
            grid,
            fixed,
            moving,
            fixed_labels,
            moving_labels,
            ids,
            fixed_deformation: phi1,
            moving_deformation: phi2,
            forward,
        })
    }
}

impl<E: Engine> Made<'_, E> {
    /// The true field: pull on the fixed grid in voxels, `moving(x + u(x)) = fixed(x)`.
    pub fn field(&self) -> E::Array {
        let (fixed, moving) = (&self.fixed_deformation, &self.moving_deformation);
        true_field(fixed, moving, &self.forward, &moving.backward())
    }
}

impl Made<'_, Host> {
    /// Fixed and moving labels by their own numbers, `(i, j, k)`.
    ///
    /// # Errors
    /// Values that do not fill the grid, here and below: a mistake of the engine.
    pub fn label_maps(&self) -> Result<[Array3<i32>; 2]> {
        let map = |places: &[u16]| {
            let numbers = places.par_iter().map(|&place| self.ids[usize::from(place)]);
            array(self.grid.array_shape(), numbers.collect())
        };
        Ok([map(&self.fixed_labels)?, map(&self.moving_labels)?])
    }

    /// [`Made::field`] as `[component, i, j, k]`.
    pub fn field_map(&self) -> Result<Array4<f32>> {
        let [i, j, k] = self.grid.array_shape();
        Array4::from_shape_vec((self.grid.axes(), i, j, k), self.field())
            .map_err(|e| Error::invalid(format!("synth: true field: {e}")))
    }

    /// Fixed and moving image, `(i, j, k)`.
    pub fn into_images(self) -> Result<[Array3<f32>; 2]> {
        let shape = self.grid.array_shape();
        Ok([array(shape, self.fixed)?, array(shape, self.moving)?])
    }
}
