//! Training, validation and test sets: whole subjects, in a seeded order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::config::{DataConfig, Pairs};
use super::manifest::{Entry, ManifestRow};
use super::problems::Problems;
use crate::error::Result;
use crate::volume::write_table;

/// The set an image belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    Train,
    Validation,
    Test,
    /// In no set: a training subject beyond `n_train`, what the manifest leaves out, a listed image that is the atlas.
    Unused,
}

impl Split {
    /// Those whose images are read.
    pub(super) const USED: [Split; 3] = [Self::Train, Self::Validation, Self::Test];

    const NAMES: [(&str, Split); 4] = [
        ("train", Self::Train),
        ("validation", Self::Validation),
        ("test", Self::Test),
        ("unused", Self::Unused),
    ];
}

impl FromStr for Split {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = if text == "val" { "validation" } else { text };
        Self::NAMES
            .into_iter()
            .find(|(known, _)| *known == name)
            .map(|(_, split)| split)
            .ok_or_else(|| {
                format!("split: expected train, validation, test or unused, found `{text}`")
            })
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, _) = Self::NAMES[*self as usize];
        f.write_str(name)
    }
}

/// The split of every entry: the manifest's, or by subject in a seeded order; none for the atlas, whatever the manifest says.
pub(super) fn assign(
    entries: &[Entry],
    config: &DataConfig,
    problems: &mut Problems,
) -> Vec<Split> {
    let atlas = listed_atlas(entries, config);
    let is_atlas = |number: usize| atlas == Some(number);
    let numbered = || entries.iter().enumerate();
    let divided = numbered().filter(|(number, _)| !is_atlas(*number));
    let divided: Vec<&Entry> = divided.map(|(_, entry)| entry).collect();
    let given = given_splits(&divided, problems);
    let order = seeded_order(divided, config.split_seed);
    let mut trained = 0;
    let splits: BTreeMap<&str, Split> = order
        .iter()
        .zip(by_fraction(order.len(), config.split))
        .map(|(&subject, fallback)| {
            let split = given[subject].unwrap_or(fallback);
            trained += usize::from(split == Split::Train);
            let left_out = split == Split::Train && config.n_train.is_some_and(|n| trained > n);
            (subject, if left_out { Split::Unused } else { split })
        })
        .collect();
    numbered()
        .map(|(number, entry)| match is_atlas(number) {
            true => Split::Unused,
            false => splits[entry.subject.as_str()],
        })
        .collect()
}

/// The entry that is the atlas, if there is one: beside itself it would be no pair to learn from or to measure.
pub(super) fn listed_atlas(entries: &[Entry], config: &DataConfig) -> Option<usize> {
    let atlas = config
        .atlas
        .as_ref()
        .filter(|_| config.pairs == Pairs::Atlas)?;
    let atlas = atlas.canonicalize().ok()?;
    entries.iter().position(|entry| entry.is_file(&atlas))
}

/// The subjects in the order that the seed gives them, whatever the order of rows.
fn seeded_order<'a>(entries: impl IntoIterator<Item = &'a Entry>, seed: u64) -> Vec<&'a str> {
    let subjects = entries.into_iter().map(|e| e.subject.as_str());
    let subjects: BTreeSet<&str> = subjects.collect();
    let mut order: Vec<&str> = subjects.into_iter().collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    order
}

/// The training subject that comes first in the seeded order, and so trains for every `n_train`.
pub(super) fn first_to_train<'a>(
    entries: &'a [Entry],
    splits: &[Split],
    config: &DataConfig,
) -> Option<&'a str> {
    let trains = |subject: &&str| {
        let mut images = entries.iter().zip(splits);
        images.any(|(entry, split)| entry.subject == **subject && *split == Split::Train)
    };
    let order = seeded_order(entries, config.split_seed);
    order.into_iter().find(trains)
}

/// Puts every image into the training split but those that the manifest leaves out.
pub(super) fn undivide(entries: &mut [Entry]) {
    let given = entries.iter_mut().filter_map(|entry| entry.split.as_mut());
    for split in given.filter(|split| **split != Split::Unused) {
        *split = Split::Train;
    }
}

/// What the manifest says about each subject; it must say it once, and for all or none.
fn given_splits<'a>(
    entries: &[&'a Entry],
    problems: &mut Problems,
) -> BTreeMap<&'a str, Option<Split>> {
    let mut subjects = BTreeMap::new();
    for entry in entries {
        let known = *subjects
            .entry(entry.subject.as_str())
            .or_insert(entry.split);
        if known != entry.split {
            problems.push(format!(
                "{}: subject {} is in two splits; all images of a subject belong to one",
                entry.id, entry.subject
            ));
        }
    }
    let given = subjects.values().flatten().count();
    if let Some((without, _)) = subjects
        .iter()
        .find(|(_, split)| split.is_none() && given > 0)
    {
        problems.push(format!(
            "split: given for {given} of {} subjects (not for {without}); fill the column for all or leave it empty",
            subjects.len(),
        ));
    }
    subjects
}

/// The split of each of `n` subjects in seeded order: training first, so that `n_train` subjects
/// are the first of the order and held-out sets do not depend on `n_train`.
fn by_fraction(n: usize, [_, validation, test]: [f64; 3]) -> impl Iterator<Item = Split> {
    let count = |fraction: f64| match fraction {
        0.0 => 0,
        _ => ((fraction * n as f64).round() as usize).max(1),
    };
    let (validation, test) = (count(validation), count(test));
    let train = n.saturating_sub(validation + test);
    (0..n).map(move |rank| match rank {
        _ if rank < train => Split::Train,
        _ if rank < train + validation => Split::Validation,
        _ => Split::Test,
    })
}

/// Writes a manifest that gives the same split and the same ids again, wherever it is read. Paths are absolute.
pub(super) fn write(path: &Path, entries: &[Entry], splits: &[Split]) -> Result<()> {
    let row = |(entry, split): (&Entry, &Split)| ManifestRow {
        image: absolute(&entry.image),
        label: entry.label.as_deref().map(absolute),
        subject: entry.subject.clone(),
        split: Some(split.to_string()),
        landmarks: entry.landmarks.as_deref().map(absolute),
        id: Some(entry.id.clone()),
    };
    let rows: Vec<ManifestRow> = entries.iter().zip(splits).map(row).collect();
    write_table(path, &rows)
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path)
        .unwrap_or_else(|_| path.to_path_buf())
        .display()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::path::PathBuf;

    /// Two images of each of `n` subjects.
    fn study(n: usize) -> Vec<Entry> {
        (0..2 * n)
            .map(|image| Entry {
                id: format!("{image}"),
                image: PathBuf::from(format!("{image}.nii")),
                label: None,
                subject: format!("s{}", image / 2),
                split: None,
                landmarks: None,
            })
            .collect()
    }

    fn split(entries: &[Entry], config: &DataConfig) -> (Vec<Split>, String) {
        let mut problems = Problems::default();
        let splits = assign(entries, config, &mut problems);
        (
            splits,
            problems
                .into_result()
                .err()
                .map(|e| e.to_string())
                .unwrap_or_default(),
        )
    }

    fn members(entries: &[Entry], splits: &[Split], wanted: Split) -> HashSet<String> {
        let pairs = entries.iter().zip(splits);
        pairs
            .filter(|(_, split)| **split == wanted)
            .map(|(e, _)| e.subject.clone())
            .collect()
    }

    #[test]
    fn subjects_are_disjoint_in_the_given_fractions() {
        let entries = study(101);
        let (splits, problems) = split(&entries, &DataConfig::default());
        assert_eq!(problems, "");
        let [train, validation, test] =
            [Split::Train, Split::Validation, Split::Test].map(|p| members(&entries, &splits, p));
        assert_eq!((train.len(), validation.len(), test.len()), (61, 20, 20));
        assert!(train.is_disjoint(&validation) && train.is_disjoint(&test));
        assert!(validation.is_disjoint(&test));
    }

    #[test]
    fn the_seed_decides_and_the_order_of_rows_does_not() {
        let entries = study(20);
        let config = |split_seed| DataConfig {
            split_seed,
            ..DataConfig::default()
        };
        let test = |entries: &[Entry], seed| {
            let (splits, _) = split(entries, &config(seed));
            members(entries, &splits, Split::Test)
        };
        let reversed: Vec<Entry> = entries.iter().rev().cloned().collect();
        assert_eq!(test(&entries, 1), test(&reversed, 1));
        assert_ne!(test(&entries, 1), test(&entries, 2));
    }

    #[test]
    fn fewer_training_subjects_are_a_subset_and_held_out_sets_stay() {
        let entries = study(50);
        let with = |n_train| {
            let config = DataConfig {
                n_train,
                ..DataConfig::default()
            };
            let (splits, _) = split(&entries, &config);
            [Split::Train, Split::Test].map(|split| members(&entries, &splits, split))
        };
        let ([five, test_five], [ten, test_ten], [all, _]) =
            (with(Some(5)), with(Some(10)), with(None));
        assert_eq!((five.len(), ten.len(), all.len()), (5, 10, 30));
        assert!(five.is_subset(&ten) && ten.is_subset(&all));
        assert_eq!(test_five, test_ten);
    }

    #[test]
    fn the_first_to_train_does_so_for_every_number_of_subjects() {
        let entries = study(20);
        for split_seed in 0..5 {
            let first = |n_train| {
                let config = DataConfig {
                    n_train,
                    split_seed,
                    ..DataConfig::default()
                };
                let (splits, _) = split(&entries, &config);
                let first = first_to_train(&entries, &splits, &config).unwrap();
                assert!(members(&entries, &splits, Split::Train).contains(first));
                first
            };
            for n in 1..=12 {
                assert_eq!(first(Some(n)), first(None), "seed {split_seed}, {n}");
            }
        }
        assert_eq!(first_to_train(&[], &[], &DataConfig::default()), None);
    }

    #[test]
    fn what_is_left_out_stays_out_of_an_undivided_set() {
        let mut entries = study(3);
        for (entry, split) in entries.iter_mut().zip([Split::Test, Split::Validation]) {
            entry.split = Some(split);
        }
        entries[2].split = Some(Split::Unused);
        undivide(&mut entries);
        let found = entries.iter().map(|entry| entry.split);
        let (train, unused) = (Some(Split::Train), Some(Split::Unused));
        let expected = [train, train, unused, None, None, None];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_given_split_is_kept_and_its_gaps_are_reported() {
        let mut entries = study(3);
        for (entry, split) in entries.iter_mut().zip([Split::Test; 4]) {
            entry.split = Some(split);
        }
        assert!(
            split(&entries, &DataConfig::default())
                .1
                .contains("2 of 3 subjects (not for s2)")
        );
        entries[4].split = Some(Split::Train);
        assert!(
            split(&entries, &DataConfig::default())
                .1
                .contains("subject s2 is in two splits")
        );
        entries[5].split = Some(Split::Train);
        let (splits, problems) = split(&entries, &DataConfig::default());
        assert_eq!(problems, "");
        assert_eq!(splits[..4], [Split::Test; 4]);
        assert_eq!(splits[4..], [Split::Train; 2]);
    }
}
