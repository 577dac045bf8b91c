//! Rows of `metrics.csv` and `validation.csv`: means over some steps, and files that a killed run leaves whole.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::volume::write_atomically;

/// Means of named values over the steps since the last row.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Means {
    /// Weighted sum and sum of weights.
    sums: BTreeMap<String, (f64, f64)>,
}

impl Means {
    /// Adds the value of one step.
    pub fn add(&mut self, name: &str, value: f64) {
        self.add_weighted(name, value, 1.0);
    }

    /// Adds a value that stands for `weight` of what is averaged, such as the items of a batch.
    pub fn add_weighted(&mut self, name: &str, value: f64, weight: f64) {
        let (sum, weights) = self.sums.entry(name.to_string()).or_default();
        *sum += weight * value;
        *weights += weight;
    }

    /// Mean of a value, `None` when it was never added.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.sums.get(name).map(|(sum, weights)| sum / weights)
    }

    pub fn clear(&mut self) {
        self.sums.clear();
    }
}

impl fmt::Display for Means {
    /// Every value but the bookkeeping, as `name value`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.sums.iter().filter(|(name, _)| {
            !matches!(name.as_str(), "lr" | "gradient_norm") && !name.ends_with("/items")
        });
        for (n, (name, (sum, weights))) in shown.enumerate() {
            let gap = if n == 0 { "" } else { "  " };
            write!(f, "{gap}{name} {:.5}", sum / weights)?;
        }
        Ok(())
    }
}

/// An append-only CSV with fixed columns, the first being `step`.
pub struct CsvLog {
    path: PathBuf,
    columns: Vec<String>,
    writer: csv::Writer<File>,
}

impl CsvLog {
    /// Opens a log and keeps its rows up to step `last`: an interrupted run writes the later ones again.
    pub fn open(path: &Path, columns: &[String], last: Option<u64>) -> Result<Self> {
        let rows = match (std::fs::read_to_string(path), last) {
            (Ok(text), Some(last)) => rows_until(&text, last),
            (Err(e), Some(_)) if e.kind() != ErrorKind::NotFound => return Err(Error::io(path, e)),
            _ => String::new(),
        };
        write_atomically(path, |file| write!(file, "{}\n{rows}", columns.join(",")))?;
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(|e| Error::io(path, e))?;
        Ok(Self {
            path: path.to_path_buf(),
            columns: columns.to_vec(),
            writer: csv::Writer::from_writer(file),
        })
    }

    /// Appends a row; columns without a value stay empty.
    pub fn row(&mut self, step: u64, values: impl Fn(&str) -> Option<f64>) -> Result<()> {
        let record = self.columns.iter().map(|column| match column.as_str() {
            "step" => step.to_string(),
            name => values(name).map_or(String::new(), |v| format!("{v:.6e}")),
        });
        self.writer
            .write_record(record.collect::<Vec<_>>())
            .map_err(std::io::Error::from)
            .and_then(|()| self.writer.flush())
            .map_err(|e| Error::io(&self.path, e))
    }
}

/// The rows up to step `last` of a log, without its header; a torn last line is dropped.
fn rows_until(text: &str, last: u64) -> String {
    let lines = text.split_inclusive('\n').skip(1);
    let step = |line: &str| line.split(',').next()?.parse::<u64>().ok();
    lines
        .filter(|line| line.ends_with('\n') && step(line).is_some_and(|s| s <= last))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(path: &Path, last: Option<u64>) -> CsvLog {
        CsvLog::open(path, &["step".into(), "loss".into()], last).unwrap()
    }

    #[test]
    fn resuming_drops_later_and_torn_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        std::fs::write(&path, "step,loss\n10,1\n20,2\n30,3\n4").unwrap();
        let mut log = log(&path, Some(20));
        log.row(30, |name| (name == "loss").then_some(0.5)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "step,loss\n10,1\n20,2\n30,5.000000e-1\n");
    }

    #[test]
    fn a_new_run_starts_an_empty_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        std::fs::write(&path, "step\n10\n").unwrap();
        log(&path, None);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "step,loss\n");
    }

    #[test]
    fn means_weigh_steps_by_their_items() {
        let mut means = Means::default();
        means.add_weighted("real/mse", 1.0, 3.0);
        means.add_weighted("real/mse", 5.0, 1.0);
        assert_eq!(means.get("real/mse"), Some(2.0));
        assert_eq!(means.get("synthetic/mse"), None);
        // A checkpoint keeps them to the last bit.
        means.add("total", 0.1 + 0.2);
        let text = toml::to_string(&means).unwrap();
        assert_eq!(toml::from_str::<Means>(&text).unwrap(), means);
    }
}
