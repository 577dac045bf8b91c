//! How good a registration is, on the fixed scan's own grid.

use ndarray::Array3;
use serde::Serialize;

use super::transform::pull_image;
use super::{Fill, Registration, Transform, pull_labels};
use crate::error::Result;
use crate::metric::{folding, mean_dice, mse, ncc, overlaps};
use crate::volume::intensity::Normaliser;
use crate::volume::resample::{Interpolation, LabelInterpolation};
use crate::volume::{Geometry, Image, LabelMap};

/// Similarity of the fixed scan and the other on its grid; of intensities where both scans lie and masks let them count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measures {
    /// Mean over the labels of the fixed scan but 0; absent without labels.
    pub dice: Option<f64>,
    /// Global normalised cross-correlation, -1..1; not a number where the scans have no place in common.
    pub ncc: f64,
    /// Mean squared difference of the normalised intensities; likewise.
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
    /// `|u(x) + v(x + u(x))|` of the forward and inverse transforms, in voxels of the grid that they were found on: the
    /// network's where it alone was asked, else the fixed scan's.
    pub inverse_error_mean_voxels: f64,
    pub inverse_error_max_voxels: f64,
}

/// What an assessment looks at.
#[derive(Debug, Clone, Copy)]
pub struct Assessed<'a> {
    pub fixed: &'a Image,
    pub moving: &'a Image,
    /// Of the fixed and the moving scan, each on its grid: not 0 where a voxel counts; all count where there is none.
    pub masks: [Option<&'a LabelMap>; 2],
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
    let judge = Judge::new(pair, normaliser)?;
    let linear = judge.through(&registration.linear_transform())?;
    let after = judge.state(
        |image| registration.moved(image, BEYOND),
        |labels, between| registration.moved_labels(labels, between),
    )?;
    let before = match registration.initial == registration.linear {
        true => linear.measures,
        false => judge.through(&registration.initial_transform())?.measures,
    };
    let folds = folding(&registration.deformation, None)?;
    let quality = Quality {
        before,
        linear: linear.measures,
        after: after.measures,
        structures: judge.structures,
        folded_voxels: folds.folded,
        folded_percent: folds.percent(),
        voxels: folds.voxels,
        least_jacobian: folds.least,
        inverse_error_mean_voxels: registration.inverse_error.mean_voxels,
        inverse_error_max_voxels: registration.inverse_error.max_voxels,
    };
    Ok(Assessment {
        quality,
        fixed: judge.fixed,
        moving: linear.image,
        moved: after.image,
        labels: linear
            .labels
            .zip(after.labels)
            .map(|(moving, moved)| [moving, moved]),
    })
}

/// Where the moving scan does not reach, nothing is compared.
const BEYOND: Fill = Fill::Value(f32::NAN);

/// What the states of a registration are measured by.
struct Judge<'a> {
    pair: Assessed<'a>,
    /// Both normalised.
    fixed: Image,
    moving: Image,
    structures: usize,
}

/// The moving scan on the fixed grid.
struct State {
    image: Image,
    labels: Option<LabelMap>,
    measures: Measures,
}

impl<'a> Judge<'a> {
    fn new(pair: Assessed<'a>, normaliser: &Normaliser) -> Result<Self> {
        let (mut fixed, mut moving) = (pair.fixed.clone(), pair.moving.clone());
        let [of_fixed, of_moving] = pair.masks;
        normaliser.apply_within(&mut fixed, of_fixed)?;
        normaliser.apply_within(&mut moving, of_moving)?;
        let structures = match pair.labels {
            None => 0,
            Some((fixed, _)) => overlaps(&fixed.data, &fixed.data, None)?.len(),
        };
        Ok(Self {
            pair,
            fixed,
            moving,
            structures,
        })
    }

    /// The state that affine transforms make.
    fn through(&self, transforms: &[Transform]) -> Result<State> {
        let grid = &self.fixed.geometry;
        let linear = Interpolation::Linear;
        self.state(
            |image| pull_image(image, grid, transforms, linear, BEYOND.outside(image)),
            |labels, between| pull_labels(labels, grid, transforms, between),
        )
    }

    /// The state in which images and labels of the moving scan are brought to the fixed grid so.
    fn state(
        &self,
        bring: impl Fn(&Image) -> Result<Image>,
        bring_labels: impl Fn(&LabelMap, LabelInterpolation) -> Result<LabelMap>,
    ) -> Result<State> {
        let mut image = bring(&self.moving)?;
        let labels = self
            .pair
            .labels
            .map(|(_, labels)| bring_labels(labels, self.pair.label_interpolation))
            .transpose()?;
        let target = self.pair.labels.map(|(fixed, _)| fixed);
        let dice = match target.zip(labels.as_ref()) {
            None => None,
            Some((fixed, labels)) => mean_dice(&fixed.data, &labels.data)?,
        };
        let [of_fixed, of_moving] = self.pair.masks;
        let of_moving = of_moving.map(|mask| bring_labels(mask, LabelInterpolation::Vote));
        let counted = within([of_fixed, of_moving.transpose()?.as_ref()]);
        let measures = Measures {
            dice,
            ncc: ncc(&self.fixed.data, &image.data, counted.as_ref())?,
            mse: mse(&self.fixed.data, &image.data, counted.as_ref())?,
        };
        image
            .data
            .mapv_inplace(|value| if value.is_nan() { 0.0 } else { value });
        Ok(State {
            image,
            labels,
            measures,
        })
    }
}

/// The voxels of the fixed `grid` that count: those within the mask of the fixed scan and, once the transforms have brought it
/// there, within that of the moving scan. `None`, where neither has a mask, stands for all.
///
/// # Errors
/// 2-D scans whose planes are not parallel.
pub fn counted(
    [fixed, moving]: [Option<&LabelMap>; 2],
    grid: &Geometry,
    transforms: &[Transform],
) -> Result<Option<Array3<bool>>> {
    let moved = moving
        .map(|mask| pull_labels(mask, grid, transforms, LabelInterpolation::Vote))
        .transpose()?;
    Ok(within([fixed, moved.as_ref()]))
}

/// The voxels that all masks there are hold; all are on one grid.
fn within(masks: [Option<&LabelMap>; 2]) -> Option<Array3<bool>> {
    let each = masks
        .into_iter()
        .flatten()
        .map(|mask| mask.data.mapv(|label| label != 0));
    each.reduce(|mut both, other| {
        both.zip_mut_with(&other, |a, b| *a &= b);
        both
    })
}
