//! Rows of a `.fcsv` table.

use nalgebra::Vector3;

#[derive(Debug, Clone)]
pub(super) enum Line {
    Comment(String),
    Point(csv::StringRecord),
}

/// Columns of a table: identifier, three coordinates, nine more, and among those the label.
const COORDINATES: usize = 1;
const LABEL: usize = 11;

impl Line {
    /// Coordinates and label of a point; they were looked at when the line was read.
    pub fn point(&self) -> Option<(Vector3<f64>, String)> {
        match self {
            Self::Comment(_) => None,
            Self::Point(record) => {
                let name = record.get(LABEL).unwrap_or_default().to_string();
                coordinates(record).map(|place| (place, name))
            }
        }
    }
}

/// What the comments call the world of the numbers.
pub(super) fn coordinate_system(text: &str) -> Option<&str> {
    let mut comments = text
        .lines()
        .filter_map(|line| line.strip_prefix('#')?.split_once('='));
    let system = comments.find(|(key, _)| key.trim() == "CoordinateSystem");
    system.map(|(_, value)| value.trim())
}

/// Every line that is not empty.
///
/// # Errors
/// A row without three numbers.
pub(super) fn lines(text: &str) -> Result<Vec<Line>, String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            if line.starts_with('#') {
                return Ok(Line::Comment(line.to_string()));
            }
            let record = record(line)?;
            match coordinates(&record) {
                Some(_) => Ok(Line::Point(record)),
                None => Err(format!(
                    "row '{line}' has no three numbers after its identifier"
                )),
            }
        })
        .collect()
}

fn coordinates(record: &csv::StringRecord) -> Option<Vector3<f64>> {
    let number = |n: usize| record.get(COORDINATES + n)?.trim().parse().ok();
    Some(Vector3::new(number(0)?, number(1)?, number(2)?))
}

fn record(line: &str) -> Result<csv::StringRecord, String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(line.as_bytes());
    match reader.records().next() {
        Some(Ok(record)) => Ok(record),
        _ => Err(format!("row '{line}' is not CSV")),
    }
}

/// The lines as text again, their points with other coordinates.
pub(super) fn text(lines: &[Line], numbers: &[Vector3<f64>]) -> String {
    let mut text = String::new();
    let mut numbers = numbers.iter();
    for line in lines {
        match line {
            Line::Comment(comment) => text += comment,
            Line::Point(record) => {
                let mut fields: Vec<String> = record.iter().map(String::from).collect();
                if let Some(at) = numbers.next() {
                    for axis in 0..3 {
                        fields[COORDINATES + axis] = at[axis].to_string();
                    }
                }
                let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
                // Writing to memory cannot fail.
                let _ = writer.write_record(&fields);
                let row = writer.into_inner().unwrap_or_default();
                text += String::from_utf8_lossy(&row).trim_end();
            }
        }
        text.push('\n');
    }
    text
}
