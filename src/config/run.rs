//! The settings of one training run: the structure behind `hmorph train --config`.

use serde::{Deserialize, Serialize};

use crate::dataset::{DataConfig, MixtureConfig};
use crate::error::{Error, Result};
use crate::loss::{Items, LossConfig};
use crate::model::ModelConfig;
use crate::synth::SynthConfig;
use crate::train::{SynthesisPlace, TrainConfig};

/// Settings of a training run; every section but `[loss]` has defaults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// Seed of the weights, the pairs and the synthesis (default 0). A run that starts from weights mixes their checksum into
    /// the seed of its synthetic pairs (see `synthesis_seed` of its `run.json`), so that it does not see again those that the
    /// weights were trained on.
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
