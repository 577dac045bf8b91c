//! The images of a study, read once for all of its cells.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::StudyConfig;
use super::folds::{fold_files, has_folds, subjects_file, write_folds};
use crate::dataset::{Align, DataConfig, Dataset};
use crate::error::{Error, Result};
use crate::volume::write_text;

/// Name of the file in the folder of a study that says on which grid its cells train.
pub const GRID: &str = "grid.toml";

/// The grid of all images, and what it was found for: the base may be a file that changes.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Grid {
    /// Voxels, 2 or 3 numbers.
    shape: Vec<usize>,
    /// What sizes are multiples of.
    factor: usize,
    data: DataConfig,
}

/// Reads all images of a study, writes the manifests of its folds, and gives the shape of the grid that holds every image.
/// Cells read more or fewer images, whose largest would decide the grids of each.
///
/// What the folder has of both is used as it is, so that a study that goes on keeps it and many cells that start side by side
/// need not read all images each; `kept` says that it belongs to this study.
///
/// # Errors
/// Images that cannot be used, fewer subjects than the folds need, refusals of the operating system.
pub fn read_images(study: &StudyConfig, folder: &Path, kept: bool) -> Result<Vec<usize>> {
    let base = study.base()?;
    let factor = base.model.size_factor()[1];
    let Some(data) = base.data else {
        return Err(Error::invalid("study: the run has no [data]"));
    };
    let has_folds = kept && has_folds(study, folder);
    let known = Grid::read(folder).filter(|grid| grid.factor == factor && grid.data == data);
    if let Some(grid) = known.filter(|_| has_folds) {
        return Ok(grid.shape);
    }
    let all = load(study, &data, factor)?;
    if study.folds > 1 && !has_folds {
        write_folds(study, folder, &all, data.split_seed)?;
    }
    let shape = all.shape()[..all.dimension().axes()].to_vec();
    let grid = Grid {
        shape,
        factor,
        data,
    };
    grid.write(folder)?;
    Ok(grid.shape)
}

impl StudyConfig {
    /// What [`read_images`] writes to the folder of a study.
    pub fn image_files(&self, folder: &Path) -> Vec<PathBuf> {
        let mut files = vec![folder.join(GRID)];
        if self.folds > 1 {
            files.extend(fold_files(self, folder));
            files.push(subjects_file(folder));
        }
        files
    }
}

/// Every image that some cell may read.
fn load(study: &StudyConfig, data: &DataConfig, factor: usize) -> Result<Dataset> {
    let all = DataConfig {
        n_train: None,
        // No pair is made of them here, so that they need not meet.
        align: Align::Centre,
        ..data.clone()
    };
    match study.folds {
        1 => Dataset::load(&all, factor),
        _ => Dataset::load_undivided(&all, factor),
    }
}

impl Grid {
    /// What the folder has; nothing where it cannot be used, for it is easily found again.
    fn read(folder: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(folder.join(GRID)).ok()?;
        toml::from_str(&text).ok()
    }

    fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(GRID);
        let text = toml::to_string(self).map_err(|e| Error::file(&path, e.to_string()))?;
        write_text(path, &text)
    }
}
