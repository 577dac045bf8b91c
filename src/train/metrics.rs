//! Writes `metrics.csv`: one row every few steps, means over those steps.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::error::{Error, Result};

/// Means of named values over the steps since the last row.
#[derive(Debug, Default)]
pub struct Means {
    sums: BTreeMap<String, (f64, u64)>,
}

impl Means {
    pub fn add(&mut self, name: &str, value: f64) {
        let (sum, count) = self.sums.entry(name.to_string()).or_default();
        *sum += value;
        *count += 1;
    }

    /// Mean of a value, `None` when it was never added.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.sums.get(name).map(|(sum, count)| sum / *count as f64)
    }

    pub fn clear(&mut self) {
        self.sums.clear();
    }
}

impl fmt::Display for Means {
    /// Every value but the bookkeeping, as `name value`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self
            .sums
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "lr" | "gradient_norm"));
        for (n, (name, (sum, count))) in shown.enumerate() {
            let gap = if n == 0 { "" } else { "  " };
            write!(f, "{gap}{name} {:.5}", sum / *count as f64)?;
        }
        Ok(())
    }
}

/// An append-only CSV with fixed columns, the first being `step`.
pub struct CsvLog {
    path: PathBuf,
    columns: Vec<String>,
    writer: csv::Writer<File>,
    started: Instant,
    seconds_before: f64,
}

impl CsvLog {
    /// Opens the log of a run that has done `step` steps in `seconds`; later rows of an interrupted run are dropped.
    pub fn open(path: &Path, columns: &[String], step: u64, seconds: f64) -> Result<Self> {
        let kept = match std::fs::read_to_string(path) {
            Ok(text) if step > 0 => rows_until(&text, step),
            _ => format!("{}\n", columns.join(",")),
        };
        std::fs::write(path, kept).map_err(|e| Error::io(path, e))?;
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(|e| Error::io(path, e))?;
        Ok(Self {
            path: path.to_path_buf(),
            columns: columns.to_vec(),
            writer: csv::Writer::from_writer(file),
            started: Instant::now(),
            seconds_before: seconds,
        })
    }

    /// Seconds of training in all sessions of the run.
    pub fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
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

/// The header and the rows up to `step` of a log; a torn last line is dropped.
fn rows_until(text: &str, step: u64) -> String {
    let mut kept = String::new();
    for (n, line) in text.split_inclusive('\n').enumerate() {
        let row_step = line.split(',').next().and_then(|s| s.parse::<u64>().ok());
        let keep = n == 0 || row_step.is_some_and(|s| s <= step);
        if keep && line.ends_with('\n') {
            kept.push_str(line);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resuming_drops_later_and_torn_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let columns = ["step".to_string(), "loss".to_string()];
        std::fs::write(&path, "step,loss\n10,1\n20,2\n30,3\n4").unwrap();
        let mut log = CsvLog::open(&path, &columns, 20, 5.0).unwrap();
        log.row(30, |name| (name == "loss").then_some(0.5)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "step,loss\n10,1\n20,2\n30,5.000000e-1\n");
        assert!(log.seconds() >= 5.0);
    }

    #[test]
    fn a_new_run_starts_an_empty_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        std::fs::write(&path, "step,loss\n10,1\n").unwrap();
        CsvLog::open(&path, &["step".to_string()], 0, 0.0).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "step\n");
    }
}
