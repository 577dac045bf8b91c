//! The settings of one training run: the structure behind `hmorph train --config`.

use serde::{Deserialize, Serialize};

use crate::dataset::{DataConfig, MixtureConfig};
use crate::error::{Error, Result};
use crate::loss::{Items, LossConfig, Mask, Used};
use crate::model::ModelConfig;
use crate::synth::SynthConfig;
use crate::train::{SynthesisPlace, TrainConfig};

/// Settings of a training run; every section but `[loss]` has defaults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// Seed of the weights, the pairs and the synthesis (default 0). A run that starts from weights mixes their checksum into
    /// the seed of its pairs, real and synthetic (see `synthesis_seed` of its `run.json`), so that it does not see again those
    /// that the weights were trained on.
    pub seed: u64,
    /// Real images; left out for purely synthetic training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<DataConfig>,
    /// Synthetic images; left out for purely real training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synth: Option<SynthConfig>,
    /// What synthetic images are made from, and their grid.
    pub synth_labels: SynthLabels,
    pub mixture: MixtureConfig,
    pub model: ModelConfig,
    pub loss: LossConfig,
    pub train: TrainConfig,
}

/// Where the label maps of synthetic pairs come from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SynthLabels {
    /// `"shapes"` (default): new random shapes for every pair; `"data"`: the label maps of the training
    /// subjects; or a pattern of label files such as `maps/*.nii.gz`, padded or cropped about their centre.
    pub source: LabelOrigin,
    /// Grid in voxels, 2 or 3 numbers, for runs without `[data]` (whose grid counts otherwise).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<Vec<usize>>,
}

/// Origin of the label maps of synthetic pairs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum LabelOrigin {
    #[default]
    Shapes,
    Data,
    Files(String),
}

impl From<String> for LabelOrigin {
    fn from(text: String) -> Self {
        match text.as_str() {
            "shapes" => Self::Shapes,
            "data" => Self::Data,
            _ => Self::Files(text),
        }
    }
}

impl From<LabelOrigin> for String {
    fn from(origin: LabelOrigin) -> Self {
        match origin {
            LabelOrigin::Shapes => "shapes".into(),
            LabelOrigin::Data => "data".into(),
            LabelOrigin::Files(pattern) => pattern,
        }
    }
}

impl RunConfig {
    /// Refuses settings that do not hold together; files are checked when the data are loaded.
    pub fn validate(&self) -> Result<()> {
        self.model.validate()?;
        self.loss.validate()?;
        self.train.validate()?;
        if let Some(synth) = &self.synth {
            synth.check()?;
        }
        self.mixture
            .check(self.train.batch, self.data.is_some(), self.synth.is_some())?;
        self.check_kinds()?;
        self.check_masks()?;
        if i64::try_from(self.seed).is_err() {
            return Err(Error::invalid(format!(
                "seed is {}; expected at most {}, the largest number that TOML can keep",
                self.seed,
                i64::MAX
            )));
        }
        Ok(())
    }

    /// Refuses what the kinds of pairs that the run makes leave idle or without a comparison.
    fn check_kinds(&self) -> Result<()> {
        let (alpha, steps) = (&self.mixture.alpha, self.train.steps());
        let (low, high) = alpha.range_over(steps);
        let (real, synthetic) = (high > 0.0, low < 1.0);
        let problem = if self.loss.needs_field() && !synthetic {
            "[loss.field_mse] needs the true fields of synthetic pairs, but mixture.alpha is 1: lower it, or leave the term out"
        } else if self.train.synthesis == SynthesisPlace::Device && !synthetic {
            "[train] synthesis is \"device\", but mixture.alpha is 1, so that no synthetic pair is made: lower it, or leave the setting out"
        } else if synthetic && !self.loss.compares(Items::Synthetic, true) {
            "[loss] no term compares synthetic pairs, but mixture.alpha falls below 1: add one on = \"all\" or \"synthetic\""
        } else if real && !self.loss.compares(Items::Real, true) {
            "[loss] no term compares real pairs, but mixture.alpha rises above 0: add one on = \"all\" or \"real\""
        } else {
            return Ok(());
        };
        // What is written after the last step does not count, which the file alone does not show.
        Err(Error::invalid(match alpha.unreached(steps) {
            Some(unreached) => format!("{problem} ({unreached})"),
            None => problem.into(),
        }))
    }

    /// Refuses to take the voxels above 0 for foreground where intensities are brought to a scale on which they are not.
    fn check_masks(&self) -> Result<()> {
        let data = self.data.as_ref();
        let (_, real) = self.mixture.alpha.range_over(self.train.steps());
        let idle = real == 0.0 && self.train.validation_pairs == 0;
        if idle || data.is_none_or(|data| data.normalize.leaves_background_zero()) {
            return Ok(());
        }
        let terms = self.loss.terms();
        let of_real = |used: &&Used| used.items.include(Items::Real);
        let mut masked = terms.iter().filter(of_real);
        match masked.find(|used| used.term.mask() == Mask::Foreground) {
            None => Ok(()),
            Some(used) => Err(Error::invalid(format!(
                "[loss.{}] mask is \"foreground\", the voxels above 0, but [data] normalizes by z-scores, whose 0 is the mean: \
                 leave the mask out, or set data.normalize to {{ kind = \"percentile\" }} or {{ kind = \"min-max\" }}",
                used.name
            ))),
        }
    }

    /// Leaves out the terms of the loss that need labels or true fields of pairs that the run makes none of. For settings that
    /// serve several runs; one run alone is refused such terms, which its user expects to do something.
    pub fn drop_idle_terms(&mut self) {
        let kind = match self.mixture.alpha.range_over(self.train.steps()) {
            (1.0, _) => Items::Real,
            (_, 0.0) => Items::Synthetic,
            _ => return,
        };
        self.loss = std::mem::take(&mut self.loss).for_all(kind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_of_the_foreground_needs_a_background_of_zero() {
        let problem = |normalize: &str, term: &str| {
            let text = format!(
                "[data]\nimages = '{{subject}}.nii'\nnormalize = {{ kind = '{normalize}' }}\n[synth]\n[mixture]\nalpha = 0.5\n\
                 [loss.mse]\n[loss.{term}\nmask = 'foreground'\n"
            );
            let run: RunConfig = toml::from_str(&text).unwrap();
            run.validate().err().map(|error| error.to_string())
        };
        for name in ["ncc", "global_ncc"] {
            let term = format!("{name}]");
            let text = problem("z-score", &term).unwrap();
            assert!(text.contains(&format!("[loss.{name}] mask is")), "{text}");
            for fine in ["none", "min-max", "percentile"] {
                assert_eq!(problem(fine, &term), None, "{fine}");
            }
        }
        // Synthetic images have a background of 0 whatever is done to real ones.
        assert_eq!(problem("z-score", "ncc]\non = 'synthetic'"), None);
    }
}
