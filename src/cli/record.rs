//! `run.json`: what was done, with what, and how it went.

use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::Common;
use crate::error::Result;
use crate::eval::peak_memory_bytes;
use crate::volume::{Geometry, axis_codes, write_atomically};

/// Writes the facts of every command and, after them, those in the object `facts`.
///
/// # Errors
/// Refusals of the operating system.
pub fn write(path: &Path, common: &Common, facts: Value) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut record = json!({
        "program": concat!("hmorph ", env!("CARGO_PKG_VERSION")),
        "command": std::env::args().collect::<Vec<_>>(),
        "finished_unix_seconds": now.map_or(0, |time| time.as_secs()),
        "device": common.device,
        "threads": rayon::current_num_threads(),
        "seed": common.seed,
        "peak_memory_bytes": peak_memory_bytes(),
    });
    if let (Value::Object(all), Value::Object(facts)) = (&mut record, facts) {
        all.extend(facts);
    }
    let text = format!("{record:#}\n");
    write_atomically(path, |file| file.write_all(text.as_bytes()))
}

/// A grid in numbers: voxels, voxel size, orientation, and the voxel-to-world matrix by rows (RAS mm).
pub fn grid(grid: &Geometry) -> Value {
    let matrix = grid.affine.0;
    let rows: Vec<Vec<f64>> = matrix
        .row_iter()
        .map(|row| row.iter().copied().collect())
        .collect();
    json!({
        "shape": grid.shape, "dimension": grid.dimension.axes(), "spacing_mm": grid.spacing(),
        "orientation": axis_codes(&grid.affine), "affine": rows,
    })
}
