//! Which two images make a pair. One subject's own images meet only where the settings say so.

use std::collections::BTreeSet;
use std::path::Path;

use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::manifest::Entry;
use super::problems::Problems;
use super::split::Split;
use crate::error::{Error, Result};

/// The rule of a study with what it needs to know.
#[derive(Debug)]
pub(super) enum Pairing {
    BetweenSubjects,
    Any,
    /// Item number of the atlas.
    Atlas(usize),
    /// (fixed, moving) item numbers.
    Listed(Vec<(usize, usize)>),
}

/// The images of one split, those of a subject side by side.
#[derive(Debug, Default)]
pub(super) struct Group {
    members: Vec<usize>,
    /// Number of the subject of each member.
    subjects: Vec<usize>,
    /// Listed pairs within the split.
    listed: Vec<(usize, usize)>,
}

impl Group {
    /// The members of `split`; `subject_of` names the subject of an item.
    pub fn new(split: Split, entries: &[Entry], splits: &[Split], pairing: &Pairing) -> Self {
        let mut members: Vec<usize> = (0..entries.len()).filter(|&n| splits[n] == split).collect();
        members.sort_by_key(|&n| (&entries[n].subject, n));
        let names: BTreeSet<&str> = members
            .iter()
            .map(|&n| entries[n].subject.as_str())
            .collect();
        let names: Vec<&str> = names.into_iter().collect();
        let subjects = members
            .iter()
            .map(|&n| names.partition_point(|name| *name < entries[n].subject.as_str()))
            .collect();
        let listed = match pairing {
            Pairing::Listed(pairs) => pairs
                .iter()
                .copied()
                .filter(|&(fixed, _)| splits[fixed] == split)
                .collect(),
            _ => Vec::new(),
        };
        Self {
            members,
            subjects,
            listed,
        }
    }

    /// Item numbers.
    pub fn members(&self) -> &[usize] {
        &self.members
    }

    /// Number of subjects.
    pub fn subjects(&self) -> usize {
        self.subjects.last().map_or(0, |last| last + 1)
    }

    /// Whether both images of some pair that training may draw `have` something.
    pub fn any_pair(&self, pairing: &Pairing, have: impl Fn(usize) -> bool) -> bool {
        let with_subject = self.members.iter().zip(&self.subjects);
        let mut having = with_subject.filter(|(n, _)| have(**n));
        match pairing {
            Pairing::Listed(_) => {
                let mut pairs = self.listed.iter();
                pairs.any(|&(fixed, moving)| have(fixed) && have(moving))
            }
            Pairing::Atlas(atlas) => have(*atlas) && having.next().is_some(),
            // In training an image may meet itself; what is measured see in [`Self::all`].
            Pairing::Any => having.next().is_some(),
            Pairing::BetweenSubjects => {
                let first = having.next();
                first.is_some_and(|(_, subject)| having.any(|(_, other)| other != subject))
            }
        }
    }

    /// A random (fixed, moving) pair, every image equally likely to be fixed.
    ///
    /// The group must be able to make one, which the report before the first step has checked.
    pub fn draw(&self, pairing: &Pairing, rng: &mut impl Rng) -> (usize, usize) {
        let any = |rng: &mut _, n: usize| RngExt::random_range(rng, 0..n);
        match pairing {
            Pairing::Listed(_) => self.listed[any(rng, self.listed.len())],
            Pairing::Atlas(atlas) => (*atlas, self.members[any(rng, self.members.len())]),
            Pairing::Any => {
                let [fixed, moving] = [(); 2].map(|()| any(rng, self.members.len()));
                (self.members[fixed], self.members[moving])
            }
            Pairing::BetweenSubjects => {
                let fixed = any(rng, self.members.len());
                let start = self.subjects.partition_point(|&s| s < self.subjects[fixed]);
                let end = self
                    .subjects
                    .partition_point(|&s| s <= self.subjects[fixed]);
                let other = any(rng, self.members.len() - (end - start));
                let moving = if other < start {
                    other
                } else {
                    other + end - start
                };
                (self.members[fixed], self.members[moving])
            }
        }
    }

    /// Every (fixed, moving) pair of the group that is worth measuring: an image and itself, or another of its
    /// subject, only where they are listed.
    pub fn all(&self, pairing: &Pairing) -> Vec<(usize, usize)> {
        match pairing {
            Pairing::Listed(_) => self.listed.clone(),
            Pairing::Atlas(atlas) => self
                .members
                .iter()
                .map(|&moving| (*atlas, moving))
                .collect(),
            Pairing::BetweenSubjects | Pairing::Any => {
                let with_subject = || self.members.iter().zip(&self.subjects);
                with_subject()
                    .flat_map(|(&fixed, subject)| {
                        let others = with_subject().filter(move |(_, other)| *other != subject);
                        others.map(move |(&moving, _)| (fixed, moving))
                    })
                    .collect()
            }
        }
    }

    /// `count` distinct pairs in an order that only `seed` decides; all when there are fewer.
    pub fn some(&self, pairing: &Pairing, count: usize, seed: u64) -> Vec<(usize, usize)> {
        let mut pairs = self.all(pairing);
        pairs.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        pairs.truncate(count);
        pairs
    }
}

/// A row of a pairs file; other columns belong to other commands.
#[derive(serde::Deserialize)]
struct Row {
    fixed: String,
    moving: String,
}

/// The pairs of a CSV file as item numbers; rows that cannot be used go to `problems`. Pairs with an unused image are left
/// out, so that one list serves every part of a study.
pub(super) fn read_list(
    path: &Path,
    entries: &[Entry],
    splits: &[Split],
    problems: &mut Problems,
) -> Result<Vec<(usize, usize)>> {
    let wrong = |error| Error::csv(path, error);
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_path(path)
        .map_err(wrong)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut pairs = Vec::new();
    for row in reader.deserialize::<Row>() {
        let row = row.map_err(wrong)?;
        let [fixed, moving] = [&row.fixed, &row.moving].map(|name| {
            let found = position(name, folder, entries);
            if found.is_none() {
                problems.push(format!(
                    "{}: {name} is not an image of the study; list it in the manifest",
                    path.display()
                ));
            }
            found
        });
        if let (Some(fixed), Some(moving)) = (fixed, moving) {
            let both = [splits[fixed], splits[moving]];
            if both.contains(&Split::Unused) {
                continue;
            }
            if both[0] == both[1] {
                pairs.push((fixed, moving));
            } else {
                problems.push(format!(
                    "{}: {} is in the {} split, {} in the {} split; a pair must lie within one",
                    path.display(),
                    row.fixed,
                    both[0],
                    row.moving,
                    both[1]
                ));
            }
        }
    }
    Ok(pairs)
}

/// The item that an id or a path names.
fn position(name: &str, folder: &Path, entries: &[Entry]) -> Option<usize> {
    entries
        .iter()
        .position(|entry| entry.id == name)
        .or_else(|| {
            let wanted = folder.join(name).canonicalize().ok()?;
            entries.iter().position(|entry| entry.is_file(&wanted))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Images `0..`, of the subjects named.
    fn study(subjects: &[&str]) -> Vec<Entry> {
        let entry = |(n, subject): (usize, &&str)| Entry {
            id: n.to_string(),
            image: format!("{n}.nii").into(),
            label: None,
            subject: subject.to_string(),
            split: None,
            landmarks: None,
        };
        subjects.iter().enumerate().map(entry).collect()
    }

    fn group(subjects: &[&str], pairing: &Pairing) -> Group {
        let entries = study(subjects);
        Group::new(
            Split::Train,
            &entries,
            &vec![Split::Train; entries.len()],
            pairing,
        )
    }

    #[test]
    fn pairs_are_between_subjects_and_all_of_them_occur() {
        let subjects = ["a", "b", "a", "c", "c"];
        let group = group(&subjects, &Pairing::BetweenSubjects);
        assert_eq!(group.subjects(), 3);
        // 25 ordered pairs less 2x2 (a), 1 (b), 2x2 (c) of one subject.
        let all = group.all(&Pairing::BetweenSubjects);
        assert_eq!(all.len(), 16);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut counts = HashMap::new();
        for _ in 0..16_000 {
            let pair = group.draw(&Pairing::BetweenSubjects, &mut rng);
            assert_ne!(subjects[pair.0], subjects[pair.1]);
            *counts.entry(pair).or_insert(0) += 1;
        }
        assert!(all.iter().all(|pair| counts.contains_key(pair)));
        // Every image is fixed in 1 of 5 draws: 3200, standard deviation 51; 5 of those.
        let fixed = |n| {
            counts
                .iter()
                .filter(|((f, _), _)| *f == n)
                .map(|(_, c)| c)
                .sum::<i32>()
        };
        assert!((0..5).all(|n| (fixed(n) - 3200).abs() < 255));
    }

    #[test]
    fn any_two_images_train_but_only_those_of_two_subjects_are_measured() {
        let subjects = ["a", "b", "a"];
        let group = group(&subjects, &Pairing::Any);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let drawn: BTreeSet<_> = (0..200)
            .map(|_| group.draw(&Pairing::Any, &mut rng))
            .collect();
        assert_eq!(drawn.len(), 9, "{drawn:?}");
        let measured = BTreeSet::from_iter(group.all(&Pairing::Any));
        assert_eq!(measured, BTreeSet::from([(0, 1), (1, 0), (1, 2), (2, 1)]));
    }

    #[test]
    fn held_out_pairs_are_distinct_seeded_and_limited() {
        let group = group(&["a", "b", "c", "d"], &Pairing::BetweenSubjects);
        let pairs = |count, seed| group.some(&Pairing::BetweenSubjects, count, seed);
        let five = pairs(5, 1);
        assert_eq!(five.iter().collect::<BTreeSet<_>>().len(), 5);
        assert_eq!(five, pairs(5, 1));
        assert_ne!(five, pairs(5, 2));
        assert_eq!(pairs(99, 1).len(), 12);
    }

    #[test]
    fn an_atlas_is_always_fixed() {
        let pairing = Pairing::Atlas(9);
        let group = group(&["a", "b"], &pairing);
        assert_eq!(group.all(&pairing), [(9, 0), (9, 1)]);
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        assert!((0..20).all(|_| group.draw(&pairing, &mut rng).0 == 9));
    }

    #[test]
    fn a_list_may_pair_one_subject_but_not_two_splits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.csv");
        std::fs::write(
            &path,
            "id,fixed,moving\n1,0,1\n2,0,2\n3,0,nobody\n4,0,3\n5,3,3\n",
        )
        .unwrap();
        let splits = [Split::Train, Split::Train, Split::Test, Split::Unused];
        let mut problems = Problems::default();
        let entries = study(&["a", "a", "b", "left out"]);
        let pairs = read_list(&path, &entries, &splits, &mut problems).unwrap();
        assert_eq!(pairs, [(0, 1)]);
        let report = problems.into_result().unwrap_err().to_string();
        assert!(
            report.contains("nobody is not an image of the study"),
            "{report}"
        );
        assert!(
            report.contains("0 is in the train split, 2 in the test split"),
            "{report}"
        );
        let pairing = Pairing::Listed(pairs);
        let train = Group::new(Split::Train, &entries, &splits, &pairing);
        let test = Group::new(Split::Test, &entries, &splits, &pairing);
        assert_eq!(
            (train.all(&pairing).len(), test.all(&pairing).len()),
            (1, 0)
        );
    }
}
