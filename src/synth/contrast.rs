//! From labels to intensities: one mean and one standard deviation per label.

use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::grid::CHUNK;
use super::range::{Range, UNIT, check_probability};
use super::seeds::{Seeds, Side, Step};
use crate::error::Result;

/// Whether the two images of a pair look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sharing {
    /// As from one scanner and protocol: label intensities, blur, bias field, gamma and the scaling to
    /// [0, 1] are common; noise, slice thickness and cropping are each image's own. For intensity
    /// losses such as MSE (HybridMorph).
    #[default]
    Shared,
    /// Everything is drawn for each image. For losses on labels such as Dice (SynthMorph).
    Independent,
}

impl Sharing {
    /// The stream a common property of the image at `side` is drawn from.
    pub(super) fn stream(self, side: Side) -> Side {
        match self {
            Self::Shared => Side::Fixed,
            Self::Independent => side,
        }
    }
}

/// Intensities of the labels on the scale [0, 1]. Defaults: SynthMorph, whose scale is 0..255, rounded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContrastConfig {
    /// One contrast for both images (`"shared"`) or one for each (`"independent"`).
    pub pair: Sharing,
    /// Mean of each label. SynthMorph: 25..225 of 255.
    pub mean: Range,
    /// SD of the intensities within each label. SynthMorph: 5..25 of 255.
    pub sd: Range,
    /// Mean of the background, label 0. SynthMorph: 0..225 of 255.
    pub background_mean: Range,
    /// SD within the background. SynthMorph: 0..25 of 255.
    pub background_sd: Range,
    /// Probability that the background is set to 0. SynthMorph: 0.2.
    pub zero_background_prob: f64,
}

impl Default for ContrastConfig {
    fn default() -> Self {
        Self {
            pair: Sharing::default(),
            mean: Range::new(0.1, 0.9),
            sd: Range::new(0.02, 0.1),
            background_mean: Range::new(0.0, 0.9),
            background_sd: Range::new(0.0, 0.1),
            zero_background_prob: 0.2,
        }
    }
}

impl ContrastConfig {
    pub(super) fn check(&self) -> Result<()> {
        self.mean.check("contrast.mean", UNIT)?;
        self.sd.check("contrast.sd", UNIT)?;
        self.background_mean
            .check("contrast.background_mean", UNIT)?;
        self.background_sd.check("contrast.background_sd", UNIT)?;
        check_probability("contrast.zero_background_prob", self.zero_background_prob)
    }
}

/// Mean and standard deviation of the intensities of one label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tissue {
    pub mean: f32,
    pub sd: f32,
}

/// The intensities of `count` labels, background first.
pub(super) fn draw(config: &ContrastConfig, count: usize, rng: &mut impl Rng) -> Vec<Tissue> {
    let zero = rng.random_bool(config.zero_background_prob);
    let mut tissue = |mean: Range, sd: Range| Tissue {
        mean: mean.draw(rng) as f32,
        sd: sd.draw(rng) as f32,
    };
    let mut tissues = vec![tissue(config.background_mean, config.background_sd)];
    tissues.extend((1..count).map(|_| tissue(config.mean, config.sd)));
    if zero {
        tissues[0] = Tissue { mean: 0.0, sd: 0.0 };
    }
    tissues
}

/// An image of the labels: normal samples of each label's intensities, clipped to [0, 1] later.
pub(super) fn paint(labels: &[u16], tissues: &[Tissue], seeds: &Seeds, side: Side) -> Vec<f32> {
    let mut image = vec![0.0; labels.len()];
    image
        .par_chunks_mut(CHUNK)
        .zip(labels.par_chunks(CHUNK))
        .enumerate()
        .for_each(|(chunk, (image, labels))| {
            let mut rng = seeds.rng(Step::Texture, side, chunk as u64);
            for (value, &label) in image.iter_mut().zip(labels) {
                let Tissue { mean, sd } = tissues[usize::from(label)];
                *value = mean + sd * rng.sample::<f32, _>(StandardNormal);
            }
        });
    image
}
