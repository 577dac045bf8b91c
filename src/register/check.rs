//! Whether two scans can be registered at all, before any work.

use nalgebra::Vector3;

use super::prepare::Scan;
use crate::error::{Error, Result};
use crate::volume::intensity::finite_range;
use crate::volume::resample::{place, voxel_map};
use crate::volume::{Geometry, VoxelPoint};

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

/// Positions tried along each axis of each grid.
const PROBES: usize = 33;

/// Some of the one image must lie in the other, where their affines place them.
pub(super) fn overlap(fixed: Scan, moving: Scan) -> Result<()> {
    let (f, m) = (&fixed.image.geometry, &moving.image.geometry);
    if reaches(f, m)? || reaches(m, f)? {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{} and {} do not overlap in the world: {} against {}; check their headers, or use --init mass or --init centre",
        fixed.name,
        moving.name,
        extent(f),
        extent(m)
    )))
}

/// The planes of 2-D scans must be parallel.
pub(super) fn planes(fixed: Scan, moving: Scan) -> Result<()> {
    voxel_map(&moving.image.geometry, &fixed.image.geometry).map(|_| ())
}

/// Whether one of the probes of `from` lies in `to`.
fn reaches(from: &Geometry, to: &Geometry) -> Result<bool> {
    let map = voxel_map(to, from)?;
    let along = |axis: usize| {
        let last = (from.shape[axis] - 1) as f64;
        let count = from.shape[axis].min(PROBES);
        (0..count).map(move |n| last * n as f64 / (count.max(2) - 1) as f64)
    };
    let inside = |p: Vector3<f64>| {
        (0..3).all(|axis| p[axis] >= -0.5 && p[axis] <= to.shape[axis] as f64 - 0.5)
    };
    let probes = along(0).flat_map(|i| along(1).map(move |j| (i, j)));
    Ok(probes
        .flat_map(|(i, j)| along(2).map(move |k| Vector3::new(i, j, k)))
        .any(|voxel| inside(place(&map, voxel))))
}

/// The box that a grid fills in the world, such as `x -90..90, y -126..90, z -72..108 mm`.
fn extent(grid: &Geometry) -> String {
    let corners: Vec<Vector3<f64>> = (0..8_usize)
        .map(|corner| {
            let end = |axis: usize| (corner >> axis & 1) * (grid.shape[axis] - 1);
            let voxel = Vector3::from([0, 1, 2].map(|axis| end(axis) as f64));
            grid.affine.to_world(VoxelPoint(voxel)).0
        })
        .collect();
    let ranges = [("x", 0), ("y", 1), ("z", 2)].map(|(name, axis)| {
        let values = || corners.iter().map(|c| c[axis]);
        let low = values().fold(f64::INFINITY, f64::min);
        let high = values().fold(f64::NEG_INFINITY, f64::max);
        format!("{name} {low:.0}..{high:.0}")
    });
    format!("{} mm", ranges.join(", "))
}
