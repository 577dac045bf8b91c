//! A study in memory: every image of the three splits on the network grid.

use std::collections::BTreeSet;
use std::path::Path;

use ndarray::Array3;
use rand::Rng;
use rayon::prelude::*;

use super::batch::{Kind, Sample};
use super::config::{Align, DataConfig, Pairs};
use super::grid::{self, Grid};
use super::manifest::Entry;
use super::pairing::{self, Group, Pairing};
use super::pending as resample;
use super::preprocess::{Prepared, prepare, same_grid};
use super::problems::Problems;
use super::split::{self, Split};
use super::verify;
use crate::error::Result;
use crate::volume::intensity::Normaliser;
use crate::volume::{Dimension, Geometry, LabelMap, centre_fit};

/// One image of the study, ready for the network.
#[derive(Debug, Clone)]
pub struct Item {
    pub id: String,
    pub subject: String,
    pub split: Split,
    /// Normalised, on the network grid, whose place in the world is `geometry`.
    pub image: Array3<f32>,
    pub labels: Option<Array3<i32>>,
    pub geometry: Geometry,
    /// Before padding and cropping; kept where another image's grid may need what was cropped.
    whole: Option<Prepared>,
}

/// The images of a study, verified, preprocessed and split by subject.
#[derive(Debug)]
pub struct Dataset {
    grid: Grid,
    items: Vec<Item>,
    entries: Vec<Entry>,
    splits: Vec<Split>,
    pairing: Pairing,
    /// Training, validation and test.
    groups: [Group; 3],
    notes: Vec<String>,
}

impl Dataset {
    /// Reads and checks everything; every axis of the grid is a multiple of `factor` voxels.
    ///
    /// # Errors
    /// One report of all problems: settings, missing or unreadable files, images listed twice, labels
    /// off their image's grid, splits that cannot make a pair.
    pub fn load(config: &DataConfig, factor: usize) -> Result<Self> {
        let mut problems = Problems::default();
        let mut notes = Vec::new();
        config.check(&mut problems);
        let entries = verify::entries(config, &mut problems);
        let splits = split::assign(&entries, config, &mut problems);
        let Study {
            used,
            splits: used_splits,
            pairing,
            groups,
        } = Study::new(config, &entries, &splits, &mut problems);
        let normaliser = problems.keep(config.normalize.prepare());
        let prepared = match &normaliser {
            Some(normaliser) => prepare_all(&used, config, normaliser, &mut problems),
            None => Vec::new(),
        };
        let read: Vec<_> = used
            .iter()
            .zip(&prepared)
            .filter_map(|(entry, p)| Some((entry.id.as_str(), p.as_ref()?)))
            .collect();
        let grid = grid::decide(&read, config, factor, &mut problems, &mut notes);
        problems.into_result()?;
        // Without a problem every image has been read and a grid decided.
        let grid = grid.ok_or_else(|| crate::error::Error::invalid("[data] names no image"))?;
        let keep_whole = config.align == Align::Header;
        let mut items: Vec<Item> = used
            .into_iter()
            .zip(used_splits)
            .zip(prepared.into_iter().flatten())
            .map(|((entry, split), prepared)| Item::new(entry, split, prepared, &grid, keep_whole))
            .collect();
        drop_needless_wholes(&mut items);
        Ok(Self {
            grid,
            items,
            entries,
            splits,
            pairing,
            groups,
            notes,
        })
    }

    pub fn dimension(&self) -> Dimension {
        self.grid.dimension
    }

    /// The network grid in host axes `(i, j, k)`.
    pub fn shape(&self) -> [usize; 3] {
        self.grid.shape
    }

    /// Every image, the atlas (of no split) last if there is one.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Item numbers of a split; none for `Unused`.
    pub fn members(&self, split: Split) -> &[usize] {
        self.group(split).map_or(&[], Group::members)
    }

    /// Number of subjects in a split.
    pub fn subjects(&self, split: Split) -> usize {
        self.group(split).map_or(0, Group::subjects)
    }

    /// What the user should know about how the images are used, one line each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Label numbers that occur in a split, ascending, without background.
    pub fn label_ids(&self, split: Split) -> Vec<i32> {
        let maps = self
            .members(split)
            .iter()
            .filter_map(|&n| self.items[n].labels.as_ref());
        let found: BTreeSet<i32> = maps
            .flat_map(|labels| labels.iter().copied().collect::<BTreeSet<_>>())
            .filter(|&id| id != 0)
            .collect();
        found.into_iter().collect()
    }

    /// The label maps of a split, for synthesis from real anatomy.
    pub fn label_maps(&self, split: Split) -> Vec<LabelMap> {
        let items = self.members(split).iter().map(|&n| &self.items[n]);
        items
            .filter_map(|item| {
                let data = item.labels.clone()?;
                Some(LabelMap {
                    data,
                    geometry: item.geometry.clone(),
                })
            })
            .collect()
    }

    /// Bytes of voxels held.
    pub fn memory_bytes(&self) -> usize {
        let pair = |voxels: usize, labels: bool| voxels * if labels { 8 } else { 4 };
        let item = |item: &Item| {
            let whole = item.whole.as_ref();
            pair(item.image.len(), item.labels.is_some())
                + whole.map_or(0, |w| pair(w.image.data.len(), w.labels.is_some()))
        };
        self.items.iter().map(item).sum()
    }

    /// Two images on the grid of the fixed one, not augmented.
    pub fn pair(&self, fixed: usize, moving: usize) -> Result<Sample> {
        let (fixed, moving) = (&self.items[fixed], &self.items[moving]);
        let (moving_image, moving_labels) = moving.on_grid_of(fixed)?;
        Ok(Sample {
            kind: Kind::Real,
            fixed_id: fixed.id.clone(),
            moving_id: moving.id.clone(),
            fixed: fixed.image.clone(),
            moving: moving_image,
            fixed_labels: fixed.labels.clone(),
            moving_labels,
            field: None,
        })
    }

    /// A random training pair.
    pub fn draw(&self, rng: &mut impl Rng) -> Result<Sample> {
        let (fixed, moving) = self.groups[0].draw(&self.pairing, rng);
        self.pair(fixed, moving)
    }

    /// `count` distinct (fixed, moving) pairs of a split, the same for the same `seed`; all pairs of
    /// the split where there are fewer.
    pub fn validation_pairs(&self, split: Split, count: usize, seed: u64) -> Vec<(usize, usize)> {
        self.group(split)
            .map_or(Vec::new(), |group| group.some(&self.pairing, count, seed))
    }

    /// Writes the split of every image as a manifest with absolute paths.
    pub fn write_split(&self, path: &Path) -> Result<()> {
        split::write(path, &self.entries, &self.splits)
    }

    fn group(&self, split: Split) -> Option<&Group> {
        match split {
            Split::Train => Some(&self.groups[0]),
            Split::Validation => Some(&self.groups[1]),
            Split::Test => Some(&self.groups[2]),
            Split::Unused => None,
        }
    }
}

/// The images that are read, and how they are paired.
struct Study {
    used: Vec<Entry>,
    splits: Vec<Split>,
    pairing: Pairing,
    groups: [Group; 3],
}

impl Study {
    fn new(
        config: &DataConfig,
        entries: &[Entry],
        splits: &[Split],
        problems: &mut Problems,
    ) -> Self {
        let in_use = entries
            .iter()
            .zip(splits)
            .filter(|(_, split)| **split != Split::Unused);
        let (mut used, mut splits): (Vec<Entry>, Vec<Split>) =
            in_use.map(|(entry, split)| (entry.clone(), *split)).unzip();
        let pairing = match (config.pairs, &config.atlas, &config.pairs_file) {
            (Pairs::Atlas, Some(atlas), _) => {
                used.push(Entry {
                    id: "atlas".into(),
                    image: atlas.clone(),
                    label: config.atlas_labels.clone(),
                    subject: "atlas".into(),
                    split: None,
                    landmarks: None,
                });
                splits.push(Split::Unused);
                Pairing::Atlas(used.len() - 1)
            }
            (Pairs::Listed, _, Some(path)) => {
                let pairs = pairing::read_list(path, &used, &splits, problems);
                Pairing::Listed(problems.keep(pairs).unwrap_or_default())
            }
            _ => Pairing::BetweenSubjects,
        };
        let groups = [Split::Train, Split::Validation, Split::Test]
            .map(|split| Group::new(split, &used, &splits, &pairing));
        verify::groups(&groups, &pairing, problems);
        Self {
            used,
            splits,
            pairing,
            groups,
        }
    }
}

/// Every image whose files are there, read in parallel; the rest goes to `problems` in their order.
fn prepare_all(
    entries: &[Entry],
    config: &DataConfig,
    normaliser: &Normaliser,
    problems: &mut Problems,
) -> Vec<Option<Prepared>> {
    let read: Vec<_> = entries
        .par_iter()
        .map(|entry| {
            let mut problems = Problems::default();
            let there = verify::files_exist(entry, &mut problems);
            let prepared = there
                .then(|| problems.keep(prepare(entry, config, normaliser)))
                .flatten();
            (prepared, problems)
        })
        .collect();
    let mut take = |(prepared, found): (Option<Prepared>, Problems)| {
        problems.append(found);
        prepared
    };
    read.into_iter().map(&mut take).collect()
}

impl Item {
    fn new(entry: Entry, split: Split, prepared: Prepared, grid: &Grid, keep_whole: bool) -> Self {
        let image = centre_fit(
            &centre_fit(&prepared.image, grid.content, 0.0),
            grid.shape,
            0.0,
        );
        let labels = prepared
            .labels
            .as_ref()
            .map(|labels| centre_fit(&centre_fit(labels, grid.content, 0), grid.shape, 0).data);
        Self {
            id: entry.id,
            subject: entry.subject,
            split,
            image: image.data,
            labels,
            geometry: image.geometry,
            whole: keep_whole.then_some(prepared),
        }
    }

    /// Image and labels on the grid of another item, through both affines unless the grids are one
    /// or alignment is by centres.
    fn on_grid_of(&self, other: &Item) -> Result<(Array3<f32>, Option<Array3<i32>>)> {
        match &self.whole {
            Some(whole) if !same_grid(&self.geometry, &other.geometry) => {
                let image = resample::image_to(&whole.image, &other.geometry)?;
                let labels = whole.labels.as_ref();
                let labels = labels
                    .map(|l| resample::labels_to(l, &other.geometry))
                    .transpose()?;
                Ok((image.data, labels.map(|l| l.data)))
            }
            _ => Ok((self.image.clone(), self.labels.clone())),
        }
    }
}

/// Where all grids are one, nothing is ever resampled.
fn drop_needless_wholes(items: &mut [Item]) {
    let Some((first, rest)) = items.split_first_mut() else {
        return;
    };
    if rest
        .iter()
        .all(|item| same_grid(&first.geometry, &item.geometry))
    {
        first.whole = None;
        for item in rest {
            item.whole = None;
        }
    }
}
