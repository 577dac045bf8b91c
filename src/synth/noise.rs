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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::seeds::{Seeds, Side, Step};

    fn deviation(values: &[f32]) -> f64 {
        let mean_square = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
        (mean_square / values.len() as f64).sqrt()
    }

    #[test]
    fn nodes_have_the_deviation_asked_for_and_lines_between_them_are_straight() {
        // ceil(64 / 4) = 16 nodes over 61 voxels would not fall on voxels; 61 = 15 * 4 + 1 do.
        let octave = Octave {
            scale: 4.0,
            sd: 2.5,
        };
        let mut rng = Seeds::new(1, 0).rng(Step::Shapes, Side::Fixed, 0);
        let extent = [1, 61, 61];
        let field = smooth(&[octave], 40, extent, &mut rng);
        let row = |y: usize| &field[y * 61..][..61];
        for x in 0..15 {
            let (a, b) = (row(8)[4 * x], row(8)[4 * x + 4]);
            assert!((row(8)[4 * x + 1] - (0.75 * a + 0.25 * b)).abs() < 1e-5);
        }
        let nodes: Vec<f32> = (0..field.len())
            .filter(|i| (i / 61 % 61).is_multiple_of(4) && (i % 61).is_multiple_of(4))
            .map(|i| field[i])
            .collect();
        // 40 x 256 normal samples: the SD is within 5 / sqrt(2 * 10240) = 3.5 %.
        assert_eq!(nodes.len(), 40 * 256);
        assert!((deviation(&nodes) / 2.5 - 1.0).abs() < 0.035);
    }

    #[test]
    fn octaves_add_up_and_draw_their_deviation_from_the_range() {
        let range = Range::new(0.5, 2.0);
        let mut rng = Seeds::new(1, 0).rng(Step::Shapes, Side::Fixed, 0);
        let octaves = octaves(&[8.0, 16.0, 32.0], range, &mut rng);
        assert!(octaves.iter().all(|o| (0.5..=2.0).contains(&o.sd)));
        assert!(octaves[0].sd != octaves[1].sd && octaves[1].sd != octaves[2].sd);
        // The corner of the grid is a node of every octave: variances add.
        let corner = |_| smooth(&octaves, 1, [1, 9, 9], &mut rng)[0];
        let corners: Vec<f32> = (0..4000).map(corner).collect();
        let expected = octaves.iter().map(|o| o.sd * o.sd).sum::<f64>().sqrt();
        // 5 / sqrt(2 * 4000) = 5.6 %.
        assert!((deviation(&corners) / expected - 1.0).abs() < 0.056);
    }
}
