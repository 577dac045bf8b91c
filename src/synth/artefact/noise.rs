//! Gaussian noise of the measurement, after blur: neighbouring voxels are independent.

use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Site;
use crate::error::Result;
use crate::synth::grid::CHUNK;
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

    pub(super) fn apply(
        &self,
        site: Site<'_>,
        rng: &mut impl Rng,
        mut image: Vec<f32>,
    ) -> Vec<f32> {
        let sd = self.sd.draw(rng) as f32;
        let chunks = image.par_chunks_mut(CHUNK).enumerate();
        chunks.for_each(|(chunk, image)| {
            let mut rng = site.seeds.rng(Step::Noise, site.own, chunk as u64);
            for value in image {
                *value += sd * rng.sample::<f32, _>(StandardNormal);
            }
        });
        image
    }
}
