//! Cropped field of view: zeros beyond a plane.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::Site;
use crate::error::Result;
use crate::synth::engine::Engine;
use crate::synth::range::{Range, check_probability};

/// Zeros at one end of one random axis; labels and true field keep the whole object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CropConfig {
    /// SynthMorph: 0 by default, 1 in its training of anatomy-aware models.
    pub prob: f64,
    /// Part of the axis that is lost. SynthMorph: up to 0.2.
    pub fraction: Range,
}

impl Default for CropConfig {
    fn default() -> Self {
        Self {
            prob: 0.0,
            fraction: Range::new(0.0, 0.2),
        }
    }
}

impl CropConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_probability("crop.prob", self.prob)?;
        self.fraction.check("crop.fraction", Range::new(0.0, 0.9))
    }

    pub(super) fn apply<E: Engine>(
        &self,
        site: &Site<'_, E>,
        rng: &mut impl Rng,
        image: E::Array,
    ) -> E::Array {
        let grid = site.grid;
        let axis = grid.axis(rng.random_range(0..grid.axes()));
        let n = grid.extent[axis];
        let lost = (self.fraction.draw(rng) * n as f64).round() as usize;
        let dark = if rng.random_bool(0.5) {
            0..lost
        } else {
            n - lost..n
        };
        site.engine.darken(image, axis, dark, grid)
    }
}
