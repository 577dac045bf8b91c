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

/// Whether a split needs two subjects to make a pair.
fn needs_two(split: Split, pairing: &Pairing) -> bool {
    match pairing {
        Pairing::BetweenSubjects => true,
        Pairing::Any => split != Split::Train,
        Pairing::Atlas(_) | Pairing::Listed(_) => false,
    }
}

/// Every split that is used must be able to make a pair.
pub(super) fn groups(groups: &[Group; 3], pairing: &Pairing, problems: &mut Problems) {
    for (group, split) in groups
        .iter()
        .zip([Split::Train, Split::Validation, Split::Test])
    {
        let (images, subjects) = (group.members().len(), group.subjects());
        if images == 0 {
            if split == Split::Train {
                problems.push("the train split has no images");
            }
        } else if subjects < 2 && needs_two(split, pairing) {
            problems.push(format!(
                "the {split} split has one subject; pairs are made between subjects, so it needs two (or none)"
            ));
        }
    }
    if matches!(pairing, Pairing::Listed(_)) && groups[0].all(pairing).is_empty() {
        problems.push("pairs is \"listed\", but no pair lies in the train split");
    }
}
