//! Rows of landmarks: one per landmark; their mean over a pair is made by the summary.

use super::{Landmarks, Options, Pair, PairResult, Protocol, moved_labels};
use crate::error::Result;
use crate::metric::{Interpolation, LandmarkWorld, Metric, target_registration_errors};
use crate::volume::{Affine, LabelMap, VoxelPoint};
use nalgebra::Vector3;
use std::collections::BTreeMap;

pub(super) fn landmark_rows(pair: &Pair, options: &Options) -> Result<Vec<PairResult>> {
    match pair.landmarks {
        None => Ok(Vec::new()),
        Some(Landmarks::Points { fixed, moving }) => points(pair, options, fixed, moving),
        Some(Landmarks::Volumes { fixed, moving }) => Ok(volumes(pair, options, fixed, moving)),
    }
}

/// Points are measured in millimetres: by the affine of the pair, or as the challenges do, by the spacing of the moving image.
fn points(
    pair: &Pair,
    options: &Options,
    fixed: &[VoxelPoint],
    moving: &[VoxelPoint],
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
            let name = format!("landmark {}", n + 1);
            PairResult::new(pair, name, Metric::Tre, Some(before), Some(after))
        })
        .collect())
}

/// Landmarks drawn as labels: distance between centroids, in voxels under LUMIR's rules, else in mm.
/// `NaN` where a landmark is lost.
fn volumes(pair: &Pair, options: &Options, fixed: &LabelMap, moving: &LabelMap) -> Vec<PairResult> {
    let moved = moved_labels(moving, pair.field, options.protocol);
    let (metric, affine) = match options.protocol {
        Protocol::Lumir => (Metric::TreVoxels, Affine::identity()),
        Protocol::Learn2reg => (Metric::Tre, Affine::from_spacing(pair.moving_spacing())),
        Protocol::Hmorph => (Metric::Tre, pair.landmark_affine()),
    };
    let world = world(pair, affine);
    let [target, start, end] = [fixed, moving, &moved].map(centroids);
    target
        .iter()
        .map(|(label, place)| {
            let distance = |side: &BTreeMap<i32, Vector3<f64>>| match side.get(label) {
                Some(there) => world.distance_of_voxels(there - place),
                None => f64::NAN,
            };
            let name = format!("landmark {label}");
            let (before, after) = (distance(&start), distance(&end));
            PairResult::new(pair, name, metric, Some(before), Some(after))
        })
        .collect()
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
