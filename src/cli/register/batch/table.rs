//! `results.csv`: a row per pair, made of the records in the folders of results.

use std::path::Path;

use serde_json::{Map, Value};

use super::plan::Task;
use crate::error::Result;
use crate::volume::write_atomically;

/// What became of a pair.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Registered, now or before from the same inputs and settings; its record.
    Done(Value),
    /// The error in one line.
    Failed(String),
}

impl Outcome {
    pub fn status(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Failed(_) => "failed",
        }
    }

    /// Empty unless the pair failed.
    pub fn error(&self) -> &str {
        match self {
            Self::Failed(error) => error,
            Self::Done(_) => "",
        }
    }

    /// The pair's `run.json`.
    pub fn record(&self) -> Option<&Value> {
        match self {
            Self::Done(record) => Some(record),
            Self::Failed(_) => None,
        }
    }
}

/// Cells of a row by the names of their columns.
type Cells = Vec<(String, String)>;

/// Writes the table of the pairs that have come to an end.
///
/// Columns are those that any row has; a measure that others have and a row lacks is empty there.
///
/// # Errors
/// Refusals of the operating system.
pub fn write(path: &Path, rows: &[(&Task, &Outcome)]) -> Result<()> {
    let rows: Vec<Cells> = rows
        .iter()
        .map(|(task, outcome)| cells(&task.id, outcome))
        .collect();
    let mut columns: Vec<&str> = vec!["id", "status", "error"];
    for (name, _) in rows.iter().flatten() {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    write_atomically(path, |file| {
        let mut table = csv::Writer::from_writer(file);
        table.write_record(&columns)?;
        for row in &rows {
            let cell = |column: &&str| {
                let found = row.iter().find(|(name, _)| name == column);
                found.map_or("", |(_, text)| text.as_str())
            };
            table.write_record(columns.iter().map(cell))?;
        }
        table.flush()
    })
}

/// Status, time, memory, and every measure before and after.
fn cells(id: &str, outcome: &Outcome) -> Cells {
    let mut cells = vec![
        ("id".into(), id.into()),
        ("status".into(), outcome.status().into()),
    ];
    let mut add = |name: &str, value: &Value| cells.push((name.into(), text(value)));
    match outcome {
        Outcome::Failed(error) => cells.push(("error".into(), error.clone())),
        Outcome::Done(record) => {
            add("seconds", &record["seconds"]["all"]);
            add("seconds_register", &record["seconds"]["register"]);
            add("peak_memory_bytes", &record["peak_memory_bytes"]);
            let measures = &record["measures"];
            for name in measures["after"]
                .as_object()
                .iter()
                .flat_map(|all| all.keys())
            {
                for side in ["before", "after"] {
                    add(&format!("{name}_{side}"), &measures[side][name]);
                }
            }
            let others = measures.as_object().into_iter().flat_map(Map::iter);
            for (name, value) in others.filter(|(_, value)| !value.is_object()) {
                add(name, value);
            }
        }
    }
    cells
}

/// Nothing for what was not measured.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn task(id: &str) -> Task {
        Task {
            id: id.into(),
            ..Task::default()
        }
    }

    #[test]
    fn rows_of_different_measures_share_one_head() {
        let plain = json!({
            "seconds": { "all": 2.5, "register": 2.0 }, "peak_memory_bytes": 7,
            "measures": { "before": { "ncc": 0.5, "dice": null }, "after": { "ncc": 0.75, "dice": null },
                "folded_voxels": 0 },
        });
        let mut labelled = plain.clone();
        labelled["measures"]["before"] = json!({ "ncc": 0.1, "dice": 0.25 });
        labelled["measures"]["after"] = json!({ "ncc": 0.2, "dice": 0.5, "tre_mean_mm": 1.5 });
        let outcomes = [
            ("a", Outcome::Done(plain)),
            ("b", Outcome::Failed("b.nii: no, \"not\" an image".into())),
            ("c", Outcome::Done(labelled)),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.csv");
        let tasks = outcomes.each_ref().map(|(id, _)| task(id));
        let rows: Vec<_> = tasks
            .iter()
            .zip(outcomes.iter().map(|(_, outcome)| outcome))
            .collect();
        write(&path, &rows).unwrap();
        let expected = "\
id,status,error,seconds,seconds_register,peak_memory_bytes,dice_before,dice_after,ncc_before,ncc_after,\
folded_voxels,tre_mean_mm_before,tre_mean_mm_after
a,done,,2.5,2.0,7,,,0.5,0.75,0,,
b,failed,\"b.nii: no, \"\"not\"\" an image\",,,,,,,,,,
c,done,,2.5,2.0,7,0.25,0.5,0.1,0.2,0,,1.5
";
        assert_eq!(std::fs::read_to_string(path).unwrap(), expected);
    }
}
