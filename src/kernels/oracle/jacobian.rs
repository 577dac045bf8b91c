//! Jacobian determinant from its definition.

use nalgebra::Matrix3;

use super::coordinates;
use crate::kernels::Extent;

/// Determinant of the derivative of `x + u(x)`; shapes as [`crate::kernels::jacobian::determinant`].
pub fn determinant(u: &[f64], nf: usize, extent: Extent) -> Vec<f64> {
    let voxels: usize = extent.iter().product();
    let strides = [extent[1] * extent[2], extent[2], 1];
    let mut out = Vec::new();
    for item in u.chunks_exact(nf * voxels) {
        for at in 0..voxels {
            let voxel = coordinates(at, extent);
            let mut jacobian = Matrix3::identity();
            for component in 0..nf {
                let values = &item[component * voxels..][..voxels];
                for axis in 3 - nf..3 {
                    let back = voxel[axis].min(1);
                    let ahead = (extent[axis] - 1 - voxel[axis]).min(1);
                    if back + ahead > 0 {
                        let rise =
                            values[at + ahead * strides[axis]] - values[at - back * strides[axis]];
                        jacobian[(component + 3 - nf, axis)] += rise / (back + ahead) as f64;
                    }
                }
            }
            out.push(jacobian.determinant());
        }
    }
    out
}
