//! One synthetic pair: a label map, two deformations of it, two images of these, and the true field.

use ndarray::{Array3, Array4};
use rayon::prelude::*;

use super::artefact::{Artefact, Site};
use super::config::SynthConfig;
use super::contrast::{self, Sharing, Tissue};
use super::deform::{Deformation, true_field};
use super::grid::{CHUNK, Grid};
use super::labels::LabelSource;
use super::seeds::{Seeds, Side, Step};
use crate::error::{Error, Result};
use crate::kernels::warp::{self, Border};
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
    let moving_labels = pull_labels(&labels.index, phi2.with_affine(phi2.forward()), &grid);
    let forward = phi1.forward();
    let field = true_field(&phi1, &phi2, forward.clone(), &phi2.backward());
    let fixed_labels = pull_labels(&labels.index, phi1.with_affine(forward), &grid);

    let count = labels.ids.len();
    let [fixed, moving] = images(
        config,
        &grid,
        &seeds,
        count,
        [&fixed_labels, &moving_labels],
    );
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
fn pull_labels(labels: &[u16], u: Vec<f32>, grid: &Grid) -> Vec<u16> {
    let (extent, axes) = (grid.extent, grid.axes());
    warp::nearest(labels, extent, &u, extent, 1, 1, axes, Border::Zeros)
}

/// The images of the fixed and the moving labels, in [0, 1].
fn images(
    config: &SynthConfig,
    grid: &Grid,
    seeds: &Seeds,
    count: usize,
    labels: [&[u16]; 2],
) -> [Vec<f32>; 2] {
    let sites = [Side::Fixed, Side::Moving].map(|own| Site {
        grid,
        seeds,
        own,
        common: config.contrast.pair.stream(own),
    });
    let run = |artefacts: &[Artefact], site: Site<'_>, image: Vec<f32>| {
        let apply = |image, a: &Artefact| a.maybe_apply(config, site, image);
        artefacts.iter().fold(image, apply)
    };
    let signal = |number: usize| {
        let site = sites[number];
        let mut rng = seeds.rng(Step::Intensity, site.common, 0);
        let tissues: Vec<Tissue> = contrast::draw(&config.contrast, count, &mut rng);
        let painted = contrast::paint(labels[number], &tissues, seeds, site.own);
        run(Artefact::OF_SIGNAL, site, painted)
    };
    let scaled = normalise([signal(0), signal(1)], config.contrast.pair);
    let mut sites = sites.into_iter();
    scaled.map(|image| match sites.next() {
        Some(site) => run(Artefact::OF_IMAGE, site, image),
        None => image,
    })
}

/// Clips to [0, 1], then stretches to the whole of it: both images alike if they share their contrast.
fn normalise(images: [Vec<f32>; 2], sharing: Sharing) -> [Vec<f32>; 2] {
    let ranges = [0, 1].map(|i| clipped_range(&images[i]));
    let both = (ranges[0].0.min(ranges[1].0), ranges[0].1.max(ranges[1].1));
    let mut ranges = ranges.into_iter();
    images.map(|image| {
        let own = ranges.next().unwrap_or(both);
        stretch(
            image,
            match sharing {
                Sharing::Shared => both,
                Sharing::Independent => own,
            },
        )
    })
}

fn clipped_range(image: &[f32]) -> (f32, f32) {
    let merge = |a: (f32, f32), b: (f32, f32)| (a.0.min(b.0), a.1.max(b.1));
    image
        .par_chunks(CHUNK)
        .map(|chunk| {
            let range = chunk.iter().fold((1.0_f32, 0.0_f32), |(low, high), v| {
                (low.min(*v), high.max(*v))
            });
            (range.0.max(0.0), range.1.min(1.0))
        })
        .reduce(|| (1.0, 0.0), merge)
}

fn stretch(mut image: Vec<f32>, (low, high): (f32, f32)) -> Vec<f32> {
    // An image of one intensity stays dark rather than being divided by zero.
    let scale = if high > low { 1.0 / (high - low) } else { 0.0 };
    image.par_chunks_mut(CHUNK).for_each(|chunk| {
        let to = |v: &mut f32| *v = ((v.clamp(low, high) - low) * scale).min(1.0);
        chunk.iter_mut().for_each(to);
    });
    image
}
