//! CSV `x,y,z,name`.

use std::path::Path;

use nalgebra::Vector3;

use super::Landmark;
use crate::error::{Error, Result};
use crate::volume::WorldPoint;

#[derive(serde::Deserialize)]
struct Row {
    x: f64,
    y: f64,
    z: f64,
    #[serde(default)]
    name: String,
}

/// Reads `x,y,z,name` (the name may be left out) in LPS millimetres.
pub(super) fn read(path: &Path) -> Result<Vec<Landmark>> {
    let wrong = |error: csv::Error| Error::file(path, format!("expected CSV x,y,z,name: {error}"));
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(wrong)?;
    let landmark = |row: csv::Result<Row>| {
        let Row { x, y, z, name } = row.map_err(wrong)?;
        let at = WorldPoint::from_lps(Vector3::new(x, y, z));
        Ok(Landmark { at, name })
    };
    reader.deserialize::<Row>().map(landmark).collect()
}
