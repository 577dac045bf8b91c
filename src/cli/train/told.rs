//! What a training tells of its plan and its end.

use std::path::Path;

use crate::cli::{Common, dry_run};
use crate::dataset::{MixtureConfig, Mode, Split};
use crate::train::{Ending, RunState, Session, Validation, read_validation};

/// The plan of a run.
pub(super) fn describe(session: &Session, common: &Common) {
    let config = &session.config;
    if let Some(dataset) = &session.dataset {
        for (name, split) in [
            ("training", Split::Train),
            ("validation", Split::Validation),
            ("test", Split::Test),
        ] {
            let (subjects, images) = (dataset.subjects(split), dataset.members(split).len());
            common.say(format!("{name:<11}{images} images of {subjects} subjects"));
        }
        for note in dataset.notes() {
            common.say(format!("note: {note}"));
        }
    }
    let terms: Vec<String> = config
        .loss
        .terms()
        .iter()
        .map(|used| format!("{} x {}", used.weight, used.name))
        .collect();
    let (steps, batch) = (config.train.steps(), config.train.batch);
    common.say(format!("grid       {:?} voxels", session.shape));
    common.say(format!("mixture    {}", mixture(&config.mixture)));
    if let Some(unreached) = config.mixture.alpha.unreached(steps) {
        common.say(format!("note: {unreached}"));
    }
    common.say(format!("loss       {}", terms.join(" + ")));
    common.say(format!("steps      {steps} of {batch} pairs"));
    if session.synthesises_on_device() {
        common.say("synthesis  on the device");
    }
    let devices = session.devices().count();
    if devices > 1 {
        common.say(format!("devices    {devices}, which share each batch"));
    }
}

/// Which pairs train, in words.
fn mixture(config: &MixtureConfig) -> String {
    let what = match config.mode {
        Mode::Sample => "share of real pairs",
        Mode::Weighted => "both kinds in every batch, weighted",
    };
    format!("alpha {} ({what})", config.alpha)
}

/// How a run ended.
pub(super) fn report(folder: &Path, ending: Ending, state: &RunState, common: &Common) {
    best(folder, state, common);
    let (what, time) = (in_words(ending), dry_run::duration(state.seconds));
    common.say(format!("{what} after {} steps, {time}", state.step));
}

/// That a run has ended before.
pub(super) fn report_again(folder: &Path, ending: Ending, state: &RunState, common: &Common) {
    best(folder, state, common);
    let what = in_words(ending);
    common.say(format!("already {what} ({} steps)", state.step));
}

fn in_words(ending: Ending) -> &'static str {
    match ending {
        Ending::Complete => "complete",
        Ending::EarlyStop => "stopped early: no better validation",
        Ending::Interrupted => "interrupted",
    }
}

fn best(folder: &Path, state: &RunState, common: &Common) {
    if state.best.is_none() {
        return;
    }
    let best = read_validation(folder, state.best_step);
    let best = best.as_ref().map_or("best".into(), measure);
    let weights = folder.join("best.safetensors");
    let (step, weights) = (state.best_step, weights.display());
    common.say(format!("{best} at step {step}: {weights}"));
}

/// The measure by which a validation is the best.
fn measure(best: &Validation) -> String {
    match (best.dice, best.dice_before) {
        (Some(dice), Some(before)) => format!("best Dice {dice:.4} (unregistered {before:.4})"),
        _ => format!("lowest loss {:.5}", best.loss),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_told_by_what_chose_it() {
        let labelled = Validation {
            loss: -0.3,
            dice_before: Some(0.63971),
            dice: Some(0.6369),
            folded_percent: 0.0,
        };
        assert_eq!(measure(&labelled), "best Dice 0.6369 (unregistered 0.6397)");
        let unlabelled = Validation {
            loss: -0.3,
            ..Validation::default()
        };
        assert_eq!(measure(&unlabelled), "lowest loss -0.30000");
    }
}
