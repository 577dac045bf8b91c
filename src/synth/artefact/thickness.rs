//! Thick slices: low resolution along one axis.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::blur::gaussian;
use crate::error::Result;
use crate::kernels::resize;
use crate::synth::grid::Grid;
use crate::synth::range::{Range, check_probability};

/// Standard deviation of a Gaussian slice profile of unit full width at half maximum.
const SD_OF_UNIT_FWHM: f64 = 0.424_660_9;

/// Thick slices along one random axis: averaged over a slice profile, sampled once a slice, and
/// interpolated back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ThicknessConfig {
    /// SynthMorph: 0 by default, 1 in its training of anatomy-aware models.
    pub prob: f64,
    /// Slice thickness and distance, voxels. SynthMorph: 1..8.
    pub voxels: Range,
}

impl Default for ThicknessConfig {
    fn default() -> Self {
        Self {
            prob: 0.0,
            voxels: Range::new(1.0, 8.0),
        }
    }
}

impl ThicknessConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_probability("thickness.prob", self.prob)?;
        self.voxels
            .check("thickness.voxels", Range::new(1.0, 100.0))
    }

    pub(super) fn apply(&self, grid: &Grid, rng: &mut impl Rng, image: Vec<f32>) -> Vec<f32> {
        let axis = grid.axis(rng.random_range(0..grid.axes()));
        let thickness = self.voxels.draw(rng);
        let extent = grid.extent;
        let mut slices = extent;
        slices[axis] = ((extent[axis] as f64 / thickness).round() as usize).max(2);
        if slices[axis] >= extent[axis] {
            return image;
        }
        let averaged = gaussian(image, extent, axis, thickness * SD_OF_UNIT_FWHM);
        let sampled = resize::linear(&averaged, 1, extent, slices, 1.0);
        resize::linear(&sampled, 1, slices, extent, 1.0)
    }
}
