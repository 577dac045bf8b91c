//! What an acquisition does to an ideal image: the closed list of artefacts, in order.
//!
//! A new artefact is one file with its settings and `apply`, a field of `SynthConfig`, a `Step` of the seeds, and one line
//! in each table here.

mod bias;
mod blur;
mod crop;
mod gamma;
mod noise;
mod thickness;

pub use bias::BiasConfig;
pub use blur::BlurConfig;
pub use crop::CropConfig;
pub use gamma::GammaConfig;
pub use noise::NoiseConfig;
pub use thickness::ThicknessConfig;

use rand::RngExt;

use super::config::SynthConfig;
use super::engine::Engine;
use super::grid::Grid;
use super::seeds::{Seeds, Side, Step};
use crate::error::Result;

/// One way an acquisition changes an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Artefact {
    /// Finite resolution: Gaussian blur.
    Blur,
    /// Uneven sensitivity of the receiver: smooth multiplicative field.
    Bias,
    /// Thick slices along one axis.
    Thickness,
    /// Noise of the measurement.
    Noise,
    /// Non-linear grey scale.
    Gamma,
    /// Field of view that ends inside the object.
    Crop,
}

/// Where an artefact acts: the grid, and the random streams of the image.
pub(super) struct Site<'a, E> {
    pub engine: &'a E,
    pub grid: &'a Grid,
    pub seeds: &'a Seeds,
    /// The image's own streams.
    pub own: Side,
    /// The streams of what the images of a pair may have in common.
    pub common: Side,
}

impl Artefact {
    /// Artefacts of the signal in the order of its path, before the image is scaled to [0, 1].
    pub const OF_SIGNAL: [Self; 4] = [Self::Blur, Self::Bias, Self::Thickness, Self::Noise];

    /// Artefacts of the stored image, after that; they keep [0, 1].
    pub const OF_IMAGE: [Self; 2] = [Self::Gamma, Self::Crop];

    /// Probability that an image has this artefact.
    pub fn probability(self, config: &SynthConfig) -> f64 {
        match self {
            Self::Blur => config.blur.prob,
            Self::Bias => config.bias.prob,
            Self::Thickness => config.thickness.prob,
            Self::Noise => config.noise.prob,
            Self::Gamma => config.gamma.prob,
            Self::Crop => config.crop.prob,
        }
    }

    /// Checks the settings of every artefact.
    pub(super) fn check_all(config: &SynthConfig) -> Result<()> {
        config.blur.check()?;
        config.bias.check()?;
        config.thickness.check()?;
        config.noise.check()?;
        config.gamma.check()?;
        config.crop.check()
    }

    /// The image with this artefact, if the draw says that it has it.
    pub(super) fn maybe_apply<E: Engine>(
        self,
        config: &SynthConfig,
        site: &Site<'_, E>,
        image: E::Array,
    ) -> E::Array {
        let (step, side) = self.stream(site);
        let mut rng = site.seeds.rng(step, side, 0);
        if !rng.random_bool(self.probability(config)) {
            return image;
        }
        match self {
            Self::Blur => config.blur.apply(site, &mut rng, image),
            Self::Bias => config.bias.apply(site, &mut rng, image),
            Self::Thickness => config.thickness.apply(site, &mut rng, image),
            Self::Noise => config.noise.apply(site, &mut rng, image),
            Self::Gamma => config.gamma.apply(site, &mut rng, image),
            Self::Crop => config.crop.apply(site, &mut rng, image),
        }
    }

    /// The stream it draws from: that of the pair for what one scanner and protocol have in common.
    fn stream<E>(self, site: &Site<'_, E>) -> (Step, Side) {
        match self {
            Self::Blur => (Step::Blur, site.common),
            Self::Bias => (Step::Bias, site.common),
            Self::Thickness => (Step::Thickness, site.own),
            Self::Noise => (Step::NoiseLevel, site.own),
            Self::Gamma => (Step::Gamma, site.common),
            Self::Crop => (Step::Crop, site.own),
        }
    }
}
