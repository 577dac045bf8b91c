//! Writes `.nrrd`, and `.nhdr` with a `.raw.gz` beside it, compressed and little-endian.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use flate2::GzBuilder;

use super::super::format::voxel_file;
use super::super::io::{COMPRESSION, write_beside, write_stream};
use super::super::placement::Placement;
use super::super::write::Content;
use super::TYPES;
use crate::error::{Error, Result};

/// `voxels` writes them little-endian with the first axis fastest.
pub(crate) fn write(
    path: &Path,
    content: &Content,
    voxels: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let at = |problem: String| Error::file(path, problem);
    if let Some(data) = voxel_file(path) {
        let name = data.file_name().unwrap_or_default().to_string_lossy();
        let header = header(content).map_err(at)? + &format!("data file: {name}\n");
        return write_beside((path, &header), &data, voxels);
    }
    let header = header(content).map_err(at)? + "\n";
    write_stream(path, |out| {
        out.write_all(header.as_bytes())?;
        let mut encoder = GzBuilder::new().mtime(0).write(out, COMPRESSION);
        voxels(&mut encoder)?;
        encoder.finish().map(drop)
    })
}

fn header(content: &Content) -> Result<String, String> {
    let dtype = content.encoding.dtype;
    let known = TYPES.iter().find(|(of, _)| *of == dtype);
    let (_, names) = known.ok_or_else(|| format!("NRRD has no {dtype}; choose another type"))?;
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
