//! The linear stage.

use super::check;
use super::prepare::{Alignment, Scan};
use crate::error::{Error, Result};
use crate::linear::{self, Masked, Settings, Start};

/// Registers two scans linearly.
///
/// # Errors
/// A scan without contrast, a mask that excludes everything, scans of different dimension; scans that have nothing in
/// common where they start.
pub fn align(fixed: Scan, moving: Scan, settings: &Settings) -> Result<Alignment> {
    check::contents(fixed, moving)?;
    match settings.start {
        // Headers that put the scans apart are wrong, and so may be the directions that the other starts take from them:
        // whoever knows better says so by another start.
        Start::Auto { headers: true } | Start::Header => check::overlap(fixed, moving)?,
        Start::Mass | Start::Moments => check::planes(fixed, moving)?,
        Start::Auto { headers: false } | Start::Centre | Start::Given(_) => {}
    }
    let [to, from] = [fixed, moving].map(|scan| Masked {
        image: scan.image,
        mask: scan.mask,
    });
    let found = linear::register(to, from, settings);
    let found = found
        .map_err(|error| Error::invalid(format!("{} and {}: {error}", fixed.name, moving.name)))?;
    Ok(Alignment::Linear {
        matrix: found.matrix,
        initial: found.initial,
    })
}
