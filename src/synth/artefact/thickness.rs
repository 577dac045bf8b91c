//! Thick slices: low resolution along one axis.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::Site;
use crate::error::Result;
use crate::synth::engine::Engine;
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

    pub(super) fn apply<E: Engine>(
        &self,
        site: &Site<'_, E>,
        rng: &mut impl Rng,
        image: E::Array,
    ) -> E::Array {
        let grid = site.grid;
        let axis = grid.axis(rng.random_range(0..grid.axes()));
        let thickness = self.voxels.draw(rng);
        let mut slices = grid.extent;
        slices[axis] = ((grid.extent[axis] as f64 / thickness).round() as usize).max(2);
        if slices[axis] >= grid.extent[axis] {
            return image;
        }
        let sd = thickness * SD_OF_UNIT_FWHM;
        let averaged = site.engine.gaussian(image, axis, sd, grid);
        site.engine.resampled(averaged, slices, grid)
    }
}
