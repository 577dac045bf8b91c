//! Gradients against finite differences.

use nalgebra::{Matrix4, Translation3, Vector3};
use ndarray::Array3;

use super::{Objective, voxel};
use crate::linear::phantom::{grid, map, painted};
use crate::linear::pyramid::{Level, levels, sizes};
use crate::linear::{Masked, Similarity};
use crate::volume::{Dimension, LabelMap};

/// The finest of the levels with voxels of about 5 mm.
fn level(masked: Masked, most: usize) -> Level {
    let grid = &masked.image.geometry;
    levels(masked, &sizes(grid, grid, most))
        .unwrap()
        .pop()
        .unwrap()
}

fn check(dimension: Dimension, masked: bool) {
    let most = if dimension == Dimension::Two {
        900
    } else {
        20_000
    };
    let fixed_grid = grid(dimension, [2.0, 2.5, 4.0], [3.0, -2.0, 1.0]);
    let moving_grid = grid(dimension, [3.0, 2.0, 2.5], [-2.0, 4.0, 1.0]);
    let fixed = painted(&fixed_grid, &Matrix4::identity(), |v| v);
    let moving = painted(
        &moving_grid,
        &map([0.0; 3], [1.0; 3], 0.0, [1.0, 2.0, 0.0]),
        |v| v * (1.6 - v),
    );
    let mask = |grid: &crate::volume::Geometry| LabelMap {
        data: Array3::from_shape_fn(grid.shape, |(i, j, _)| i32::from(i > 9 && j > 7)),
        geometry: grid.clone(),
    };
    let masks = [&fixed_grid, &moving_grid].map(mask);
    let chosen = |n: usize| masked.then_some(&masks[n]);
    let fixed_level = level(
        Masked {
            image: &fixed,
            mask: chosen(0),
        },
        most,
    );
    let moving_level = level(
        Masked {
            image: &moving,
            mask: chosen(1),
        },
        most,
    );
    let centre = Vector3::new(1.0, 2.0, 0.5);
    // Some of the samples leave the moving image.
    let start = map([0.0, 0.0, 0.12], [1.05, 0.97, 1.0], 0.04, [9.0, -6.0, 0.3])
        * Translation3::from(centre).to_homogeneous();
    // Descriptors are made on a grid through the samples, where slopes are one-sided.
    let at = start * map([0.01, -0.02, 0.01], [1.0; 3], 0.0, [0.4, 0.7, 0.5]);
    let volume = fixed_level.geometry.voxels() as f64 * voxel(&fixed_level.geometry);
    for similarity in Similarity::ALL {
        let objective = Objective::new(
            similarity,
            &fixed_level,
            chosen(0),
            &moving_level,
            (centre, volume),
            5000,
        )
        .unwrap();
        let described = objective.describe(&start);
        let value = |m: &Matrix4<f64>| objective.evaluate(described.as_ref(), m).unwrap().0;
        let (_, gradient) = objective.evaluate(described.as_ref(), &at).unwrap();
        let largest = |columns: std::ops::Range<usize>| {
            let entries = gradient.iter().flat_map(|row| &row[columns.clone()]);
            entries.fold(0.0_f64, |a, b| a.max(b.abs()))
        };
        let largest = [0..3, 0..3, 0..3, 3..4].map(largest);
        for row in 0..dimension.axes() {
            for column in 0..4 {
                // Both move samples by about as much: far more where sums of float32 would hide the difference.
                let wide = if similarity == Similarity::Lncc {
                    20.0
                } else {
                    1.0
                };
                let step = wide * if column < 3 { 2e-5 } else { 1e-3 };
                let [mut low, mut high] = [at; 2];
                low[(row, column)] -= step;
                high[(row, column)] += step;
                let expected = (value(&high) - value(&low)) / (2.0 * step);
                let found = gradient[row][column];
                // Slopes jump between voxels, and windows are summed in float32.
                let allowed = 0.04 * expected.abs() + 0.01 * largest[column];
                assert!(
                    (found - expected).abs() < allowed,
                    "{similarity:?} {dimension:?} [{row}, {column}]: {found} against {expected}"
                );
            }
        }
    }
}

#[test]
fn gradients_of_volumes_are_those_of_finite_differences() {
    check(Dimension::Three, false);
    check(Dimension::Three, true);
}

#[test]
fn gradients_of_slices_are_those_of_finite_differences() {
    check(Dimension::Two, false);
    check(Dimension::Two, true);
}
