//! From two scans to the network's view of them: one grid, one intensity scale.

use nalgebra::{Matrix4, Vector3};

use crate::dataset::{Align, Preprocessing};
use crate::error::{Error, Result};
use crate::volume::resample::{Interpolation, Outside, image_to, place, voxel_map};
use crate::volume::{Dimension, Geometry, Image, VoxelPoint, centre_fit};

/// An image with the name that messages call it by.
#[derive(Debug, Clone, Copy)]
pub struct Scan<'a> {
    pub name: &'a str,
    pub image: &'a Image,
}

/// Both scans on the network's grid.
#[derive(Debug, Clone)]
pub struct NetworkPair {
    pub fixed: Image,
    /// On the grid of `fixed`, brought there by `linear`.
    pub moving: Image,
    /// From the fixed scan's world to the moving scan's world (RAS mm): the identity when headers are trusted.
    pub linear: Matrix4<f64>,
}

impl NetworkPair {
    pub fn grid(&self) -> &Geometry {
        &self.fixed.geometry
    }
}

/// Orients, resamples and normalises both scans as the network's training images, and pads them about their centre
/// to multiples of `factor` (per tensor axis).
///
/// With [`Align::Header`] the moving scan comes to the fixed grid through both affines; with [`Align::Centre`] the
/// voxel in the centre of one image meets that of the other.
///
/// # Errors
/// A scan without contrast, scans of different dimension, no common part in the world.
pub fn prepare(
    fixed: Scan,
    moving: Scan,
    preprocessing: &Preprocessing,
    align: Align,
    factor: [usize; 3],
) -> Result<NetworkPair> {
    check_contrast(fixed)?;
    check_contrast(moving)?;
    check_dimensions(fixed, moving)?;
    if align == Align::Header {
        check_overlap(fixed, moving)?;
    }
    let [fixed_view, moving_view] = [fixed, moving].map(|scan| {
        let prepared = preprocessing.apply(scan.image.clone(), None);
        prepared
            .map(|prepared| prepared.image)
            .map_err(|error| Error::file(scan.name, error.to_string()))
    });
    let (fixed_view, moving_view) = (fixed_view?, moving_view?);
    let factor = host_order(factor, fixed_view.geometry.dimension);
    match align {
        Align::Header => by_header(&fixed_view, &moving_view, factor),
        Align::Centre => by_centre(&fixed_view, &moving_view, factor),
        Align::Affine => Err(Error::invalid(
            "linear registration is not available yet; use --init header on scans aligned beforehand, or --init centre",
        )),
    }
}

fn by_header(fixed: &Image, moving: &Image, factor: [usize; 3]) -> Result<NetworkPair> {
    let fixed = centre_fit(fixed, padded(fixed.geometry.shape, factor), 0.0);
    // Zero outside, as the network's own warp and as in training.
    let zero = Outside::Value(0.0);
    let moving = image_to(moving, &fixed.geometry, Interpolation::Linear, zero)?;
    Ok(NetworkPair {
        fixed,
        moving,
        linear: Matrix4::identity(),
    })
}

/// In two steps, as a study is padded: to the size that holds both, then to the network's factor.
fn by_centre(fixed: &Image, moving: &Image, factor: [usize; 3]) -> Result<NetworkPair> {
    let (a, b) = (fixed.geometry.shape, moving.geometry.shape);
    let content = [0, 1, 2].map(|axis| a[axis].max(b[axis]));
    let shape = padded(content, factor);
    let [fixed, moving] =
        [fixed, moving].map(|image| centre_fit(&centre_fit(image, content, 0.0), shape, 0.0));
    let to_voxel = super::transform::to_voxel(&fixed.geometry)?;
    let linear = moving.geometry.affine.0 * to_voxel;
    let moving = Image {
        data: moving.data,
        geometry: fixed.geometry.clone(),
    };
    Ok(NetworkPair {
        fixed,
        moving,
        linear,
    })
}

/// A factor per tensor axis as a factor per host axis.
fn host_order(factor: [usize; 3], dimension: Dimension) -> [usize; 3] {
    match dimension {
        Dimension::Two => [factor[1], factor[2], 1],
        Dimension::Three => factor,
    }
}

fn padded(shape: [usize; 3], factor: [usize; 3]) -> [usize; 3] {
    [0, 1, 2].map(|axis| shape[axis].next_multiple_of(factor[axis]))
}

fn check_contrast(scan: Scan) -> Result<()> {
    let finite = scan.image.data.iter().copied().filter(|v| v.is_finite());
    let (low, high) = finite.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    let problem = if low > high {
        "no voxel is a finite number".to_string()
    } else if low == high {
        format!("every voxel is {low}")
    } else {
        return Ok(());
    };
    let problem = format!("{problem}; an image without contrast cannot be registered");
    Err(Error::file(scan.name, problem))
}

fn check_dimensions(fixed: Scan, moving: Scan) -> Result<()> {
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

/// Some of the one image must lie in the other.
fn check_overlap(fixed: Scan, moving: Scan) -> Result<()> {
    let (f, m) = (&fixed.image.geometry, &moving.image.geometry);
    if reaches(f, m)? || reaches(m, f)? {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{} and {} do not overlap in the world: {} against {}; check their headers, or use --init centre",
        fixed.name,
        moving.name,
        extent(f),
        extent(m)
    )))
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
