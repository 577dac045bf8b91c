//! Linear resizing from its definition.

use super::{coordinates, index};
use crate::kernels::Extent;

/// Resizes `items` images with aligned corners and multiplies by `scale`.
pub fn linear(x: &[f64], items: usize, from: Extent, to: Extent, scale: f64) -> Vec<f64> {
    let (volume, voxels) = (from.iter().product::<usize>(), to.iter().product::<usize>());
    let mut out = vec![0.0; items * voxels];
    for (at, out) in out.iter_mut().enumerate() {
        let voxel = coordinates(at % voxels, to);
        let position = [0, 1, 2].map(|a| {
            let last = (to[a] - 1).max(1) as f64;
            voxel[a] as f64 * (from[a] - 1) as f64 / last
        });
        for source in 0..volume {
            let voxel = coordinates(source, from);
            let weight: f64 = (0..3)
                .map(|a| (1.0 - (position[a] - voxel[a] as f64).abs()).max(0.0))
                .product();
            debug_assert!(index(voxel.map(|v| v as i64), from) == Some(source));
            *out += scale * weight * x[at / voxels * volume + source];
        }
    }
    out
}
