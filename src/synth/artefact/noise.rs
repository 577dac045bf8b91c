//! Gaussian noise of the measurement, after blur: neighbouring voxels are independent.

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::Site;
use crate::error::Result;
use crate::synth::engine::{Engine, VoxelNoise};
use crate::synth::range::{Range, UNIT, check_probability};
use crate::synth::seeds::Step;

/// White Gaussian noise, added on top of the variation within labels (`contrast.sd`), always
/// independent between the images of a pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NoiseConfig {
    /// Default 0, as SynthMorph: the variation within labels is its only noise.
    pub prob: f64,
    /// SD of the noise, as part of the full scale.
    pub sd: Range,
}

impl Default for NoiseConfig {
    fn default() -> Self {
        Self {
            prob: 0.0,
            sd: Range::new(0.0, 0.1),
        }
    }
}

impl NoiseConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_probability("noise.prob", self.prob)?;
        self.sd.check("noise.sd", UNIT)
    }

    pub(super) fn apply<E: Engine>(
        &self,
        site: &Site<'_, E>,
        rng: &mut impl Rng,
        image: E::Array,
    ) -> E::Array {
        let sd = self.sd.draw(rng) as f32;
        let noise = VoxelNoise::new(site.seeds, Step::Noise, site.own);
        site.engine.add_noise(image, sd, noise)
    }
}
