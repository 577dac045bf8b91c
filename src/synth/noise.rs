//! Smooth noise: coarse Gaussian grids, linearly interpolated and summed over scales.
//!
//! The "Perlin noise" of SynthMorph (Hoffmann et al., TMI 2022; `draw_perlin` of neurite): for each
//! scale s a grid of ceil(n / s) normal samples per axis, resized with aligned corners.

use rand::Rng;
use rand::RngExt;
use rand_distr::StandardNormal;

use super::engine::{Engine, Lattice};
use super::grid::Grid;
use super::range::Range;

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

/// The nodes of `channels` independent channels of smooth noise on a grid of `extent`, one lattice an octave.
pub(super) fn lattices(
    octaves: &[Octave],
    channels: usize,
    extent: [usize; 3],
    rng: &mut impl Rng,
) -> Vec<Lattice> {
    let lattice = |octave: &Octave| {
        let nodes = extent.map(|n| (n as f64 / octave.scale).ceil() as usize);
        let count = channels * nodes.iter().product::<usize>();
        let sample = |_| octave.sd as f32 * rng.sample::<f32, _>(StandardNormal);
        Lattice {
            extent: nodes,
            values: (0..count).map(sample).collect(),
        }
    };
    octaves.iter().map(lattice).collect()
}

/// One channel of smooth noise on the whole of `grid` at node distances `lengths` (of the config).
pub(super) fn smooth_on<E: Engine>(
    engine: &E,
    grid: &Grid,
    lengths: &[f64],
    sd: Range,
    rng: &mut impl Rng,
) -> E::Array {
    let octaves = octaves(&grid.scales(lengths), sd, rng);
    let lattices = lattices(&octaves, 1, grid.extent, rng);
    engine.smooth(&lattices, &[1.0], grid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::Host;
    use crate::synth::seeds::{Seeds, Side, Step};
    use crate::volume::Dimension;

    /// Channels of smooth noise on a 2-D grid, one behind the other.
    fn smooth(octaves: &[Octave], channels: usize, side: usize, rng: &mut impl Rng) -> Vec<f32> {
        let grid = Grid::new(Dimension::Two, [side, side, 1], 0.0).unwrap();
        let lattices = lattices(octaves, channels, grid.extent, rng);
        Host.smooth(&lattices, &vec![1.0; channels], &grid)
    }

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
        let field = smooth(&[octave], 40, 61, &mut rng);
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
        let corner = |_| smooth(&octaves, 1, 9, &mut rng)[0];
        let corners: Vec<f32> = (0..4000).map(corner).collect();
        let expected = octaves.iter().map(|o| o.sd * o.sd).sum::<f64>().sqrt();
        // 5 / sqrt(2 * 4000) = 5.6 %.
        assert!((deviation(&corners) / expected - 1.0).abs() < 0.056);
    }
}
