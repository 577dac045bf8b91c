//! The images that a run reads: found, split, paired, checked and prepared.

use nalgebra::Matrix4;
use rayon::prelude::*;

use super::config::{DataConfig, Pairs};
use super::item::Loaded;
use super::landmarks::read_landmarks;
use super::manifest::Entry;
use super::pairing::{self, Group, Pairing};
use super::preprocess::{Preprocessing, prepare};
use super::problems::Problems;
use super::split::{self, Split};
use super::verify;

/// The images that are read, and how they are paired.
pub(super) struct Listing {
    pub entries: Vec<Entry>,
    pub splits: Vec<Split>,
    pub pairing: Pairing,
    /// Training, validation and test.
    pub groups: [Group; 3],
    /// Item number of the image that all others are registered to with `align = "affine"`.
    pub reference: usize,
}

impl Listing {
    /// Leaves out the unused, adds the atlas and checks that every split that is `needed` can make a pair.
    pub fn new(
        config: &DataConfig,
        all: &[Entry],
        all_splits: &[Split],
        needed: &[Split],
        problems: &mut Problems,
    ) -> Self {
        let used = |split: &&Split| **split != Split::Unused;
        let in_use = all.iter().zip(all_splits).filter(|(_, split)| used(split));
        let (mut entries, mut splits): (Vec<Entry>, Vec<Split>) =
            in_use.map(|(entry, split)| (entry.clone(), *split)).unzip();
        let pairing = match (config.pairs, &config.atlas, &config.pairs_file) {
            (Pairs::Atlas, Some(path), _) => {
                entries.push(Entry {
                    id: "atlas".into(),
                    image: path.clone(),
                    label: config.atlas_labels.clone(),
                    subject: "atlas".into(),
                    split: None,
                    landmarks: None,
                });
                splits.push(Split::Unused);
                Pairing::Atlas(entries.len() - 1)
            }
            (Pairs::Listed, _, Some(path)) => {
                let pairs = pairing::read_list(path, all, all_splits, problems);
                let number = |among_all: usize| all_splits[..among_all].iter().filter(used).count();
                let pairs = problems.keep(pairs).unwrap_or_default().into_iter();
                Pairing::Listed(pairs.map(|(f, m)| (number(f), number(m))).collect())
            }
            (Pairs::Any, ..) => Pairing::Any,
            _ => Pairing::BetweenSubjects,
        };
        let groups = Split::USED.map(|split| Group::new(split, &entries, &splits, &pairing));
        if !entries.is_empty() {
            verify::splits(&groups, &pairing, config, needed, problems);
        }
        // The same however many subjects train, so that runs that differ in that see held-out images alike.
        let first = split::first_to_train(all, all_splits, config);
        let reference = reference(&pairing, &entries, first);
        Self {
            entries,
            splits,
            pairing,
            groups,
            reference,
        }
    }

    /// Every image whose files are there, read in parallel; what is wrong goes to `problems` in the
    /// order of the images.
    pub fn load(
        &self,
        preprocessing: &Preprocessing,
        problems: &mut Problems,
    ) -> Vec<Option<Loaded>> {
        let read: Vec<_> = self
            .entries
            .par_iter()
            .map(|entry| {
                let mut problems = Problems::default();
                (load(entry, preprocessing, &mut problems), problems)
            })
            .collect();
        read.into_iter()
            .map(|(loaded, found)| {
                problems.append(found);
                loaded
            })
            .collect()
    }
}

/// The atlas, or else an image of the subject `first`.
fn reference(pairing: &Pairing, entries: &[Entry], first: Option<&str>) -> usize {
    let of_first = |entry: &Entry| Some(entry.subject.as_str()) == first;
    match pairing {
        Pairing::Atlas(atlas) => *atlas,
        _ => entries.iter().position(of_first).unwrap_or(0),
    }
}

fn load(entry: &Entry, preprocessing: &Preprocessing, problems: &mut Problems) -> Option<Loaded> {
    if !verify::files_exist(entry, problems) {
        return None;
    }
    let landmarks = entry.landmarks.as_ref().map(read_landmarks).transpose();
    let landmarks = problems.keep(landmarks);
    let prepared = problems.keep(prepare(entry, preprocessing));
    Some(Loaded {
        prepared: prepared?,
        landmarks: landmarks?.unwrap_or_default(),
        from_reference: Matrix4::identity(),
    })
}
