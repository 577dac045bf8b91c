//! Grids of the images that a command line names: pixel sizes where files have none, and what is to be known of others.

use std::collections::BTreeSet;
use std::path::Path;
use std::str::FromStr;

use nalgebra::{Matrix3, Vector3};
use serde::{Deserialize, Serialize};

use super::Common;
use crate::error::Result;
use crate::volume::{Affine, Format, Geometry, geometry_note, read_geometry};

/// Size of a pixel in mm along the first two (or three) axes of PNG and numpy images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PixelSpacing([f64; 3]);

impl PixelSpacing {
    /// Gives a grid that was read from `path` this spacing, unless the file has one itself.
    ///
    /// # Errors
    /// A suffix that no image has.
    pub fn place(self, path: &Path, grid: &mut Geometry) -> Result<()> {
        if !Format::of(path)?.has_geometry() {
            let scale = Matrix3::from_diagonal(&Vector3::from(self.0));
            grid.affine =
                Affine::from_parts(grid.affine.linear() * scale, grid.affine.translation());
        }
        Ok(())
    }
}

/// A grid that was read from `path`, with the pixel size that was given where the file has none.
///
/// # Errors
/// A suffix that no image has.
pub fn placed(spacing: Option<PixelSpacing>, path: &Path, mut grid: Geometry) -> Result<Geometry> {
    if let Some(spacing) = spacing {
        spacing.place(path, &mut grid)?;
    }
    Ok(grid)
}

/// The grid of an image or a displacement field, [`placed`].
///
/// # Errors
/// A file that cannot be read.
pub fn grid_of(path: &Path, spacing: Option<PixelSpacing>) -> Result<Geometry> {
    placed(spacing, path, read_geometry(path)?)
}

/// Says of each file once what other programs may see otherwise.
pub fn say_notes<'a>(paths: impl Iterator<Item = &'a Path>, common: &Common) {
    for path in paths.collect::<BTreeSet<_>>() {
        if let Some(note) = geometry_note(path) {
            common.say(format!("note: {}: {note}", path.display()));
        }
    }
}

impl FromStr for PixelSpacing {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let sizes: Option<Vec<f64>> = text
            .split(',')
            .map(|size| {
                size.trim()
                    .parse()
                    .ok()
                    .filter(|s: &f64| *s > 0.0 && s.is_finite())
            })
            .collect();
        match sizes.as_deref() {
            Some(&[size]) => Ok(Self([size; 3])),
            Some(&[i, j]) => Ok(Self([i, j, 1.0])),
            Some(&[i, j, k]) => Ok(Self([i, j, k])),
            _ => Err(format!(
                "'{text}': expected mm above 0, one number or one per axis, as 0.5,0.5"
            )),
        }
    }
}
