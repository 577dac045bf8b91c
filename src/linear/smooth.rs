//! Smoothing that masks take part in.

use ndarray::Array3;

use crate::kernels::gaussian;
use crate::volume::{Dimension, Image};

/// Where less weight than this is around, there is nothing to take a mean of.
const LEAST_WEIGHT: f32 = 1e-3;

/// Smoothed by a Gaussian of standard deviation `sd` voxels along `(i, j, k)`; the third does not count in 2-D.
///
/// Where there are weights, over the voxels that have some (normalised convolution, Knutsson and Westin, CVPR 1993); far from
/// them all values stay.
pub fn smoothed(image: &Image, weights: Option<&Image>, [i, j, k]: [f64; 3]) -> Image {
    let grid = &image.geometry;
    let along = match grid.dimension {
        Dimension::Two => [0.0, i, j],
        Dimension::Three => [i, j, k],
    };
    let smooth = |values: &[f32]| gaussian::smooth(values, 1, grid.tensor_shape(), along);
    let values = match weights {
        None => smooth(&image.to_vec()),
        Some(weights) => {
            let weighted: Vec<f32> = (&image.data * &weights.data).into_iter().collect();
            let sums = smooth(&weighted).into_iter().zip(smooth(&weights.to_vec()));
            let mean = |((sum, total), &own): ((f32, f32), &f32)| match total > LEAST_WEIGHT {
                true => sum / total,
                false => own,
            };
            sums.zip(&image.data).map(mean).collect()
        }
    };
    Image {
        data: Array3::from_shape_vec(grid.shape, values).expect("one value per voxel"),
        geometry: grid.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Affine, Geometry};

    #[test]
    fn what_has_no_weight_is_not_smoothed_in() {
        // 3 where it counts, 100 beyond, along each axis in turn.
        for axis in 0..2 {
            let geometry = Geometry::new([20, 20, 1], Dimension::Two, Affine::identity());
            let image = |near: f32, far: f32| Image {
                data: Array3::from_shape_fn(geometry.shape, |(i, j, _)| match [i, j][axis] {
                    ..10 => near,
                    _ => far,
                }),
                geometry: geometry.clone(),
            };
            let mut sd = [0.0; 3];
            sd[axis] = 1.0;
            let found = smoothed(&image(3.0, 100.0), Some(&image(1.0, 0.0)), sd);
            for ((i, j, _), &value) in found.data.indexed_iter() {
                // The kernel ends at 3 SD: the last voxel that has one that counts within its reach is the third beyond.
                let expected = match [i, j][axis] {
                    ..13 => 3.0,
                    _ => 100.0,
                };
                assert!((value - expected).abs() < 1e-3, "{i} {j}: {value}");
            }
        }
    }
}
