//! Box sums from their definition.

use super::{coordinates, index};
use crate::kernels::Extent;

/// Sum over the window around every voxel, zeros outside.
pub fn box_sum(x: &[f64], items: usize, extent: Extent, window: [usize; 3]) -> Vec<f64> {
    let volume: usize = extent.iter().product();
    let mut out = vec![0.0; items * volume];
    for (at, out) in out.iter_mut().enumerate() {
        let voxel = coordinates(at % volume, extent).map(|v| v as i64);
        for tap in 0..window.iter().product() {
            let tap = coordinates(tap, window).map(|v| v as i64);
            let from = [0, 1, 2].map(|a| voxel[a] + tap[a] - (window[a] / 2) as i64);
            if let Some(from) = index(from, extent) {
                *out += x[at / volume * volume + from];
            }
        }
    }
    out
}
