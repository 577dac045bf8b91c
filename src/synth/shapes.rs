//! Label maps of random smooth shapes (SynthMorph: Hoffmann et al., TMI 2022).
//!
//! Each label has a channel of smooth noise, bent by a smooth random displacement; a voxel gets the
//! label whose channel is highest there. Each is made on a coarser grid and interpolated, which is
//! several times faster and lost on shapes this smooth.

use serde::{Deserialize, Serialize};

use super::engine::{Channel, Engine};
use super::grid::Grid;
use super::noise;
use super::range::{Range, STRENGTH, check_lengths};
use super::seeds::{Seeds, Side, Step};
use crate::error::{Error, Result};

/// Random shapes. Defaults: the SynthMorph shapes demo (256 x 256, 16 labels).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShapesConfig {
    /// Number of labels, background (0) included. SynthMorph demo: 16.
    pub labels: usize,
    /// Node distances of the noise of each label, voxels at `reference_size`. SynthMorph demo: 32, 64.
    pub scales: Vec<f64>,
    /// SD of that noise, drawn per scale (only the ratio between scales matters). Demo: up to 1.
    pub noise_sd: Range,
    /// Node distances of the displacement that bends each channel, voxels at `reference_size`.
    /// SynthMorph demo: 16, 32, 64.
    pub warp_scales: Vec<f64>,
    /// SD of that displacement, drawn per scale, voxels at `reference_size`. SynthMorph demo: up to 16.
    pub warp_sd: Range,
}

impl Default for ShapesConfig {
    fn default() -> Self {
        Self {
            labels: 16,
            scales: vec![32.0, 64.0],
            noise_sd: Range::new(0.0, 1.0),
            warp_scales: vec![16.0, 32.0, 64.0],
            warp_sd: Range::new(0.0, 16.0),
        }
    }
}

impl ShapesConfig {
    pub(super) fn check(&self) -> Result<()> {
        if !(2..=usize::from(u8::MAX) + 1).contains(&self.labels) {
            return Err(Error::invalid(format!(
                "synth.shapes.labels: expected 2 to 256 labels, background included, found {}",
                self.labels
            )));
        }
        check_lengths("shapes.scales", &self.scales)?;
        check_lengths("shapes.warp_scales", &self.warp_scales)?;
        self.noise_sd.check("shapes.noise_sd", STRENGTH)?;
        self.warp_sd.check("shapes.warp_sd", STRENGTH)
    }
}

/// The channels are made on a grid this many times coarser.
const DOWNSIZE: usize = 2;

/// Labels `0..config.labels` on `grid`.
pub(super) fn label_map<E: Engine>(
    engine: &E,
    config: &ShapesConfig,
    grid: &Grid,
    seeds: &Seeds,
) -> E::Labels {
    let coarse = 1.0 / DOWNSIZE as f64;
    let scales = |lengths: &[f64]| -> Vec<f64> {
        let voxels = grid.scales(lengths).into_iter();
        voxels.map(|scale| scale * coarse).collect()
    };
    // Deviations are drawn once, not per channel: all channels compete on equal terms.
    let mut rng = seeds.rng(Step::Shapes, Side::Fixed, 0);
    let height = noise::octaves(&scales(&config.scales), config.noise_sd, &mut rng);
    let warp_sd = config.warp_sd.scaled(grid.length_factor * coarse);
    let bend = noise::octaves(&scales(&config.warp_scales), warp_sd, &mut rng);

    let coarse = grid.coarser(DOWNSIZE);
    let channels = (0..config.labels).map(|label| {
        let mut rng = seeds.rng(Step::ShapeChannel, Side::Fixed, label as u64);
        Channel {
            height: noise::lattices(&height, 1, coarse.extent, &mut rng),
            bend: noise::lattices(&bend, grid.axes(), coarse.extent, &mut rng),
        }
    });
    engine.highest(channels, &coarse, grid)
}
