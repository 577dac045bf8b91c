//! From two scans to the network's view of them: one grid, one intensity scale.

use std::borrow::Cow;

use nalgebra::Matrix4;

use super::check;
use crate::dataset::Preprocessing;
use crate::error::{Error, Result};
use crate::volume::resample::{Interpolation, Outside, image_to, labels_to};
use crate::volume::{
    Affine, Dimension, Geometry, Image, LabelMap, centre_fit, codes_to_meet, reorient,
};

/// An image with the name that messages call it by, and the voxels that count.
#[derive(Debug, Clone, Copy)]
pub struct Scan<'a> {
    pub name: &'a str,
    pub image: &'a Image,
    /// On the image's grid, not 0 where a voxel counts; all count where absent.
    pub mask: Option<&'a LabelMap>,
}

/// How the moving scan comes to the fixed one before the network.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one for each registration; a box would cost its being Copy"
)]
pub enum Alignment {
    /// Through both affines.
    Header,
    /// The voxel in the centre of one image on that of the other, as [`crate::linear::Start::Centre`].
    Centre,
    /// By a map from the fixed to the moving world, RAS mm, found from the start `initial`.
    Linear {
        matrix: Matrix4<f64>,
        initial: Matrix4<f64>,
    },
}

/// Both scans on one grid: the network's or, for the optimisation, the fixed scan's.
#[derive(Debug, Clone)]
pub struct NetworkPair {
    pub fixed: Image,
    /// On the grid of `fixed`, brought there by `linear`.
    pub moving: Image,
    /// From the fixed scan's world to the moving scan's world (RAS mm): the identity when headers are trusted.
    pub linear: Matrix4<f64>,
    /// What `linear` was found from; the same where it was not searched for.
    pub initial: Matrix4<f64>,
}

impl NetworkPair {
    pub fn grid(&self) -> &Geometry {
        &self.fixed.geometry
    }
}

/// Orients, resamples and normalises both scans as the network's training images, and pads them about their centre
/// to multiples of `factor` (per tensor axis).
///
/// With [`Alignment::Centre`] the grid holds both scans, else it is that of the fixed scan.
///
/// # Errors
/// A scan without contrast, scans of different dimension, no common part in the world.
pub fn prepare(
    fixed: Scan,
    moving: Scan,
    preprocessing: &Preprocessing,
    alignment: Alignment,
    factor: [usize; 3],
) -> Result<NetworkPair> {
    let [fixed, moving] = views(fixed, moving, preprocessing, alignment)?;
    meet(&fixed, &moving, alignment, factor)
}

/// Both scans as [`prepare`] has them before they come to one grid, the moving one where the alignment places it.
pub(super) fn views(
    fixed: Scan,
    moving: Scan,
    preprocessing: &Preprocessing,
    alignment: Alignment,
) -> Result<[Image; 2]> {
    check::contents(fixed, moving)?;
    let mut image = moving.image.clone();
    if let Alignment::Linear { matrix, .. } = alignment {
        image.geometry.affine = beside_fixed(&matrix, &image.geometry)?;
    }
    let beside = Scan {
        image: &image,
        ..moving
    };
    if alignment != Alignment::Centre {
        check::overlap(fixed, beside)?;
    }
    let view = |scan: Scan, other: Scan| {
        let mask = scaled_by(scan, other, alignment)?;
        let prepared = preprocessing.scan(scan.image.clone(), mask.as_deref());
        prepared.map_err(|error| Error::file(scan.name, error.to_string()))
    };
    Ok([view(fixed, beside)?, view(beside, fixed)?])
}

/// The [`views`] of both scans on one grid.
pub(super) fn meet(
    fixed: &Image,
    moving: &Image,
    alignment: Alignment,
    factor: [usize; 3],
) -> Result<NetworkPair> {
    let factor = host_order(factor, fixed.geometry.dimension);
    match alignment {
        Alignment::Header => by_header(fixed, moving, factor),
        Alignment::Centre => by_centre(fixed, moving, factor),
        Alignment::Linear { matrix, initial } => Ok(NetworkPair {
            linear: matrix,
            initial,
            ..by_header(fixed, moving, factor)?
        }),
    }
}

/// The voxels by which a scan is normalised: those of its mask; without one, those that the mask of the other scan holds, if it
/// is known where they are, so that both scans are scaled by the same anatomy.
fn scaled_by<'a>(
    scan: Scan<'a>,
    other: Scan<'a>,
    alignment: Alignment,
) -> Result<Option<Cow<'a, LabelMap>>> {
    let (None, Some(mask)) = (scan.mask, other.mask) else {
        return Ok(scan.mask.map(Cow::Borrowed));
    };
    if alignment == Alignment::Centre {
        return Ok(None);
    }
    let placed = LabelMap {
        data: mask.data.clone(),
        geometry: other.image.geometry.clone(),
    };
    let mask = labels_to(&placed, &scan.image.geometry)?;
    let mut voxels = scan.image.data.iter().zip(&mask.data);
    let held = voxels.any(|(value, &label)| label != 0 && value.is_finite());
    Ok(held.then_some(Cow::Owned(mask)))
}

/// Where a grid of the moving world lies in the fixed world.
pub(super) fn beside_fixed(linear: &Matrix4<f64>, moving: &Geometry) -> Result<Affine> {
    let inverse = linear.try_inverse();
    let inverse =
        inverse.ok_or_else(|| Error::invalid("the linear map between the scans is singular"))?;
    Ok(Affine(inverse * moving.affine.0))
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
        initial: Matrix4::identity(),
    })
}

/// In two steps, as a study is padded: to the size that holds both, then to the network's factor.
fn by_centre(fixed: &Image, moving: &Image, factor: [usize; 3]) -> Result<NetworkPair> {
    let moving = &match codes_to_meet(&fixed.geometry, &moving.geometry) {
        Some(codes) => reorient(moving, &codes)?,
        None => moving.clone(),
    };
    let (a, b) = (fixed.geometry.shape, moving.geometry.shape);
    let content = [0, 1, 2].map(|axis| a[axis].max(b[axis]));
    let shape = padded(content, factor);
    let [fixed, moving] =
        [fixed, moving].map(|image| centre_fit(&centre_fit(image, content, 0.0), shape, 0.0));
    let linear = moving.geometry.affine.0 * fixed.geometry.to_voxel()?;
    let moving = Image {
        data: moving.data,
        geometry: fixed.geometry.clone(),
    };
    Ok(NetworkPair {
        fixed,
        moving,
        linear,
        initial: linear,
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
