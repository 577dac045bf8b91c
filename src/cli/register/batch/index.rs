//! `index.html`: the pairs in a table that leads to their reports.

use std::path::Path;

use serde_json::Value;

use super::plan::Task;
use super::table::Outcome;
use crate::error::Result;
use crate::plot::report::{Index, IndexRow};
use crate::volume::write_text;

/// A number of a record, by its place there, with its title and decimals.
struct Column(&'static str, &'static str, usize);

const COLUMNS: [Column; 8] = [
    Column("Dice before", "/measures/before/dice", 3),
    Column("Dice", "/measures/after/dice", 3),
    Column("TRE before (mm)", "/measures/before/tre_mean_mm", 2),
    Column("TRE (mm)", "/measures/after/tre_mean_mm", 2),
    Column("NCC before", "/measures/before/ncc", 3),
    Column("NCC", "/measures/after/ncc", 3),
    Column("Folded voxels", "/measures/folded_voxels", 0),
    Column("Time (s)", "/seconds/all", 1),
];

impl Column {
    /// Empty where the record has no such number.
    fn of(&self, outcome: &Outcome) -> String {
        let value = outcome.record().and_then(|record| record.pointer(self.1));
        let number = value.and_then(Value::as_f64);
        number.map_or(String::new(), |number| format!("{number:.*}", self.2))
    }
}

/// Writes the page of the pairs that have come to an end.
///
/// # Errors
/// Refusals of the operating system.
pub fn write(path: &Path, title: &str, rows: &[(&Task, &Outcome)]) -> Result<()> {
    let used = |column: &&Column| {
        rows.iter()
            .any(|(_, outcome)| !column.of(outcome).is_empty())
    };
    let columns: Vec<&Column> = COLUMNS.iter().filter(used).collect();
    let index = Index {
        title: title.into(),
        columns: columns.iter().map(|column| column.0.into()).collect(),
        rows: rows
            .iter()
            .map(|(task, outcome)| row(task, outcome, &columns))
            .collect(),
    };
    let page = index.page()?;
    write_text(path, &page)
}

fn row(task: &Task, outcome: &Outcome, columns: &[&Column]) -> IndexRow {
    let files = outcome
        .record()
        .and_then(|record| record["files"].as_array());
    let link = |name: &str| {
        let there = files.is_some_and(|files| files.iter().any(|file| file == name));
        there.then(|| format!("{}/{name}", task.id))
    };
    IndexRow {
        id: task.id.clone(),
        report: link("report.html"),
        picture: link("qc.png"),
        status: outcome.status().into(),
        error: outcome.error().into(),
        numbers: columns.iter().map(|column| column.of(outcome)).collect(),
    }
}
