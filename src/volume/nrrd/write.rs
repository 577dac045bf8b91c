//! Writes `.nrrd`, and `.nhdr` with a `.raw.gz` beside it, compressed and little-endian.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use flate2::GzBuilder;

use super::super::format::voxel_file;
use super::super::io::{COMPRESSION, write_beside, write_parts};
use super::super::placement::Placement;
use super::super::write::Content;
use super::TYPES;
use crate::error::{Error, Result};

/// `voxels` come with the first axis fastest.
pub(crate) fn write(path: &Path, content: &Content, voxels: &[u8]) -> Result<()> {
    let at = |problem: String| Error::file(path, problem);
    if let Some(data) = voxel_file(path) {
        let name = data.file_name().unwrap_or_default().to_string_lossy();
        let header = header(content).map_err(at)? + &format!("data file: {name}\n");
        return write_beside((path, &header), (&data, voxels));
    }
    let header = header(content).map_err(at)? + "\n";
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), COMPRESSION);
    let packed = encoder.write_all(voxels).and_then(|()| encoder.finish());
    let packed = packed.map_err(|e| Error::io(path, e))?;
    write_parts(path, &[header.as_bytes(), &packed])
}

fn header(content: &Content) -> Result<String, String> {
    let known = TYPES.iter().find(|(dtype, _)| *dtype == content.dtype);
    let (_, names) =
        known.ok_or_else(|| format!("NRRD has no {}; choose another type", content.dtype))?;
    let placement = Placement::of(content.geometry);
    let shape = content.shape(placement.spacing.len());
    let spatial = shape.len() - content.trailing.len();
    let axes = placement.spacing.len();
    let vector = |values: Vec<f64>| {
        let values: Vec<String> = values.iter().map(f64::to_string).collect();
        format!("({})", values.join(","))
    };
    let direction = |axis: usize| {
        let step = |row: usize| match placement.directions.get((row, axis)) {
            Some(cosine) => cosine * placement.spacing[axis],
            // The slice of a 2-D image in a series is 1 mm thick.
            None => f64::from(row == axis),
        };
        vector((0..spatial).map(step).collect())
    };
    let mut directions: Vec<String> = (0..spatial).map(direction).collect();
    let mut kinds = vec!["domain"; spatial];
    directions.extend(content.trailing.iter().map(|_| "none".into()));
    kinds.extend(content.trailing.iter().map(|_| "list"));
    let origin = (0..spatial).map(|row| {
        if row < axes {
            placement.origin[row]
        } else {
            0.0
        }
    });
    let space = if spatial == 3 {
        "space: left-posterior-superior"
    } else {
        "space dimension: 2"
    };
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();

    let mut text = String::from("NRRD0004\n");
    if !content.note.is_empty() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# {}", content.note.replace('\n', " "));
    }
    let _ = writeln!(
        text,
        "type: {}\ndimension: {}\n{space}",
        names[0],
        shape.len()
    );
    for (field, value) in [
        ("sizes", sizes.join(" ")),
        ("space directions", directions.join(" ")),
        ("kinds", kinds.join(" ")),
        ("endian", "little".into()),
        ("encoding", "gzip".into()),
        ("space origin", vector(origin.collect())),
    ] {
        let _ = writeln!(text, "{field}: {value}");
    }
    Ok(text)
}
