//! Nearest upsampling with concatenation from its definition.

use super::coordinates;
use crate::kernels::Extent;

/// Shapes as [`crate::kernels::upsample::nearest_concat`].
pub fn nearest_concat(
    low: &[f64],
    low_extent: Extent,
    cl: usize,
    skip: &[f64],
    skip_extent: Extent,
    cs: usize,
    n: usize,
) -> Vec<f64> {
    let (small, large) = (
        low_extent.iter().product::<usize>(),
        skip_extent.iter().product::<usize>(),
    );
    let mut out = Vec::new();
    for item in 0..n {
        for channel in 0..cl {
            for at in 0..large {
                let voxel = coordinates(at, skip_extent);
                let [z, y, x] = [0, 1, 2].map(|a| {
                    let same = low_extent[a] == skip_extent[a];
                    let from = if same { voxel[a] } else { voxel[a] / 2 };
                    from.min(low_extent[a] - 1)
                });
                let from = (z * low_extent[1] + y) * low_extent[2] + x;
                out.push(low[(item * cl + channel) * small + from]);
            }
        }
        out.extend_from_slice(&skip[item * cs * large..][..cs * large]);
    }
    out
}
