//! A study in memory: every image of the three splits on the network grid.

use std::path::Path;

use rand::Rng;

use super::align;
use super::config::{Align, DataConfig};
use super::grid::{self, Grid};
use super::item::Item;
use super::landmarks::{SharedLandmarks, corresponding};
use super::listing::Listing;
use super::manifest::Entry;
use super::meeting;
use super::pairing::{Group, Pairing};
use super::preprocess::Preprocessing;
use super::problems::Problems;
use super::sample::{Kind, Sample};
use super::split::{self, Split};
use super::verify;
use crate::error::{Error, Result};
use crate::synth::{AugmentConfig, AugmentImage};
use crate::volume::{Dimension, LabelMap};

/// The images of a study, verified, preprocessed and split by subject.
#[derive(Debug)]
pub struct Dataset {
    grid: Grid,
    items: Vec<Item>,
    pairing: Pairing,
    /// Training, validation and test.
    groups: [Group; 3],
    augment: Option<AugmentConfig>,
    preprocessing: Preprocessing,
    notes: Vec<String>,
    /// All images of the study, the unused too, for the split's file.
    entries: Vec<Entry>,
    splits: Vec<Split>,
}

impl Dataset {
    /// Reads and checks everything; every axis of the grid is a multiple of `factor` voxels.
    ///
    /// # Errors
    /// One report of all problems: settings, missing or unreadable files, images listed twice, labels
    /// off their image's grid, images that their headers put apart, splits that cannot make a pair.
    pub fn load(config: &DataConfig, factor: usize) -> Result<Self> {
        Self::read(config, factor, &Split::USED, |_| ())
    }

    /// As [`Dataset::load`], to measure pairs of one split: no other needs images or pairs. Images of the others are read all the
    /// same, since they have a say in the grid.
    ///
    /// # Errors
    /// As [`Dataset::load`].
    pub fn load_to_measure(config: &DataConfig, factor: usize, split: Split) -> Result<Self> {
        Self::read(config, factor, &[split], |_| ())
    }

    /// As [`Dataset::load`], but with every image in the training split that a manifest does not leave out, whatever split the
    /// manifest or the settings give it: for those who divide the subjects anew.
    ///
    /// # Errors
    /// As [`Dataset::load`].
    pub fn load_undivided(config: &DataConfig, factor: usize) -> Result<Self> {
        let all = DataConfig {
            split: [1.0, 0.0, 0.0],
            n_train: None,
            ..config.clone()
        };
        Self::read(&all, factor, &Split::USED, split::undivide)
    }

    /// [`Dataset::load`] of entries that are changed first.
    fn read(
        config: &DataConfig,
        factor: usize,
        needed: &[Split],
        change: impl FnOnce(&mut [Entry]),
    ) -> Result<Self> {
        let mut problems = Problems::default();
        config.check(&mut problems);
        let mut entries = verify::entries(config, &mut problems);
        change(&mut entries);
        let splits = split::assign(&entries, config, &mut problems);
        let listing = Listing::new(config, &entries, &splits, needed, &mut problems);
        let preprocessing = problems.keep(Preprocessing::new(config));
        let mut loaded = match &preprocessing {
            Some(preprocessing) => listing.load(preprocessing, &mut problems),
            None => Vec::new(),
        };
        meeting::check(&listing, &loaded, config.align, needed, &mut problems);
        if config.align == Align::Affine && problems.is_empty() {
            align::to_reference(&listing, &mut loaded, &mut problems);
        }
        let read = listing.entries.iter().zip(&loaded);
        let read: Vec<_> = read
            .filter_map(|(entry, loaded)| Some((entry.id.as_str(), &loaded.as_ref()?.prepared)))
            .collect();
        let grid = grid::decide(&read, config, factor, &mut problems);
        problems.into_result()?;
        // Without a problem there are settings and at least one image, which decide the grid.
        let (Some(grid), Some(mut preprocessing)) = (grid, preprocessing) else {
            return Err(Error::invalid("[data] names no image"));
        };
        let mut notes = grid::notes(&read, &grid, config, factor);
        if let Some(number) = split::listed_atlas(&entries, config) {
            let id = &entries[number].id;
            notes.push(format!(
                "{id} is the atlas: fixed in every pair, and in no split itself"
            ));
        }
        grid::complete(&mut preprocessing, &read, config);
        let keep_whole = match config.align {
            Align::Header => !grid.is_one_of_all(&read),
            Align::Centre => false,
            Align::Affine => true,
        };
        let described = listing.entries.into_iter().zip(listing.splits);
        let items = described
            .zip(loaded.into_iter().flatten())
            .map(|((entry, split), loaded)| Item::new(entry, split, loaded, &grid, keep_whole))
            .collect();
        Ok(Self {
            grid,
            items,
            pairing: listing.pairing,
            groups: listing.groups,
            augment: config.augment.clone(),
            preprocessing,
            notes,
            entries,
            splits,
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

    /// Lets go of the voxels of a split, for those who needed them only to know that all is well. No pair of it can be made any
    /// more.
    pub fn forget(&mut self, split: Split) {
        for number in self.members(split).to_vec() {
            self.items[number].forget();
        }
    }

    /// Item numbers of a split; none for `Unused`.
    pub fn members(&self, split: Split) -> &[usize] {
        self.group(split).map_or(&[], Group::members)
    }

    /// Number of subjects in a split.
    pub fn subjects(&self, split: Split) -> usize {
        self.group(split).map_or(0, Group::subjects)
    }

    /// What was done to every image, for use on other scans: with the axis directions that the images
    /// have in common, and unless `align = "centre"` their voxel size.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    /// What the user should know about how the images are used, one line each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether both images of some pair that training may draw have labels.
    pub fn trains_on_labels(&self) -> bool {
        let labelled = |n: usize| self.items[n].labels.is_some();
        self.groups[0].any_pair(&self.pairing, labelled)
    }

    /// Whether both images of a pair have labels.
    pub fn labelled(&self, fixed: usize, moving: usize) -> bool {
        [fixed, moving]
            .iter()
            .all(|&n| self.items[n].labels.is_some())
    }

    /// The label maps of a split, each with the id of its image, for synthesis from real anatomy.
    pub fn label_maps(&self, split: Split) -> Vec<(String, LabelMap)> {
        let items = self.members(split).iter().map(|&n| &self.items[n]);
        items
            .filter_map(|item| {
                let map = LabelMap {
                    data: item.labels.clone()?,
                    geometry: item.geometry.clone(),
                };
                Some((item.id.clone(), map))
            })
            .collect()
    }

    /// Two images on the grid of the fixed one, not augmented.
    ///
    /// # Errors
    /// 2-D images whose planes are not parallel, unless `align = "centre"`.
    pub fn pair(&self, fixed: usize, moving: usize) -> Result<Sample> {
        self.sample((fixed, moving), true)
    }

    /// [`Self::pair`], with its `labels` or without.
    fn sample(&self, (fixed, moving): (usize, usize), labels: bool) -> Result<Sample> {
        let (fixed, moving) = (&self.items[fixed], &self.items[moving]);
        let (moving_image, moving_labels) = moving.on_grid_of(fixed, labels)?;
        Ok(Sample {
            kind: Kind::Real,
            fixed_id: fixed.id.clone(),
            moving_id: moving.id.clone(),
            fixed: fixed.image.clone(),
            moving: moving_image,
            fixed_labels: fixed.labels.as_ref().filter(|_| labels).cloned(),
            moving_labels,
            field: None,
        })
    }

    /// Corresponding landmarks of a pair, in voxels of the network grid; empty without landmarks.
    ///
    /// # Errors
    /// Landmarks that do not correspond.
    pub fn landmarks(&self, fixed: usize, moving: usize) -> Result<SharedLandmarks> {
        let (fixed, moving) = (&self.items[fixed], &self.items[moving]);
        if fixed.landmarks.is_empty() || moving.landmarks.is_empty() {
            return Ok(SharedLandmarks::default());
        }
        let moving_grid = moving.grid_beside(fixed)?;
        let places = [
            (fixed.landmarks.as_slice(), &fixed.geometry),
            (moving.landmarks.as_slice(), &moving_grid),
        ];
        corresponding(places[0].0, places[1].0)
            .and_then(|found| found.voxels(places[0], places[1]))
            .map_err(|error| Error::invalid(format!("{} and {}: {error}", fixed.id, moving.id)))
    }

    /// A random training pair, not augmented, with its `labels` or without.
    ///
    /// # Errors
    /// As [`Dataset::pair`].
    pub(super) fn draw(&self, rng: &mut impl Rng, labels: bool) -> Result<Sample> {
        self.sample(self.groups[0].draw(&self.pairing, rng), labels)
    }

    /// The pair as training sample `number` of `seed` shows it: augmented where the settings say so.
    pub(super) fn augmented(&self, sample: Sample, seed: u64, number: u64) -> Result<Sample> {
        let Some(augment) = &self.augment else {
            return Ok(sample);
        };
        let images = [
            AugmentImage {
                image: sample.fixed,
                labels: sample.fixed_labels,
            },
            AugmentImage {
                image: sample.moving,
                labels: sample.moving_labels,
            },
        ];
        let [fixed, moving] = augment.apply(images, self.grid.dimension, seed, number)?;
        Ok(Sample {
            fixed: fixed.image,
            fixed_labels: fixed.labels,
            moving: moving.image,
            moving_labels: moving.labels,
            ..sample
        })
    }

    /// `count` distinct (fixed, moving) pairs of a split, the same for the same `seed`; all pairs of
    /// the split where there are fewer.
    pub fn validation_pairs(&self, split: Split, count: usize, seed: u64) -> Vec<(usize, usize)> {
        let group = self.group(split);
        group.map_or(Vec::new(), |group| group.some(&self.pairing, count, seed))
    }

    /// Writes the split of every image as a manifest with absolute paths.
    ///
    /// # Errors
    /// Refusals of the operating system.
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
