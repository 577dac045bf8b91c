//! The tidy table of a study.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::metric::Metric;

/// One measure of one held-out pair in one cell; means over structures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyRow {
    pub cell: String,
    pub paradigm: String,
    /// Real training subjects; 0 without any.
    pub n: usize,
    pub alpha: f64,
    pub seed: u64,
    pub fold: usize,
    pub condition: String,
    pub pair: String,
    pub fixed_subject: String,
    pub moving_subject: String,
    pub metric: Metric,
    pub before: Option<f64>,
    /// After registration.
    pub value: Option<f64>,
    pub unit: String,
}

impl StudyRow {
    /// Of the fixed and of the moving image.
    pub fn subjects(&self) -> [&str; 2] {
        [&self.fixed_subject, &self.moving_subject]
    }
}

/// What a cell cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellFacts {
    pub cell: String,
    pub paradigm: String,
    pub n: usize,
    pub alpha: f64,
    pub seed: u64,
    pub fold: usize,
    /// Optimiser steps, those of the pretraining included.
    pub steps: u64,
    pub parameters: usize,
    /// Floating-point operations of one registration's convolutions, in units of 1e9.
    pub gflop: f64,
}

/// Reads rows of a CSV with a header line.
pub fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>> {
    let broken = |error| Error::csv(path, error);
    let mut reader = csv::Reader::from_path(path).map_err(broken)?;
    reader
        .deserialize()
        .collect::<Result<_, _>>()
        .map_err(broken)
}

/// The rows of all files that are there, in order.
pub fn collect<T: for<'de> Deserialize<'de>>(
    files: impl IntoIterator<Item = std::path::PathBuf>,
) -> Result<Vec<T>> {
    let mut rows = Vec::new();
    for file in files.into_iter().filter(|file| file.is_file()) {
        rows.extend(read(&file)?);
    }
    Ok(rows)
}
