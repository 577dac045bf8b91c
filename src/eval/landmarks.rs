//! Rows of landmarks: one per landmark; their mean over a pair is made by the summary.

use super::{Landmarks, Options, Pair, PairResult, moved_labels};
use crate::error::Result;
use crate::metric::{Interpolation, LandmarkWorld, Metric, target_registration_errors};
use crate::volume::{Affine, LabelMap, VoxelPoint};
use nalgebra::Vector3;
use std::collections::BTreeMap;
use std::fmt::Display;

const NUMBERED: &str = "landmark ";

pub(super) fn landmark_rows(pair: &Pair, options: &Options) -> Result<Vec<PairResult>> {
    match pair.landmarks {
        None => Ok(Vec::new()),
        Some(Landmarks::Points {
            names,
            fixed,
            moving,
        }) => points(pair, options, names, [fixed, moving]),
        Some(Landmarks::Volumes { fixed, moving }) => Ok(volumes(pair, options, fixed, moving)),
    }
}

/// Points are measured in millimetres: by the affine of the pair, or as the challenges do, by the spacing of the moving image.
fn points(
    pair: &Pair,
    options: &Options,
    names: &[String],
    [fixed, moving]: [&[VoxelPoint]; 2],
) -> Result<Vec<PairResult>> {
    let (affine, how) = if options.protocol.challenge() {
        let affine = Affine::from_spacing(pair.moving_spacing());
        (affine, Interpolation::CubicSpline)
    } else {
        (pair.landmark_affine(), Interpolation::Linear)
    };
    let world = world(pair, affine);
    let errors = |field| target_registration_errors(fixed, moving, field, &world, how);
    let (before, after) = (errors(None)?, errors(Some(pair.field))?);
    Ok(before
        .into_iter()
        .zip(after)
        .enumerate()
        .map(|(n, (before, after))| {
            let given = names.get(n).filter(|name| !name.is_empty());
            let name = given.cloned().unwrap_or_else(|| numbered(n + 1));
            PairResult::new(pair, name, Metric::Tre, Some(before), Some(after))
        })
        .collect())
}

/// Landmarks drawn as labels: distance between centroids in voxels, as LUMIR has it. `NaN` where a landmark is lost.
fn volumes(pair: &Pair, options: &Options, fixed: &LabelMap, moving: &LabelMap) -> Vec<PairResult> {
    let moved = moved_labels(moving, pair.field, options.protocol);
    let world = world(pair, Affine::identity());
    let [target, start, end] = [fixed, moving, &moved].map(centroids);
    target
        .iter()
        .map(|(label, place)| {
            let distance = |side: &BTreeMap<i32, Vector3<f64>>| match side.get(label) {
                Some(there) => world.distance_of_voxels(there - place),
                None => f64::NAN,
            };
            let name = numbered(label);
            let (before, after) = (distance(&start), distance(&end));
            PairResult::new(pair, name, Metric::TreVoxels, Some(before), Some(after))
        })
        .collect()
}

/// Landmarks that are drawn into a label map, by the names that tables give them: the centroid of each label but 0, in voxels.
pub fn drawn_landmarks(map: &LabelMap) -> Vec<(String, VoxelPoint)> {
    let found = centroids(map).into_iter();
    found
        .map(|(label, place)| (numbered(label), VoxelPoint(place)))
        .collect()
}

/// What a landmark without a name is called in the tables.
fn numbered(number: impl Display) -> String {
    format!("{NUMBERED}{number}")
}

/// Whether tables know a landmark by its number alone, which need not mean the same one in every pair.
pub(super) fn is_numbered(structure: &str) -> bool {
    let number = structure.strip_prefix(NUMBERED);
    number.is_some_and(|number| number.parse::<i64>().is_ok())
}

/// Of the pair's images, with millimetres as `affine` has them.
fn world(pair: &Pair, affine: Affine) -> LandmarkWorld {
    LandmarkWorld {
        affine,
        dimension: pair.field.geometry.dimension,
    }
}

/// Mean position of each label but 0, in voxels.
fn centroids(map: &LabelMap) -> BTreeMap<i32, Vector3<f64>> {
    let mut sums = BTreeMap::<i32, (Vector3<f64>, f64)>::new();
    for ((i, j, k), &label) in map.data.indexed_iter() {
        if label != 0 {
            let (sum, count) = sums.entry(label).or_default();
            *sum += Vector3::new(i as f64, j as f64, k as f64);
            *count += 1.0;
        }
    }
    sums.into_iter()
        .map(|(label, (sum, count))| (label, sum / count))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Dimension, DisplacementField, Geometry};
    use ndarray::Array4;

    #[test]
    fn rows_bear_the_names_of_landmarks() {
        let geometry = Geometry::new([4, 4, 4], Dimension::Three, Affine::identity());
        let field = DisplacementField {
            data: Array4::zeros((3, 4, 4, 4)),
            geometry,
        };
        let points = [VoxelPoint(Vector3::zeros()); 3];
        let structures = |names: &[String]| -> Vec<String> {
            let pair = Pair {
                landmarks: Some(Landmarks::Points {
                    names,
                    fixed: &points,
                    moving: &points,
                }),
                ..Pair::new("p", "f", "m", &field)
            };
            let rows = landmark_rows(&pair, &Options::default()).unwrap();
            rows.into_iter().map(|row| row.structure).collect()
        };
        let names = ["pc", "", "ac"].map(String::from);
        assert_eq!(structures(&names), ["pc", "landmark 2", "ac"]);
        assert_eq!(structures(&[]), ["landmark 1", "landmark 2", "landmark 3"]);
        assert!(is_numbered("landmark 2") && !is_numbered("landmark of Broca"));
    }
}
