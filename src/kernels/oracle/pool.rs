//! Max-pooling from its definition.

use super::{coordinates, index};
use crate::kernels::Extent;

/// Greatest value of every window of `factor` voxels, left-over voxels dropped.
pub fn max2(x: &[f64], items: usize, extent: Extent, factor: [usize; 3]) -> Vec<f64> {
    let volume: usize = extent.iter().product();
    let pooled = [0, 1, 2].map(|a| extent[a] / factor[a]);
    let voxels: usize = pooled.iter().product();
    let mut out = vec![f64::NEG_INFINITY; items * voxels];
    for (at, out) in out.iter_mut().enumerate() {
        let corner = coordinates(at % voxels, pooled);
        for tap in 0..factor.iter().product() {
            let tap = coordinates(tap, factor);
            let from = [0, 1, 2].map(|a| (corner[a] * factor[a] + tap[a]) as i64);
            if let Some(from) = index(from, extent) {
                *out = out.max(x[at / voxels * volume + from]);
            }
        }
    }
    out
}
