//! Whether two scans can be registered at all, before any work.

use super::prepare::Scan;
use crate::error::{Error, Result};
use crate::volume;
use crate::volume::intensity::finite_range;
use crate::volume::resample::voxel_map;

/// Both scans show something, where their masks let it be seen, and are of one dimension.
pub(super) fn contents(fixed: Scan, moving: Scan) -> Result<()> {
    for scan in [fixed, moving] {
        contrast(scan)?;
        mask(scan)?;
    }
    dimensions(fixed, moving)
}

fn mask(scan: Scan) -> Result<()> {
    let Some(mask) = scan.mask else { return Ok(()) };
    if mask.data.iter().any(|&label| label != 0) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the mask of {} is 0 everywhere and excludes the whole image; voxels that count must not be 0",
        scan.name
    )))
}

fn contrast(scan: Scan) -> Result<()> {
    let problem = match finite_range(&scan.image.data) {
        None => "no voxel is a finite number".to_string(),
        Some((low, high)) if low == high => format!("every voxel is {low}"),
        Some(_) => return Ok(()),
    };
    let problem = format!("{problem}; an image without contrast cannot be registered");
    Err(Error::file(scan.name, problem))
}

fn dimensions(fixed: Scan, moving: Scan) -> Result<()> {
    let [f, m] = [fixed, moving].map(|scan| scan.image.geometry.dimension.axes());
    if f == m {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{} is {f}-D, {} is {m}-D; both must have the same dimension",
        fixed.name, moving.name
    )))
}

/// Some of the one image must lie in the other, where their affines place them.
pub(super) fn overlap(fixed: Scan, moving: Scan) -> Result<()> {
    let (f, m) = (&fixed.image.geometry, &moving.image.geometry);
    if volume::overlap(f, m)? {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{} and {} do not overlap in the world: {} against {}; check their headers, or use --init mass or --init centre",
        fixed.name,
        moving.name,
        f.extent(),
        m.extent()
    )))
}

/// The planes of 2-D scans must be parallel.
pub(super) fn planes(fixed: Scan, moving: Scan) -> Result<()> {
    voxel_map(&moving.image.geometry, &fixed.image.geometry).map(|_| ())
}
