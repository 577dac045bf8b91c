//! `run.json`: what was done, with what, and how it went.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::Common;
use crate::device::peak_memory_bytes;
use crate::error::Result;
use crate::volume::{Geometry, axis_codes, write_text};

/// Name and version.
pub const PROGRAM: &str = concat!("hmorph ", env!("CARGO_PKG_VERSION"));

/// The words of the command line.
pub fn command() -> Vec<String> {
    std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

/// Writes the facts of every command and, after them, those in the object `facts`; all that was written.
///
/// # Errors
/// Refusals of the operating system.
pub fn write(path: &Path, common: &Common, facts: Value) -> Result<Value> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut record = json!({
        "program": PROGRAM,
        "command": command(),
        "finished_unix_seconds": now.map_or(0, |time| time.as_secs()),
        "device": common.device_name(),
        "threads": rayon::current_num_threads(),
        "seed": common.seed,
        "peak_memory_bytes": peak_memory_bytes(),
    });
    if let (Value::Object(all), Value::Object(facts)) = (&mut record, facts) {
        all.extend(facts);
    }
    let text = format!("{record:#}\n");
    write_text(path, &text)?;
    Ok(record)
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

/// A file by its absolute path, with what tells whether it still holds the same.
pub fn file(path: &Path) -> Value {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    json!({
        "file": shown(&absolute),
        "bytes": std::fs::metadata(path).ok().map(|m| m.len()),
        "crc32": checksum(path).ok(),
    })
}

/// A path as text: JSON holds no bytes that are no UTF-8.
pub fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Several paths as text.
pub fn all_shown(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| shown(path)).collect()
}

/// Of the bytes of a file, not of its times, which a copy changes.
fn checksum(path: &Path) -> std::io::Result<u32> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut sum = flate2::Crc::new();
    loop {
        let bytes = file.fill_buf()?;
        if bytes.is_empty() {
            return Ok(sum.sum());
        }
        sum.update(bytes);
        let count = bytes.len();
        file.consume(count);
    }
}

/// A value to read: without quotes and brackets, numbers without digits that their type does not carry.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(" "),
        Value::Number(number) => match number.as_f64() {
            // As a 32-bit float this is 0.2, as a 64-bit one 0.20000000298023224.
            Some(wide) if number.is_f64() && f64::from(wide as f32) == wide => {
                (wide as f32).to_string()
            }
            _ => number.to_string(),
        },
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_their_type() {
        let shown = plain(&json!([
            0.2_f32,
            0.1_f64,
            1.0 / 3.0,
            1.5,
            7,
            -2.5e-8_f32,
            null
        ]));
        assert_eq!(shown, "0.2 0.1 0.3333333333333333 1.5 7 -0.000000025 null");
    }
}
