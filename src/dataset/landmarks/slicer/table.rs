//! The older table of markups: comments, then a point a row.

use nalgebra::Vector3;

/// Columns: identifier, three coordinates, seven more, and the label.
const COORDINATES: usize = 1;
const LABEL: usize = 11;

#[derive(Debug, Clone)]
pub(super) enum Line {
    Comment(String),
    Point {
        record: csv::StringRecord,
        numbers: Vector3<f64>,
    },
}

/// The lines of a file that are not empty.
pub(super) fn lines(text: &str) -> Result<Vec<Line>, String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(line).collect()
}

fn line(line: &str) -> Result<Line, String> {
    if line.starts_with('#') {
        return Ok(Line::Comment(line.to_string()));
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(line.as_bytes());
    let record = match reader.records().next() {
        Some(Ok(record)) => record,
        _ => return Err(format!("row '{line}' is not CSV")),
    };
    let number = |n: usize| record.get(COORDINATES + n)?.trim().parse().ok();
    match (number(0), number(1), number(2)) {
        (Some(x), Some(y), Some(z)) => {
            let numbers = Vector3::new(x, y, z);
            Ok(Line::Point { record, numbers })
        }
        _ => Err(format!(
            "row '{line}' has no three numbers after its identifier"
        )),
    }
}

/// Numbers and label of every point.
pub(super) fn points(lines: &[Line]) -> impl Iterator<Item = (Vector3<f64>, String)> {
    lines.iter().filter_map(|line| match line {
        Line::Comment(_) => None,
        Line::Point { record, numbers } => {
            let name = record.get(LABEL).unwrap_or_default();
            Some((*numbers, name.to_string()))
        }
    })
}

/// The table with other numbers in its points.
pub(super) fn text(lines: &[Line], numbers: &[Vector3<f64>]) -> String {
    let mut text = String::new();
    let mut numbers = numbers.iter();
    for line in lines {
        match line {
            Line::Comment(comment) => text += comment,
            Line::Point { record, .. } => {
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
