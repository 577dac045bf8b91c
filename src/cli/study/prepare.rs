//! The folder of a study, made ready for its cells.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::json;

use super::Study;
use crate::cli::record;
use crate::error::Error;
use crate::study::{GRID, Job, StudyConfig, check_images, read_images};
use crate::volume::write_text;

const SETTINGS: &str = "study.toml";
const LOCK: &str = ".lock";

impl Study<'_> {
    /// The folder with what all cells need, and the settings as they were understood.
    pub(super) fn prepare(&mut self) -> anyhow::Result<()> {
        let out = self.args.out.as_path();
        make_folder(out)?;
        let _held = self.hold()?;
        let kept = self.keeps_settings()?;
        for name in ["cells", "results"] {
            make_folder(&out.join(name))?;
        }
        // Tables are made of what is measured, wherever the images are by now.
        if !self.args.summary {
            self.prepare_images(kept)?;
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

    /// Whether the folder was prepared with these settings. Refuses to put cells of other settings beside those that are
    /// there; with --force splits and measures of those go.
    fn keeps_settings(&self) -> anyhow::Result<bool> {
        let out = &self.args.out;
        let path = out.join(SETTINGS);
        if !path.is_file() {
            return Ok(false);
        }
        let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
        let before: StudyConfig =
            toml::from_str(&text).map_err(|e| Error::file(&path, e.message()))?;
        let Some(key) = self.settings.difference(&before)? else {
            return Ok(true);
        };
        ensure!(
            self.common.force,
            "{}: holds cells of another {key}; only paradigms, n, alphas and seeds of a study may change: choose another folder, or \
             --force to run the cells anew",
            out.display()
        );
        remove_folder(&out.join("results"))?;
        remove_images(out)?;
        Ok(false)
    }

    /// Brings all cells to one grid, and checks what their images allow.
    fn prepare_images(&mut self, kept: bool) -> anyhow::Result<()> {
        let out = self.args.out.as_path();
        let shape = read_images(&self.settings, out, kept)?;
        let pretrainings = self.pretrainings.iter_mut().map(|one| &mut one.settings);
        let runs = pretrainings.chain(self.jobs.iter_mut().map(|job| &mut job.settings));
        for data in runs.filter_map(|run| run.data.as_mut()) {
            data.shape.get_or_insert_with(|| shape.clone());
        }
        let checked = check_images(&self.settings, self.concerned());
        if checked.is_err() && !kept {
            // No cell has begun, so that other settings may follow: they shall not find these folds.
            remove_images(out)?;
        }
        Ok(checked?)
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

/// Removes what [`read_images`] leaves.
fn remove_images(out: &Path) -> crate::error::Result<()> {
    remove_folder(&out.join("folds"))?;
    let grid = out.join(GRID);
    match grid.is_file() {
        true => std::fs::remove_file(&grid).map_err(|e| Error::io(&grid, e)),
        false => Ok(()),
    }
}

fn remove_folder(path: &Path) -> crate::error::Result<()> {
    match path.is_dir() {
        true => std::fs::remove_dir_all(path).map_err(|e| Error::io(path, e)),
        false => Ok(()),
    }
}
