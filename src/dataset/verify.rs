//! Checks of the study as a whole, before any voxel is read.

use std::collections::HashMap;
use std::path::Path;

use super::config::DataConfig;
use super::globs;
use super::manifest::{self, Entry};
use super::pairing::{Group, Pairing};
use super::problems::Problems;
use super::split::Split;

/// The images that the configuration names.
pub(super) fn entries(config: &DataConfig, problems: &mut Problems) -> Vec<Entry> {
    let found = match (&config.manifest, &config.images) {
        (Some(manifest), None) => manifest::read(manifest, problems),
        (None, Some(images)) => globs::find(images, config.labels.as_deref(), problems),
        // The configuration's own check has reported this.
        _ => return Vec::new(),
    };
    let entries = problems.keep(found).unwrap_or_default();
    report_duplicates(&entries, problems);
    entries
}

fn report_duplicates(entries: &[Entry], problems: &mut Problems) {
    let mut first: HashMap<_, &Entry> = HashMap::new();
    for entry in entries {
        let file = entry
            .image
            .canonicalize()
            .unwrap_or_else(|_| entry.image.clone());
        if let Some(other) = first.insert(file, entry) {
            problems.push(format!(
                "{}: listed twice (subjects {} and {})",
                entry.image.display(),
                other.subject,
                entry.subject
            ));
        }
    }
}

/// Notes every file of the entry that is not there; true when all are.
pub(super) fn files_exist(entry: &Entry, problems: &mut Problems) -> bool {
    let mut there = true;
    let named: [(&str, Option<&Path>); 3] = [
        ("image", Some(&entry.image)),
        ("label map", entry.label.as_deref()),
        ("landmarks", entry.landmarks.as_deref()),
    ];
    for (what, path) in named {
        if let Some(path) = path.filter(|path| !path.is_file()) {
            problems.push(format!(
                "{}: no such file ({what} of {})",
                path.display(),
                entry.subject
            ));
            there = false;
        }
    }
    there
}

/// What to do where subjects are too few for three splits.
const OF_FEW: &str =
    "of few subjects let all train: data.split = [1, 0, 0], or the split column of the manifest";

/// Whether a split needs two subjects to make a pair.
fn needs_two(split: Split, pairing: &Pairing) -> bool {
    match pairing {
        Pairing::BetweenSubjects => true,
        Pairing::Any => split != Split::Train,
        Pairing::Atlas(_) | Pairing::Listed(_) => false,
    }
}

/// Each of the splits that are `needed` must be able to make a pair, if it has images; training must have as many subjects as
/// the settings say.
pub(super) fn splits(
    groups: &[Group; 3],
    pairing: &Pairing,
    config: &DataConfig,
    needed: &[Split],
    problems: &mut Problems,
) {
    let [train, ..] = groups;
    if needed.contains(&Split::Train) {
        check_training(train, pairing, config.n_train, problems);
    }
    let used = groups.iter().zip(Split::USED);
    for (group, split) in used.filter(|(_, split)| needed.contains(split)) {
        if group.subjects() == 1 && needs_two(split, pairing) {
            let remedy = match (split, config.n_train) {
                (Split::Train, Some(1)) => "two: set n_train to at least 2".into(),
                (Split::Train, _) => format!("two; {OF_FEW}"),
                _ => format!("two or none; {OF_FEW}"),
            };
            problems.push(format!(
                "the {split} split has one subject; pairs are made between subjects, so it needs {remedy}"
            ));
        }
    }
}

fn check_training(
    train: &Group,
    pairing: &Pairing,
    n_train: Option<usize>,
    problems: &mut Problems,
) {
    let subjects = train.subjects();
    if subjects == 0 {
        problems.push(format!("the train split has no images; {OF_FEW}"));
    }
    // Those beyond `n_train` are in no group, so that fewer are fewer than there are.
    if let Some(wanted) = n_train.filter(|&wanted| wanted > subjects) {
        problems.push(format!(
            "n_train = {wanted}, but the training split has {subjects} subjects; expected at most as many"
        ));
    }
    if matches!(pairing, Pairing::Listed(_)) && train.all(pairing).is_empty() {
        problems.push("pairs is \"listed\", but no pair lies in the train split");
    }
}
