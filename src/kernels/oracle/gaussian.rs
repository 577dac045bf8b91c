//! Gaussian smoothing by its definition.

use super::coordinates;
use crate::kernels::Extent;

/// Weighted mean over the box of 3 SD along each axis; positions beyond the border count as the edge.
pub fn smooth(x: &[f64], items: usize, extent: Extent, sd: [f64; 3]) -> Vec<f64> {
    let voxels: usize = extent.iter().product();
    let reach = sd.map(|sd| (3.0 * sd).ceil() as i64);
    let weight = |offset: [i64; 3]| -> f64 {
        (0..3)
            .filter(|&axis| sd[axis] > 0.0)
            .map(|axis| (-0.5 * (offset[axis] as f64 / sd[axis]).powi(2)).exp())
            .product()
    };
    let mean = |item: usize, at: usize| {
        let centre = coordinates(at, extent);
        let (mut sum, mut total) = (0.0, 0.0);
        for dz in -reach[0]..=reach[0] {
            for dy in -reach[1]..=reach[1] {
                for dx in -reach[2]..=reach[2] {
                    let offset = [dz, dy, dx];
                    let [z, y, x_] = [0, 1, 2].map(|axis| {
                        (centre[axis] as i64 + offset[axis]).clamp(0, extent[axis] as i64 - 1)
                            as usize
                    });
                    let source = (z * extent[1] + y) * extent[2] + x_;
                    sum += weight(offset) * x[item * voxels + source];
                    total += weight(offset);
                }
            }
        }
        sum / total
    };
    (0..items)
        .flat_map(|item| (0..voxels).map(move |at| (item, at)))
        .map(|(item, at)| mean(item, at))
        .collect()
}
