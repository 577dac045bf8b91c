//! Gaussian blur, separable, with its own width along each axis.

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::Site;
use crate::error::Result;
use crate::synth::engine::Engine;
use crate::synth::range::{Range, check_probability};

/// Gaussian blur of the image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BlurConfig {
    pub prob: f64,
    /// SD of the kernel, drawn for each axis, voxels. SynthMorph: up to 1.
    pub sd: Range,
}

impl Default for BlurConfig {
    fn default() -> Self {
        Self {
            prob: 1.0,
            sd: Range::new(0.0, 1.0),
        }
    }
}

impl BlurConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_probability("blur.prob", self.prob)?;
        self.sd.check("blur.sd", Range::new(0.0, 100.0))
    }

    pub(super) fn apply<E: Engine>(
        &self,
        site: &Site<'_, E>,
        rng: &mut impl Rng,
        mut image: E::Array,
    ) -> E::Array {
        let grid = site.grid;
        for c in 0..grid.axes() {
            let sd = self.sd.draw(rng);
            image = site.engine.gaussian(image, grid.axis(c), sd, grid);
        }
        image
    }
}
