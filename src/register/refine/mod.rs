//! Instance optimisation: the transform of one pair improved on its own images.
//!
//! Minimises `dissimilarity(fixed, moving o phi) + dissimilarity(moving, fixed o phi^-1)`, halved, plus a weight times
//! the mean squared derivative of the field, by Adam, from coarse to fine. `phi` is the exponential of a stationary
//! velocity (Arsigny et al., MICCAI 2006; symmetric in both images as in Avants et al., MedIA 2008, and Balakrishnan et
//! al., TMI 2019, by one velocity for both directions), or a plain displacement. No transform that folds leaves here.

mod contrast;
mod field;
mod grid;
mod objective;
mod optimise;

use self::field::Field;
use self::grid::{Grid, pyramid};
use self::optimise::{Level, descend, objective, signs};
use super::network::NetworkFields;
use crate::error::{Error, Result};
use crate::linear::Similarity;
use crate::model::TransformKind;
use crate::volume::resample::field_to;
use crate::volume::{DisplacementField, Geometry, Image};

/// Where an optimisation starts, such as a network's prediction.
#[derive(Debug, Clone)]
pub struct InitialField {
    pub kind: TransformKind,
    /// A velocity or a displacement, in voxels of a grid of the fixed world.
    pub field: DisplacementField,
}

/// How a pair is optimised.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct RefineSettings {
    /// Steps at each level but the finest, which takes half as many.
    pub steps: usize,
    /// What makes the images alike; `None` leaves the choice to the contrast of each pair.
    pub similarity: Option<Similarity>,
    /// From 0, free, to 1, stiff.
    pub smoothness: f64,
    pub kind: TransformKind,
    /// Whether both directions count alike; only with a velocity.
    pub symmetric: bool,
    /// Axis of the fixed image along which nothing moves, such as that across thick slices; a start keeps to it by itself.
    pub still: Option<usize>,
}

impl Default for RefineSettings {
    fn default() -> Self {
        Self {
            steps: 60,
            similarity: None,
            smoothness: 0.5,
            kind: TransformKind::Velocity,
            symmetric: true,
            still: None,
        }
    }
}

/// Weight of the penalty at smoothness 0.5.
const WEIGHT: f64 = 0.2;
/// What the weight grows by from smoothness 0 to 1.
const RANGE: f64 = 1e4;

impl RefineSettings {
    /// Weight of the mean squared derivative: 0.002 at smoothness 0, 0.2 at 0.5, 20 at 1.
    fn weight(&self) -> f64 {
        WEIGHT * RANGE.powf(self.smoothness - 0.5)
    }
}

/// What one kind of scan shows of both subjects, on one grid, the moving image brought there linearly; intensities from 0 to 1.
#[derive(Debug, Clone, Copy)]
pub struct Channel<'a> {
    pub fixed: &'a Image,
    pub moving: &'a Image,
    /// 1 where the fixed, and where the moving image shows something that counts, 0 elsewhere.
    pub masks: [&'a Image; 2],
    /// Its part in the dissimilarity, relative to the other channels; positive.
    pub weight: f64,
}

/// An optimised transform.
#[derive(Debug)]
pub struct Refined {
    pub fields: NetworkFields,
    /// By which the images were compared.
    pub similarity: Similarity,
    /// Mean dissimilarity with the linear map alone, and after, of the grids that were compared.
    dissimilarity: [f64; 2],
}

/// Dissimilarities are scaled so that one smoothness fits all of them; what differs by less than this is alike.
const NOTICEABLE: f64 = 1e-3;

impl Refined {
    /// Whether the images are less alike than the linear map alone left them.
    pub fn is_worse(&self) -> bool {
        let [before, after] = self.dissimilarity;
        after > before + NOTICEABLE
    }
}

/// Optimises the transform of a pair by at least one channel; all are on one grid.
///
/// On the coarsest level both no deformation and `start` are optimised, and the one that then has the lower objective goes on.
/// `done` hears of each step: how many are done, and how many there are.
///
/// # Errors
/// Images whose optimisation ends in numbers that are not finite.
pub fn refine(
    channels: &[Channel],
    start: Option<&InitialField>,
    settings: &RefineSettings,
    done: &mut dyn FnMut(usize, usize),
) -> Result<Refined> {
    let similarity = match settings.similarity {
        Some(similarity) => similarity,
        None => contrast::suited(channels)?,
    };
    let geometry = &channels[0].fixed.geometry;
    let finest = Grid::of(geometry);
    let grids = pyramid(finest);
    let level_on = |grid, field: &Field| Level::new(channels, &finest, grid, similarity, field);
    let steps = |index: usize| match index + 1 == grids.len() {
        true => settings.steps.div_ceil(2),
        false => settings.steps,
    };
    let mut level = level_on(grids[0], &Field::zero(settings.kind, grids[0]));
    let starts = starts(start, geometry, level.field_grid(), settings.kind)?;
    let (mut taken, all) = (0, (0..grids.len()).map(steps).sum::<usize>());
    let all = all + (starts.len() - 1) * steps(0);
    let mut step = || {
        taken += 1;
        done(taken, all);
    };
    let mut field = starts
        .into_iter()
        .map(|mut field| {
            descend(&mut field, &level, settings, steps(0), &mut step);
            (objective(&field, &level, settings), field)
        })
        // A start that went astray has no objective, and must not win by it.
        .min_by(|(a, _), (b, _)| order(*a).total_cmp(&order(*b)))
        .map(|(_, field)| field)
        .expect("there is at least the start that moves nothing");
    for (index, &grid) in grids.iter().enumerate().skip(1) {
        level = level_on(grid, &field);
        field = field.on(level.field_grid());
        descend(&mut field, &level, settings, steps(index), &mut step);
    }
    if !field.values.iter().all(|v| v.is_finite()) {
        return Err(Error::invalid(
            "the optimisation ended in numbers that are not finite; check the images, or use --refine 0",
        ));
    }
    field.unfold(&finest);
    let both = field.both_ways(&finest);
    let nothing = vec![0.0; both[0].len()];
    let dissimilarity = [[&nothing, &nothing], [&both[0], &both[1]]]
        .map(|fields| dissimilarity(&level, fields, settings));
    let [forward, inverse] =
        both.map(|values| DisplacementField::from_values(values, geometry.clone()));
    Ok(Refined {
        fields: NetworkFields { forward, inverse },
        similarity,
        dissimilarity,
    })
}

/// The mean over the directions that are compared, each with its field.
fn dissimilarity(level: &Level, [there, back]: [&Vec<f32>; 2], settings: &RefineSettings) -> f64 {
    let directions = signs(settings);
    let along = |&sign: &f32| level.value(sign, if sign > 0.0 { there } else { back });
    directions.iter().map(along).sum::<f64>() / directions.len() as f64
}

/// What an objective is ordered by: one that is no number comes last.
fn order(objective: f64) -> f64 {
    if objective.is_nan() {
        f64::INFINITY
    } else {
        objective
    }
}

/// No deformation, and the given start, on the grid `onto` over an image.
fn starts(
    start: Option<&InitialField>,
    image: &Geometry,
    onto: Grid,
    kind: TransformKind,
) -> Result<Vec<Field>> {
    let mut starts = vec![Field::zero(kind, onto)];
    if let Some(start) = start {
        let given = Field {
            kind: start.kind,
            values: field_to(&start.field, image)?.data.into_iter().collect(),
            grid: Grid::of(image),
        };
        starts.push(given.on(onto).into_kind(kind));
    }
    Ok(starts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Affine, Dimension};

    #[test]
    fn only_what_is_noticeably_less_alike_is_worse() {
        let geometry = Geometry::new([4, 4, 4], Dimension::Three, Affine::identity());
        let nothing = DisplacementField::zeros(geometry);
        for (after, worse) in [(-0.6, false), (-0.4995, false), (-0.49, true)] {
            let refined = Refined {
                fields: NetworkFields {
                    forward: nothing.clone(),
                    inverse: nothing.clone(),
                },
                similarity: Similarity::Lncc,
                dissimilarity: [-0.5, after],
            };
            assert_eq!(refined.is_worse(), worse, "{after}");
        }
    }
}
