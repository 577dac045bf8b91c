//! The folder of a study, made ready for its cells.

use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde_json::json;

use super::Study;
use crate::cli::record;
use crate::error::Error;
use crate::study::{Job, StudyConfig, check_images, read_images};
use crate::volume::{write_atomically, write_text};

const SETTINGS: &str = "study.toml";
const LOCK: &str = ".lock";

/// What a folder was prepared for before.
enum Before {
    Nothing,
    /// These settings.
    Same,
    /// Others, whose splits and measures go.
    Other(Box<StudyConfig>),
}

impl Study<'_> {
    /// The folder with what all cells need, and the settings as they were understood.
    pub(super) fn prepare(&mut self) -> anyhow::Result<()> {
        let out = self.args.out.as_path();
        make_folder(out)?;
        let _held = self.hold()?;
        let before = self.before()?;
        for name in ["cells", "results"] {
            make_folder(&out.join(name))?;
        }
        // Tables are made of what is measured, wherever the images are by now.
        if !self.args.summary {
            let kept = matches!(before, Before::Same) && !self.runs_all_anew();
            self.prepare_images(kept)?;
        }
        // Not before it is known that the images do for the new settings.
        if let Before::Other(settings) = &before {
            self.remove_results(settings)?;
        }
        let text = toml::to_string(&self.settings).context("the settings cannot be written")?;
        write_text(out.join(SETTINGS), &text)?;
        let facts = json!({ "cells": self.jobs.len(), "pretrainings": self.pretrainings.len() });
        record::write(&out.join("run.json"), self.common, facts)?;
        Ok(())
    }

    /// Keeps others out while the folder is prepared: of cells that start side by side one reads all images, and the others
    /// find what it wrote.
    fn hold(&self) -> anyhow::Result<Option<File>> {
        let path = self.args.out.join(LOCK);
        let file = File::create(&path).map_err(|e| Error::io(&path, e))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => {
                self.common
                    .say("another process reads the images of the study; waiting");
                Ok(file.lock().is_ok().then_some(file))
            }
            // Some network file systems have no locks: each process then reads, and all write the same.
            Err(TryLockError::Error(_)) => Ok(None),
        }
    }

    /// With which settings the folder was prepared. Refuses to put cells of other settings beside those that are there,
    /// but with --force.
    fn before(&self) -> anyhow::Result<Before> {
        let out = &self.args.out;
        let path = out.join(SETTINGS);
        if !path.is_file() {
            return Ok(Before::Nothing);
        }
        let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
        let before: StudyConfig =
            toml::from_str(&text).map_err(|e| Error::file(&path, e.message()))?;
        let Some(key) = self.settings.difference(&before)? else {
            return Ok(Before::Same);
        };
        ensure!(
            self.common.force,
            "{}: holds cells of another {key}; only paradigms, n, alphas and seeds of a study may change: choose another folder, or \
             --force to run the cells anew",
            out.display()
        );
        Ok(Before::Other(Box::new(before)))
    }

    /// Whether --force is about the whole study, and so about its images, too: they may be others by now.
    fn runs_all_anew(&self) -> bool {
        self.common.force && self.args.cell.is_none() && !self.args.summary
    }

    /// Removes what was measured with other settings, and those of their splits that no new ones have replaced.
    fn remove_results(&self, settings: &StudyConfig) -> crate::error::Result<()> {
        let out = self.args.out.as_path();
        let results = out.join("results");
        std::fs::remove_dir_all(&results).map_err(|e| Error::io(&results, e))?;
        make_folder(&results)?;
        let replaced = match self.args.summary {
            true => Vec::new(),
            false => self.settings.image_files(out),
        };
        let old = settings.image_files(out);
        let mut gone = old.into_iter().filter(|file| !replaced.contains(file));
        gone.try_for_each(|file| remove(&file))?;
        remove_if_empty(&folds(out));
        Ok(())
    }

    /// Brings all cells to one grid, and checks what their images allow; where they do not do, the folder has the splits of
    /// before, so that no study of other settings takes these for its own.
    fn prepare_images(&mut self, kept: bool) -> anyhow::Result<()> {
        let before = Splits::read(&self.settings, &self.args.out)?;
        let prepared = self.use_images(kept);
        if prepared.is_err() {
            before.put_back()?;
        }
        prepared
    }

    fn use_images(&mut self, kept: bool) -> anyhow::Result<()> {
        let out = self.args.out.as_path();
        let shape = read_images(&self.settings, out, kept)?;
        let pretrainings = self.pretrainings.iter_mut().map(|one| &mut one.settings);
        let runs = pretrainings.chain(self.jobs.iter_mut().map(|job| &mut job.settings));
        for data in runs.filter_map(|run| run.data.as_mut()) {
            data.shape.get_or_insert_with(|| shape.clone());
        }
        Ok(check_images(&self.settings, self.concerned())?)
    }

    /// The cells that this process will run, or that start from the pretraining that it will run.
    fn concerned(&self) -> impl Iterator<Item = &Job> {
        let (first, chosen) = (self.pretrainings.len(), self.args.cell);
        let cells = self.jobs.iter().enumerate();
        let concerned = cells.filter(move |(place, job)| {
            chosen.is_none_or(|number| number == first + place || job.pretraining == Some(number))
        });
        concerned.map(|(_, job)| job)
    }
}

fn make_folder(path: &Path) -> crate::error::Result<()> {
    std::fs::create_dir_all(path).map_err(|e| Error::io(path, e))
}

/// The files that [`read_images`] writes, as they were before.
struct Splits {
    /// Nothing where there was no file.
    files: Vec<(PathBuf, Option<Vec<u8>>)>,
    /// The folder of folds, where there was none.
    new_folder: Option<PathBuf>,
}

impl Splits {
    fn read(settings: &StudyConfig, out: &Path) -> crate::error::Result<Self> {
        let content = |file: PathBuf| {
            let content = match file.is_file() {
                true => Some(std::fs::read(&file).map_err(|e| Error::io(&file, e))?),
                false => None,
            };
            Ok((file, content))
        };
        let files = settings.image_files(out).into_iter().map(content);
        let folds = folds(out);
        Ok(Self {
            files: files.collect::<crate::error::Result<_>>()?,
            new_folder: (!folds.exists()).then_some(folds),
        })
    }

    fn put_back(&self) -> crate::error::Result<()> {
        for (file, content) in &self.files {
            match content {
                Some(content) => write_atomically(file, |out| out.write_all(content))?,
                None => remove(file)?,
            }
        }
        if let Some(folder) = &self.new_folder {
            remove_if_empty(folder);
        }
        Ok(())
    }
}

fn folds(out: &Path) -> PathBuf {
    out.join("folds")
}

fn remove(file: &Path) -> crate::error::Result<()> {
    match file.is_file() {
        true => std::fs::remove_file(file).map_err(|e| Error::io(file, e)),
        false => Ok(()),
    }
}

/// A folder that holds a file of the user's own stays.
fn remove_if_empty(folder: &Path) {
    let _ = std::fs::remove_dir(folder);
}
