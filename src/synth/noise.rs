//! Smooth noise: coarse Gaussian grids, linearly interpolated and summed over scales.
//!
//! The "Perlin noise" of SynthMorph (Hoffmann et al., TMI 2022; `draw_perlin` of neurite): for each
//! scale s a grid of ceil(n / s) normal samples per axis, resized with aligned corners.

use rand::Rng;
use rand::RngExt;
use rand_distr::StandardNormal;
use rayon::prelude::*;

use super::grid::{CHUNK, Grid};
use super::range::Range;
use crate::kernels::resize;

/// Node distance (voxels) and standard deviation of one octave of smooth noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Octave {
    pub scale: f64,
    pub sd: f64,
}

/// One octave per scale, each with its own standard deviation drawn from `sd`.
pub(super) fn octaves(scales: &[f64], sd: Range, rng: &mut impl Rng) -> Vec<Octave> {
    let octave = |&scale: &f64| Octave {
        scale,
        sd: sd.draw(rng),
    };
    scales.iter().map(octave).collect()
}

/// `items` independent fields of smooth noise, `[item, d, h, w]`.
pub(super) fn smooth(
    octaves: &[Octave],
    items: usize,
    extent: [usize; 3],
    rng: &mut impl Rng,
) -> Vec<f32> {
    let mut sum: Option<Vec<f32>> = None;
    for octave in octaves {
        let nodes = extent.map(|n| (n as f64 / octave.scale).ceil() as usize);
        let coarse: Vec<f32> = (0..items * nodes.iter().product::<usize>())
            .map(|_| octave.sd as f32 * rng.sample::<f32, _>(StandardNormal))
            .collect();
        let fine = resize::linear(&coarse, items, nodes, extent, 1.0);
        match &mut sum {
            None => sum = Some(fine),
            Some(sum) => add(sum, &fine),
        }
    }
    sum.unwrap_or_else(|| vec![0.0; items * extent.iter().product::<usize>()])
}

/// `sum += term`, element by element.
pub(super) fn add(sum: &mut [f32], term: &[f32]) {
    sum.par_chunks_mut(CHUNK)
        .zip(term.par_chunks(CHUNK))
        .for_each(|(sum, term)| sum.iter_mut().zip(term).for_each(|(s, t)| *s += t));
}

/// Smooth noise on the whole of `grid` at node distances `lengths` (of the config).
pub(super) fn smooth_on(grid: &Grid, lengths: &[f64], sd: Range, rng: &mut impl Rng) -> Vec<f32> {
    let octaves = octaves(&grid.scales(lengths), sd, rng);
    smooth(&octaves, 1, grid.extent, rng)
}
