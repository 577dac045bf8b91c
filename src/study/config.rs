//! Settings of a study.

use serde::{Deserialize, Serialize};
use toml::Table;

use super::Condition;
use crate::error::{Error, Result};

/// What a network is trained on (Roy, Mishra, Raimundo, 2025).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Paradigm {
    /// All real training subjects.
    Real,
    /// Synthetic images alone.
    Synthetic,
    /// A few real subjects and nothing else.
    FewShot,
    /// Synthetic images, then a few real subjects.
    Transfer,
    /// Synthetic images, then a mixture of a few real subjects with synthetic images.
    Weighted,
}

impl Paradigm {
    /// The name in settings and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Synthetic => "synthetic",
            Self::FewShot => "few-shot",
            Self::Transfer => "transfer",
            Self::Weighted => "weighted",
        }
    }
}

/// Which weights of a run are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightsChoice {
    /// Those after the last step: no held-out subject had a part in the choice.
    Last,
    /// Those of the best validation.
    Best,
}

/// The grid of a study and what its cells have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StudyConfig {
    /// Preset or TOML file of the run that all cells vary.
    pub base: String,
    pub paradigms: Vec<Paradigm>,
    /// Numbers of real training subjects.
    pub n: Vec<usize>,
    /// Shares of real pairs in weighted transfer, above 0 and below 1 (0 is `synthetic`, 1 is `transfer`).
    pub alphas: Vec<f64>,
    /// Share of real pairs with which weighted transfer begins, to rise or fall evenly to alpha by its last step; as alpha
    /// throughout if left out.
    pub alpha_from: Option<f64>,
    /// Seeds of the weights, the pairs and the synthesis.
    pub seeds: Vec<u64>,
    /// Folds of a cross-validation, in which each subject is tested once; 1 keeps the split of `[run.data]`.
    pub folds: usize,
    /// Subjects of each fold that choose the best weights; the others that are not tested train.
    pub validation_subjects: usize,
    /// Share of the steps that transfer spends on synthetic images. All cells have equally many steps.
    pub pretrain_share: f64,
    /// Held-out pairs that each cell is measured on, the same for all.
    pub test_pairs: usize,
    pub weights: WeightsChoice,
    /// What is done to the held-out images before they are registered.
    pub conditions: Vec<Condition>,
    /// Settings of the run to replace, as in a training configuration.
    pub run: Table,
}

impl Default for StudyConfig {
    fn default() -> Self {
        Self {
            base: "hybridmorph-weighted".into(),
            paradigms: vec![
                Paradigm::Real,
                Paradigm::Synthetic,
                Paradigm::FewShot,
                Paradigm::Transfer,
                Paradigm::Weighted,
            ],
            n: vec![5, 15],
            alphas: vec![0.5, 0.9],
            alpha_from: None,
            seeds: vec![0, 1, 2],
            folds: 1,
            validation_subjects: 2,
            pretrain_share: 0.9,
            test_pairs: 50,
            weights: WeightsChoice::Last,
            conditions: vec![Condition::Clean],
            run: Table::new(),
        }
    }
}

impl StudyConfig {
    /// The first setting in which another study differs, apart from how far the grid reaches.
    ///
    /// # Errors
    /// Settings that cannot be written as TOML.
    pub fn difference(&self, other: &Self) -> Result<Option<String>> {
        let comparable = |study: &Self| {
            let grown = Self {
                paradigms: vec![],
                n: vec![],
                alphas: vec![],
                seeds: vec![],
                ..study.clone()
            };
            Table::try_from(grown).map_err(|error| Error::invalid(format!("study: {error}")))
        };
        let (ours, theirs) = (comparable(self)?, comparable(other)?);
        let mut keys = ours.keys().chain(theirs.keys());
        Ok(keys.find(|key| ours.get(*key) != theirs.get(*key)).cloned())
    }

    /// Whether some cells train on a number of subjects.
    fn counts_subjects(&self) -> bool {
        let counted = |paradigm| match paradigm {
            Paradigm::FewShot | Paradigm::Transfer | Paradigm::Weighted => true,
            Paradigm::Real | Paradigm::Synthetic => false,
        };
        self.paradigms.iter().copied().any(counted)
    }

    /// The largest number of real subjects that a cell asks for, if there are such cells.
    pub(super) fn most_subjects(&self) -> Option<usize> {
        let n = self.n.iter().copied();
        n.max().filter(|_| self.counts_subjects())
    }

    /// Refuses a grid that cannot be run.
    pub fn validate(&self) -> Result<()> {
        let has = |paradigm| self.paradigms.contains(&paradigm);
        let counted = self.counts_subjects();
        let open = |share: f64| share > 0.0 && share < 1.0;
        let problem = if self.paradigms.is_empty() || self.seeds.is_empty() {
            "paradigms and seeds must name at least one each".to_string()
        } else if counted && (self.n.is_empty() || self.n.contains(&0)) {
            format!("n is {:?}; expected numbers of subjects from 1", self.n)
        } else if let Some(alpha) = self.alphas.iter().find(|&&alpha| !open(alpha)) {
            format!(
                "alphas has {alpha}; expected shares between 0 (paradigm synthetic) and 1 (transfer)"
            )
        } else if let Some(from) = self.alpha_from.filter(|from| !(0.0..=1.0).contains(from)) {
            format!("alpha_from is {from}; expected a share from 0 to 1")
        } else if has(Paradigm::Weighted) && self.alphas.is_empty() {
            "alphas is empty; weighted transfer needs at least one".into()
        } else if !open(self.pretrain_share) {
            format!(
                "pretrain_share is {}; expected a number between 0 and 1",
                self.pretrain_share
            )
        } else if self.folds == 0 {
            "folds is 0; expected 1, or more for a cross-validation".into()
        } else if self.validation_subjects == 1 {
            "validation_subjects is 1; pairs are made between subjects: expected 0 or at least 2"
                .into()
        } else if self.test_pairs == 0 || !self.conditions.contains(&Condition::Clean) {
            "test_pairs must be at least 1, and conditions must contain \"clean\"".into()
        } else if let Some(problem) = self.repetition() {
            problem
        } else {
            return Ok(());
        };
        Err(Error::invalid(format!("study: {problem}")))
    }

    /// What is wrong with a list that names a value twice: its cells would share names, and measures would count twice.
    fn repetition(&self) -> Option<String> {
        let paradigms = self.paradigms.iter().map(|paradigm| paradigm.name());
        let conditions = self.conditions.iter().map(|condition| condition.name());
        let lists = [
            ("paradigms", paradigms.map(String::from).collect()),
            ("n", texts(&self.n)),
            ("alphas", texts(&self.alphas)),
            ("seeds", texts(&self.seeds)),
            ("conditions", conditions.map(String::from).collect()),
        ];
        lists.iter().find_map(|(name, values): &(_, Vec<String>)| {
            let again = |n: &usize| values[..*n].contains(&values[*n]);
            let place = (0..values.len()).find(again)?;
            Some(format!(
                "{name} has {} twice; expected each value once",
                values[place]
            ))
        })
    }
}

fn texts(values: &[impl ToString]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with a grid of these settings; nothing if it can be run.
    fn problem(settings: &str) -> String {
        let study: StudyConfig = toml::from_str(settings).unwrap();
        let checked = study.validate();
        checked.err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_value_is_named_once() {
        for (list, value) in [
            ("paradigms = ['real', 'weighted', 'real']", "real"),
            ("n = [5, 15, 5]", "5"),
            ("alphas = [0.5, 0.50]", "0.5"),
            ("seeds = [1, 2, 2]", "2"),
            ("conditions = ['clean', 'noise', 'noise']", "noise"),
        ] {
            let problem = problem(list);
            let expected = format!("has {value} twice");
            assert!(problem.contains(&expected), "{list}: {problem}");
        }
        assert_eq!(problem("n = [5, 15]\nseeds = [5, 15]"), "");
    }
}
