//! The run that all cells of a study vary.

use toml::{Table, Value};

use super::{StudyConfig, WeightsChoice};
use crate::config::{self, RunConfig, explained};
use crate::error::{Error, Result};

impl StudyConfig {
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
        let data = run.data.as_ref();
        let background_is_zero = data.is_none_or(|data| data.normalize.leaves_background_zero());
        let mut conditions = self.conditions.iter();
        let unfit = conditions.find(|one| !background_is_zero && one.needs_background_zero());
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
        } else if let Some(condition) = unfit {
            format!(
                "conditions has \"{}\", for which background is 0, but run.data.normalize is by z-scores, whose 0 is the mean: leave \
                 the condition out, or normalize by percentile or min-max",
                condition.name()
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
            let problem = explained(error.message(), "");
            Error::invalid(format!("study, base {}: {problem}", self.base))
        };
        let mut table: Table = toml::from_str(&text).map_err(broken)?;
        merge(&mut table, &self.run);
        let run: RunConfig = table.try_into().map_err(|error: toml::de::Error| {
            let problem = explained(error.message(), "");
            Error::invalid(format!("study, [run]: {problem}"))
        })?;
        self.check_run(&run)?;
        Ok(run)
    }
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

    /// What is wrong with the run of these settings; nothing if cells can vary it.
    fn problem(settings: &str) -> String {
        let text = format!("run.data.images = '{{subject}}.nii'\n{settings}\n");
        let study: StudyConfig = toml::from_str(&text).unwrap();
        study
            .base()
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn best_weights_need_something_that_chooses_them() {
        let none = "run.train.validation_pairs = 0";
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
        let problem = problem("run.train.patience = 3");
        assert!(problem.contains("run.train.patience is 3"), "{problem}");
    }

    #[test]
    fn conditions_that_take_0_for_background_need_it_to_be() {
        let of = |conditions: &str, normalize: &str| {
            problem(&format!(
                "conditions = ['clean', {conditions}]\nrun.data.normalize.kind = '{normalize}'\n"
            ))
        };
        for name in ["contrast", "inverted"] {
            let problem = of(&format!("'{name}'"), "z-score");
            assert!(
                problem.contains(&format!("conditions has \"{name}\"")),
                "{problem}"
            );
            assert_eq!(of(&format!("'{name}'"), "percentile"), "");
        }
        assert_eq!(of("'noise', 'shift'", "z-score"), "");
    }
}
