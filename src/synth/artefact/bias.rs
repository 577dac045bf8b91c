//! Bias field: the image times the exponential of smooth noise.

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::Site;
use crate::error::Result;
use crate::synth::engine::Engine;
use crate::synth::noise::smooth_on;
use crate::synth::range::{Range, check_lengths, check_probability};

/// Smooth multiplicative field, exp of smooth noise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BiasConfig {
    pub prob: f64,
    /// Node distances of the noise, voxels at `reference_size`. SynthMorph: 40.
    pub scales: Vec<f64>,
    /// SD of the noise, drawn per scale: 0.1 is about 10 % of the intensity. SynthMorph: up to 0.3.
    pub sd: Range,
}

impl Default for BiasConfig {
    fn default() -> Self {
        Self {
            prob: 1.0,
            scales: vec![40.0],
            sd: Range::new(0.0, 0.3),
        }
    }
}

impl BiasConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_probability("bias.prob", self.prob)?;
        check_lengths("bias.scales", &self.scales)?;
        self.sd.check("bias.sd", Range::new(0.0, 3.0))
    }

    pub(super) fn apply<E: Engine>(
        &self,
        site: &Site<'_, E>,
        rng: &mut impl Rng,
        image: E::Array,
    ) -> E::Array {
        let logarithm = smooth_on(site.engine, site.grid, &self.scales, self.sd, rng);
        site.engine.times_exp(image, logarithm)
    }
}
