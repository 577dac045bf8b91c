//! What an Analyze 7.5 header (or SPM's variant) means, as nibabel reads it.

use super::super::Affine;
use super::super::dtype::Endian;
use super::super::fields::Fields;
use super::affine::base;
use super::header::Header;

/// Places the grid by SPM's `origin` field where it is sensible, else centred; x runs right to left.
pub(super) fn affine_of(
    bytes: &[u8],
    endian: Endian,
    shape: &[usize],
    spacing: [f64; 3],
) -> Affine {
    let origin: [f64; 3] = Fields::new(bytes, endian).values::<i16, 3>(253);
    let sizes = [0, 1, 2].map(|axis| shape.get(axis).copied().unwrap_or(1) as f64);
    let set = origin != [0.0; 3];
    let within = origin
        .iter()
        .zip(sizes)
        .all(|(&o, n)| o > -n && o < 2.0 * n);
    let mut affine = base(shape, spacing);
    if set && within {
        for (axis, voxel) in origin.into_iter().enumerate() {
            // The field counts voxels from 1.
            affine.0[(axis, 3)] = -(voxel - 1.0) * affine.0[(axis, axis)];
        }
    }
    affine
}

/// SPM's scaling, or the range fields of the original format.
pub(super) fn scale_of(header: &Header, bytes: &[u8]) -> Option<(f64, f64)> {
    let fields = Fields::new(bytes, header.endian);
    if header.slope != 0.0 && header.slope.is_finite() {
        let intercept = if header.intercept.is_finite() {
            header.intercept
        } else {
            0.0
        };
        return Some((header.slope, intercept));
    }
    let [cal_max, cal_min] = fields.values::<f32, 2>(124);
    let [gl_max, gl_min] = fields.values::<i32, 2>(140);
    let slope = (cal_max - cal_min) / (gl_max - gl_min);
    (slope.is_finite() && slope != 0.0).then_some((slope, cal_min - slope * gl_min))
}
