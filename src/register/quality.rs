//! How good a registration is, on the fixed scan's own grid.

use serde::Serialize;

use super::transform::pull_image;
use super::{Registration, Transform, pull_labels};
use crate::error::Result;
use crate::metric::{folding, mse, ncc, overlaps};
use crate::volume::intensity::Normaliser;
use crate::volume::resample::{Interpolation, LabelInterpolation, Outside};
use crate::volume::{Image, LabelMap};

/// Similarity of the fixed scan and the other on its grid.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measures {
    /// Mean over the labels of the fixed scan but 0; absent without labels.
    pub dice: Option<f64>,
    /// Global normalised cross-correlation, -1..1.
    pub ncc: f64,
    /// Mean squared difference of the normalised intensities.
    pub mse: f64,
}

/// Measures of the three states of a registration, and the regularity of the deformation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quality {
    /// Where the scans were: by their headers, or by the start that was asked for.
    pub before: Measures,
    /// After the linear part alone.
    pub linear: Measures,
    pub after: Measures,
    /// Labels that the Dice is a mean of.
    pub structures: usize,
    /// Voxels of the fixed grid where the Jacobian determinant of the deformation is not above 0.
    pub folded_voxels: usize,
    /// Their share of all voxels of the fixed grid.
    pub folded_percent: f64,
    pub voxels: usize,
    pub least_jacobian: f64,
    /// `|u(x) + v(x + u(x))|` of the network's forward and inverse transforms, voxels of the network grid.
    pub inverse_error_mean_voxels: f64,
    pub inverse_error_max_voxels: f64,
}

/// What an assessment looks at.
#[derive(Debug, Clone, Copy)]
pub struct Assessed<'a> {
    pub fixed: &'a Image,
    pub moving: &'a Image,
    /// Fixed and moving labels, each on its scan's grid.
    pub labels: Option<(&'a LabelMap, &'a LabelMap)>,
    pub label_interpolation: LabelInterpolation,
}

/// A registration judged, with what was made for it on the fixed grid.
#[derive(Debug, Clone)]
pub struct Assessment {
    pub quality: Quality,
    /// Fixed, moving (after the linear part alone) and moved image, intensities normalised, 0 outside.
    pub fixed: Image,
    pub moving: Image,
    pub moved: Image,
    /// Moving (after the linear part alone) and moved labels.
    pub labels: Option<[LabelMap; 2]>,
}

/// Measures a registration; intensities are compared after `normaliser`.
///
/// # Errors
/// 2-D scans whose planes are not parallel.
pub fn assess(
    registration: &Registration,
    pair: Assessed,
    normaliser: &Normaliser,
) -> Result<Assessment> {
    let (mut fixed, mut original) = (pair.fixed.clone(), pair.moving.clone());
    normaliser.apply(&mut fixed)?;
    normaliser.apply(&mut original)?;
    let grid = &fixed.geometry;
    let image = |transforms: &[Transform]| {
        let zero = Outside::Value(0.0);
        pull_image(&original, grid, transforms, Interpolation::Linear, zero)
    };
    let (start, end) = (registration.start(), registration.end()?);
    let (moving, moved) = (image(&start)?, image(&end)?);
    let labels = match pair.labels {
        None => None,
        Some((_, labels)) => Some([
            pull_labels(labels, grid, &start, pair.label_interpolation)?,
            pull_labels(labels, grid, &end, pair.label_interpolation)?,
        ]),
    };
    let target = pair.labels.map(|(fixed, _)| fixed);
    let structures = match target {
        None => 0,
        Some(target) => overlaps(&target.data, &target.data, None)?.len(),
    };
    let measures = |image: &Image, labels: Option<&LabelMap>| -> Result<Measures> {
        let dice = match target.zip(labels).filter(|_| structures > 0) {
            None => None,
            Some((fixed, labels)) => Some(mean_dice(fixed, labels)?),
        };
        Ok(Measures {
            dice,
            ncc: ncc(&fixed.data, &image.data, None)?,
            mse: mse(&fixed.data, &image.data, None)?,
        })
    };
    let folds = folding(&registration.deformation, None)?;
    let linear = measures(&moving, labels.as_ref().map(|l| &l[0]))?;
    let before = if registration.initial == registration.linear {
        linear
    } else {
        let initial = registration.unregistered();
        let labels = pair
            .labels
            .map(|(_, labels)| pull_labels(labels, grid, &initial, pair.label_interpolation));
        measures(&image(&initial)?, labels.transpose()?.as_ref())?
    };
    let quality = Quality {
        before,
        linear,
        after: measures(&moved, labels.as_ref().map(|l| &l[1]))?,
        structures,
        folded_voxels: folds.folded,
        folded_percent: folds.percent(),
        voxels: folds.voxels,
        least_jacobian: folds.least,
        inverse_error_mean_voxels: registration.inverse_error.mean_voxels,
        inverse_error_max_voxels: registration.inverse_error.max_voxels,
    };
    Ok(Assessment {
        quality,
        fixed,
        moving,
        moved,
        labels,
    })
}

fn mean_dice(fixed: &LabelMap, moved: &LabelMap) -> Result<f64> {
    let found = overlaps(&fixed.data, &moved.data, None)?;
    Ok(found.iter().map(|o| o.dice()).sum::<f64>() / found.len() as f64)
}
