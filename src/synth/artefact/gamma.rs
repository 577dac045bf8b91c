//! Gamma: a random power of the intensities.

use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use super::Site;
use crate::error::Result;
use crate::synth::engine::Engine;
use crate::synth::range::{Range, check_number, check_probability};

/// Intensities in [0, 1] raised to exp(N(0, `log_sd`)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GammaConfig {
    pub prob: f64,
    /// SD of the logarithm of the exponent. SynthMorph: 0.25.
    pub log_sd: f64,
}

impl Default for GammaConfig {
    fn default() -> Self {
        Self {
            prob: 1.0,
            log_sd: 0.25,
        }
    }
}

impl GammaConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_probability("gamma.prob", self.prob)?;
        check_number("gamma.log_sd", self.log_sd, Range::new(0.0, 3.0))
    }

    pub(super) fn apply<E: Engine>(
        &self,
        site: &Site<'_, E>,
        rng: &mut impl Rng,
        image: E::Array,
    ) -> E::Array {
        let exponent = (self.log_sd * rng.sample::<f64, _>(StandardNormal)).exp() as f32;
        site.engine.power(image, exponent)
    }
}
