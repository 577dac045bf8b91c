//! What cells need of their images, before one of them trains.

use super::{Job, StudyConfig, WeightsChoice};
use crate::dataset::{DataConfig, HeldOutPairs};
use crate::error::{Error, Result};

/// Refuses images of which some cell could not make the pairs that it needs. No image is read.
///
/// # Errors
/// Fewer training subjects than a cell asks for, nothing to measure on, best weights that nothing would choose.
pub fn check_images<'a>(
    study: &StudyConfig,
    jobs: impl IntoIterator<Item = &'a Job>,
) -> Result<()> {
    let mut checked: Vec<&DataConfig> = Vec::new();
    for job in jobs {
        let Some(data) = &job.settings.data else {
            continue;
        };
        if !checked.contains(&data) {
            check(study, job, data)?;
            checked.push(data);
        }
    }
    Ok(())
}

fn check(study: &StudyConfig, job: &Job, data: &DataConfig) -> Result<()> {
    let place = place(study, job);
    let wrong = |problem: String| Error::invalid(format!("{place}: {problem}"));
    let pairs = HeldOutPairs::count(data).map_err(|error| wrong(error.to_string()))?;
    if pairs.test == 0 {
        return Err(wrong(
            "the test split has no pairs, so that no cell could be measured: give run.data.split a share for it, or the \
             manifest test subjects"
                .into(),
        ));
    }
    if study.weights == WeightsChoice::Best && pairs.validation == 0 {
        return Err(wrong(
            "weights is \"best\", but the validation split has no pairs that choose them: give run.data.split a share for \
             it, or the manifest validation subjects, or set weights = \"last\""
                .into(),
        ));
    }
    Ok(())
}

/// Which part of the study the images of a cell serve.
fn place(study: &StudyConfig, job: &Job) -> String {
    let n = job.arm.n.map(|n| format!("n = {n}"));
    let fold = (study.folds > 1).then(|| format!("fold {}", job.fold));
    let parts = [Some("study".to_string()), n, fold];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
