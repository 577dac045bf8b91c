//! One synthetic pair: a label map, two deformations of it, two images of these, and the true field.

use ndarray::{Array3, Array4};
use rayon::prelude::*;

use super::config::SynthConfig;
use super::deform::{Deformation, true_field};
use super::grid::Grid;
use super::labels::LabelSource;
use super::paint::Painter;
use super::seeds::{Seeds, Side};
use crate::error::{Error, Result};
use crate::kernels::warp::{self, Border, Shape};
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

/// Pair `index` of the endless set that `seed` stands for.
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
    config.check()?;
    let grid = Grid::new(dimension, shape, config.reference_size)?;
    let seeds = Seeds::new(seed, index);
    let labels = source.draw(config, &grid, &seeds)?;

    let phi1 = Deformation::draw(&config.deformation, &grid, &seeds, Side::Fixed);
    let phi2 = Deformation::draw(&config.deformation, &grid, &seeds, Side::Moving);
    let moving_labels = pull_labels(&labels.index, &phi2.with_affine(&phi2.forward()), &grid);
    let forward = phi1.forward();
    let fixed_labels = pull_labels(&labels.index, &phi1.with_affine(&forward), &grid);
    let field = true_field(&phi1, &phi2, &forward, &phi2.backward());

    let painter = Painter {
        config,
        grid: &grid,
        seeds: &seeds,
        labels: labels.ids.len(),
    };
    let [fixed, moving] = painter.images(&fixed_labels, &moving_labels);
    let shape = grid.array_shape();
    let numbers = |index: Vec<u16>| -> Result<Array3<i32>> {
        let numbers = index.par_iter().map(|&i| labels.ids[usize::from(i)]);
        array(shape, numbers.collect())
    };
    Ok(SynthPair {
        fixed: array(shape, fixed)?,
        moving: array(shape, moving)?,
        fixed_labels: numbers(fixed_labels)?,
        moving_labels: numbers(moving_labels)?,
        field: Array4::from_shape_vec((grid.axes(), shape[0], shape[1], shape[2]), field)
            .map_err(|e| Error::invalid(format!("synth: true field: {e}")))?,
    })
}

fn array<T>(shape: [usize; 3], values: Vec<T>) -> Result<Array3<T>> {
    Array3::from_shape_vec(shape, values).map_err(|e| Error::invalid(format!("synth: {e}")))
}

/// `labels` pulled through the displacement `u`; background comes in from outside.
fn pull_labels(labels: &[u16], u: &[f32], grid: &Grid) -> Vec<u16> {
    let shape = Shape::one(grid.extent, grid.axes(), Border::Zeros);
    warp::nearest(labels, u, &shape)
}
