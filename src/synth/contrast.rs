//! From labels to intensities: one mean and one standard deviation per label.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::range::{Range, UNIT, check_probability};
use super::seeds::Side;
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
pub struct Tissue {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::seeds::{Seeds, Step};

    /// Every label of many draws, with whether it is background.
    fn many_tissues() -> Vec<(bool, Tissue)> {
        (0..500)
            .flat_map(|index| {
                let mut rng = Seeds::new(5, index).rng(Step::Intensity, Side::Fixed, 0);
                let tissues = draw(&ContrastConfig::default(), 16, &mut rng);
                tissues.into_iter().enumerate().map(|(l, t)| (l == 0, t))
            })
            .collect()
    }

    #[test]
    fn means_and_deviations_fill_their_ranges() {
        let tissues = many_tissues();
        let labels: Vec<_> = tissues.iter().filter(|t| !t.0).map(|t| t.1).collect();
        assert_eq!(labels.len(), 7500);
        for (values, low, high) in [
            (labels.iter().map(|t| t.mean).collect::<Vec<_>>(), 0.1, 0.9),
            (labels.iter().map(|t| t.sd).collect(), 0.02, 0.1),
        ] {
            let smallest = values.iter().copied().fold(f32::INFINITY, f32::min);
            let largest = values.iter().copied().fold(0.0, f32::max);
            let mean = values.iter().sum::<f32>() / values.len() as f32;
            let width: f32 = high - low;
            assert!(smallest >= low && largest <= high + f32::EPSILON);
            // The ends are reached within 1 % of the range (odds of failing e^-75), and the mean lies
            // within five standard errors, width / sqrt(12 * 7500).
            assert!(smallest < low + 0.01 * width && largest > high - 0.01 * width);
            assert!((mean - (low + high) / 2.0).abs() < 5.0 * width / 300.0);
        }
    }

    #[test]
    fn the_background_is_zero_as_often_as_asked() {
        let tissues = many_tissues();
        let zero = tissues
            .iter()
            .filter(|t| t.0 && t.1.mean == 0.0 && t.1.sd == 0.0);
        // 500 draws of probability 0.2: 100 +- 9; five SD allowed.
        assert!((55..=145).contains(&zero.count()));
    }
}
