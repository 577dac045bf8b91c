//! CSV `x,y,z,name`, with any other columns.

use std::collections::HashSet;
use std::path::Path;

use csv::StringRecord;
use nalgebra::Vector3;

use super::Landmark;
use crate::error::{Error, Result};
use crate::volume::WorldPoint;

/// A table of landmarks. What else is in it is kept when they are written back.
#[derive(Debug, Clone)]
pub struct PointTable {
    /// `None` where the first row is a landmark.
    header: Option<StringRecord>,
    rows: Vec<StringRecord>,
    /// The columns of x, y and z.
    coordinates: [usize; 3],
    landmarks: Vec<Landmark>,
}

impl PointTable {
    /// Reads a table with the columns `x`, `y`, `z`, in LPS millimetres, and `name` or ANTs' `label` where points have
    /// names; rows of three numbers need no header.
    ///
    /// # Errors
    /// A file that is no such table.
    pub fn read(path: &Path) -> Result<Self> {
        let table = records(path).and_then(Self::of);
        table.map_err(|problem| Error::file(path, format!("expected CSV x,y,z,name: {problem}")))
    }

    fn of(mut rows: Vec<StringRecord>) -> Result<Self, String> {
        let has_header = rows.first().is_some_and(|first| !is_point(first));
        let header = has_header.then(|| rows.remove(0));
        let column = |name: &str| {
            let mut names = header.iter().flatten();
            names.position(|column| column.trim() == name)
        };
        let coordinates = match has_header {
            false => [0, 1, 2],
            true => {
                let known = |name: &str| {
                    let problem =
                        || format!("line 1 has no column {name}; it must be x,y,z[,name]");
                    column(name).ok_or_else(problem)
                };
                [known("x")?, known("y")?, known("z")?]
            }
        };
        let names = match (column("name"), column("label")) {
            (Some(column), _) => texts(&rows, column),
            (None, Some(column)) => labels(&rows, column),
            (None, None) => vec![String::new(); rows.len()],
        };
        let points = rows.iter().map(|row| point(row, coordinates));
        let landmark = |(at, name): (Result<Vector3<f64>, String>, String)| {
            let at = WorldPoint::from_lps(at?);
            Ok(Landmark { at, name })
        };
        let landmarks: Vec<Landmark> = points
            .zip(names)
            .map(landmark)
            .collect::<Result<_, String>>()?;
        Ok(Self {
            header,
            rows,
            coordinates,
            landmarks,
        })
    }

    pub fn landmarks(&self) -> &[Landmark] {
        &self.landmarks
    }

    /// The table with other numbers for x, y and z, as many as there are [`PointTable::landmarks`].
    pub fn moved_to(&self, numbers: &[Vector3<f64>]) -> String {
        let mut table = csv::Writer::from_writer(Vec::new());
        // Writing to memory cannot fail.
        if let Some(header) = &self.header {
            let _ = table.write_record(header);
        }
        for (row, at) in self.rows.iter().zip(numbers) {
            let mut fields: Vec<String> = row.iter().map(String::from).collect();
            for (axis, &column) in self.coordinates.iter().enumerate() {
                fields[column] = format!("{:.6}", at[axis]);
            }
            let _ = table.write_record(&fields);
        }
        let bytes = table.into_inner().unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn records(path: &Path) -> Result<Vec<StringRecord>, String> {
    let reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_path(path)
        .map_err(|error| error.to_string())?;
    let records: csv::Result<_> = reader.into_records().collect();
    records.map_err(|error| error.to_string())
}

fn number(field: &str) -> Option<f64> {
    field.trim().parse().ok()
}

/// Whether a row is three numbers and nothing else.
fn is_point(row: &StringRecord) -> bool {
    row.len() == 3 && row.iter().all(|field| number(field).is_some())
}

fn point(row: &StringRecord, coordinates: [usize; 3]) -> Result<Vector3<f64>, String> {
    let mut at = Vector3::zeros();
    for (axis, column) in coordinates.into_iter().enumerate() {
        let field = row.get(column).unwrap_or_default();
        at[axis] = number(field).ok_or_else(|| {
            let line = row.position().map_or(0, csv::Position::line);
            format!("line {line}: '{}' is not a number", field.escape_debug())
        })?;
    }
    Ok(at)
}

fn texts(rows: &[StringRecord], column: usize) -> Vec<String> {
    let text = |row: &StringRecord| row.get(column).unwrap_or_default().trim().to_string();
    rows.iter().map(text).collect()
}

/// Labels that several points share say what kind they are, and are no names.
fn labels(rows: &[StringRecord], column: usize) -> Vec<String> {
    let labels = texts(rows, column);
    match labels.iter().collect::<HashSet<_>>().len() == labels.len() {
        true => labels,
        false => vec![String::new(); rows.len()],
    }
}
