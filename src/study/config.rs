//! Settings of a study.

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::Condition;
use crate::config::{self, RunConfig};
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

    /// The number of training subjects that `[run.data]` itself sets, which is another than what the base may have.
    fn own_n_train(&self) -> Option<&Value> {
        self.run.get("data")?.get("n_train")
    }

    /// Refuses settings of the run that cells cannot follow.
    fn check_run(&self, run: &RunConfig) -> Result<()> {
        let best = self.weights == WeightsChoice::Best;
        let chooses = [
            ("run.train.validation_pairs", run.train.validation_pairs > 0),
            (
                "validation_subjects",
                self.folds == 1 || self.validation_subjects > 0,
            ),
        ];
        let problem = if run.data.is_none() {
            "the run has no [data]; name the images by run.data.manifest or run.data.images".into()
        } else if let Some(n_train) = self.own_n_train() {
            format!(
                "run.data.n_train is {n_train}, but n says on how many subjects the cells train: set n, and leave it out"
            )
        } else if run.train.patience > 0 {
            format!(
                "run.train.patience is {}, but all cells have equally many steps: expected 0",
                run.train.patience
            )
        } else if let Some((name, _)) = chooses.iter().find(|(_, chooses)| best && !chooses) {
            format!(
                "weights is \"best\", but {name} is 0, so that nothing chooses them: set it, or weights = \"last\""
            )
        } else {
            return Ok(());
        };
        Err(Error::invalid(format!("study: {problem}")))
    }

    /// Settings of the run that all cells vary.
    ///
    /// # Errors
    /// An unknown base, settings that do not belong to a run, a run without real images or of another length than its cells,
    /// best weights that nothing chooses.
    pub fn base(&self) -> Result<RunConfig> {
        let text = config::text_of(&self.base)?;
        let broken = |error: toml::de::Error| {
            Error::invalid(format!("study, base {}: {}", self.base, error.message()))
        };
        let mut table: Table = toml::from_str(&text).map_err(broken)?;
        merge(&mut table, &self.run);
        let run: RunConfig = table.try_into().map_err(|error: toml::de::Error| {
            Error::invalid(format!("study, [run]: {}", error.message()))
        })?;
        self.check_run(&run)?;
        Ok(run)
    }
}

fn texts(values: &[impl ToString]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

/// Values of `changes` replace those of `table`, section by section.
fn merge(table: &mut Table, changes: &Table) {
    for (key, change) in changes {
        match (table.get_mut(key), change) {
            (Some(Value::Table(inner)), Value::Table(changes)) => merge(inner, changes),
            _ => {
                table.insert(key.clone(), change.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with a study of these settings; nothing if it can be run.
    fn problem(settings: &str) -> String {
        let text = format!("{settings}\n[run.data]\nimages = '{{subject}}.nii'\n");
        let study: StudyConfig = toml::from_str(&text).unwrap();
        let checked = study.validate().and_then(|()| study.base());
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

    #[test]
    fn best_weights_need_something_that_chooses_them() {
        let none = "[run.train]\nvalidation_pairs = 0";
        for (settings, reason) in [
            (
                format!("weights = 'best'\n{none}"),
                "run.train.validation_pairs is 0",
            ),
            (
                "weights = 'best'\nfolds = 4\nvalidation_subjects = 0".into(),
                "validation_subjects is 0",
            ),
        ] {
            let problem = problem(&settings);
            assert!(problem.contains(reason), "{settings}: {problem}");
        }
        for fine in [
            // The split of [run.data] has subjects of its own.
            "weights = 'best'\nvalidation_subjects = 0",
            "weights = 'best'\nfolds = 4",
            "weights = 'last'\nfolds = 4\nvalidation_subjects = 0",
        ] {
            assert_eq!(problem(fine), "", "{fine}");
        }
        assert_eq!(problem(none), "");
    }

    #[test]
    fn n_says_how_many_subjects_train() {
        let of_the_run = |n_train: &str| {
            let text = format!("[run.data]\nimages = '{{subject}}.nii'\n{n_train}");
            toml::from_str::<StudyConfig>(&text).unwrap().base()
        };
        let problem = of_the_run("n_train = 30").unwrap_err().to_string();
        assert!(
            problem.contains("run.data.n_train is 30, but n says"),
            "{problem}"
        );
        // What the base has of its own is that of a single run.
        let base = of_the_run("").unwrap();
        assert_eq!(base.data.unwrap().n_train, Some(15));
    }

    #[test]
    fn cells_do_not_stop_early() {
        let problem = problem("[run.train]\npatience = 3");
        assert!(problem.contains("run.train.patience is 3"), "{problem}");
    }
}
