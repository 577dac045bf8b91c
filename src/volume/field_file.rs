//! Displacement fields on disk: 5-D NIfTI, vector intent 1007, LPS millimetres, as ITK, ANTs and Slicer read.
//!
//! In memory a field is in voxels along the voxel axes; on disk the vectors are the same displacements in the
//! world: `LPS = diag(-1, -1, 1) * linear * u`, with `linear` the 3x3 part of the grid's RAS affine. A 3-D field has
//! sizes `(x, y, z, 1, 3)`. A 2-D field has `(x, y, 1, 1, 2)`, the plane being the world's x-y plane as for
//! ITK's 2-D images; a slice that lies otherwise in the world keeps all three components.

use std::path::Path;

use nalgebra::{Matrix3, Vector3};
use ndarray::{Array3, Array4};

use super::dtype::{DType, Endian};
use super::format::Format;
use super::raw::{Intent, RawVolume};
use super::read::{Role, read_raw};
use super::write::encode;
use super::{Affine, Dimension, DisplacementField, Geometry, nifti};
use crate::error::{Error, Result};

const INTENT_VECTOR: i16 = 1007;
/// Voxels that a vector of a 2-D field may leave its slice by, for rounding.
const OUT_OF_SLICE: f64 = 1e-3;

/// Writes a field as `.nii` or `.nii.gz`.
///
/// # Errors
/// Another suffix, and refusals of the operating system.
pub fn write_field(path: impl AsRef<Path>, field: &DisplacementField, note: &str) -> Result<()> {
    let path = path.as_ref();
    if Format::of(path)? != Format::Nifti {
        return Err(Error::file(
            path,
            "displacement fields are written as .nii or .nii.gz",
        ));
    }
    let geometry = &field.geometry;
    let components = components_on_disk(geometry);
    let to_lps = to_lps(&geometry.affine);
    let mut voxels = Vec::new();
    for component in 0..components {
        let row = to_lps.row(component);
        let millimetres = |(i, j, k)| {
            let axes = 0..geometry.dimension.axes();
            let sum: f64 = axes
                .map(|c| row[c] * f64::from(field.data[[c, i, j, k]]))
                .sum();
            sum as f32
        };
        let plane = Array3::from_shape_fn(geometry.shape, millimetres);
        voxels.extend(encode(&plane, DType::F32, Endian::Little));
    }
    let [x, y, z] = geometry.shape;
    let content = nifti::Content {
        shape: &[x, y, z, 1, components],
        affine: &geometry.affine,
        dtype: DType::F32,
        intent_code: INTENT_VECTOR,
        note,
    };
    nifti::write(path, &content, &voxels)
}

/// Reads a field into voxels of its own grid.
///
/// # Errors
/// Anything but a 5-D NIfTI with intent 1007, vectors that are not finite, and 2-D fields that leave their slice.
pub fn read_field(path: impl AsRef<Path>) -> Result<DisplacementField> {
    let path = path.as_ref();
    let raw = read_raw(path, Role::Image)?;
    let at = |problem: String| Error::file(path, problem);
    check_kind(&raw).map_err(at)?;
    let geometry = raw.geometry();
    let vectors: Vec<Array3<f32>> = (0..raw.frames())
        .map(|component| raw.frame(component, |v| v.is_finite().then_some(v as f32)))
        .collect::<Result<_, _>>()
        .map_err(|o| {
            at(format!(
                "vector component {} at voxel {:?}",
                o.value, o.index
            ))
        })?;
    let from_lps = from_lps(&geometry, vectors.len()).map_err(at)?;
    let data = displacements(&geometry, &vectors, &from_lps).map_err(at)?;
    Ok(DisplacementField { data, geometry })
}

fn check_kind(raw: &RawVolume) -> Result<(), String> {
    let shape = raw.shape_text();
    if raw.intent != Intent::Displacement {
        return Err(format!(
            "not a displacement field: {shape} without vector intent; expected 5-D NIfTI with intent 1007"
        ));
    }
    let flat = raw.grid()[2] == 1;
    match raw.shape[..] {
        [_, _, _, 1, 3] => Ok(()),
        [_, _, 1, 1, 2] if flat => Ok(()),
        _ => Err(format!(
            "field of sizes {shape}; expected (x, y, z, 1, 3) or (x, y, 1, 1, 2)"
        )),
    }
}

/// Rows: LPS components; columns: voxel axes.
fn to_lps(affine: &Affine) -> Matrix3<f64> {
    Matrix3::from_diagonal(&Vector3::new(-1.0, -1.0, 1.0)) * affine.linear()
}

fn components_on_disk(geometry: &Geometry) -> usize {
    if geometry.dimension == Dimension::Three || !in_axial_plane(&geometry.affine) {
        3
    } else {
        2
    }
}

/// Whether the first two voxel axes stay at one height in the world.
fn in_axial_plane(affine: &Affine) -> bool {
    let linear = affine.linear();
    let spacing = affine.spacing();
    (0..2).all(|axis| linear[(2, axis)].abs() <= 1e-6 * spacing[axis])
}

/// The inverse of [`to_lps`]; with two components the third row and column are left out.
fn from_lps(geometry: &Geometry, components: usize) -> Result<Matrix3<f64>, String> {
    let mut forward = to_lps(&geometry.affine);
    if components == 2 {
        if !in_axial_plane(&geometry.affine) {
            return Err(
                "2-D field on a slice that is not axial: its two components are ambiguous".into(),
            );
        }
        for axis in 0..2 {
            (forward[(axis, 2)], forward[(2, axis)]) = (0.0, 0.0);
        }
    }
    forward
        .try_inverse()
        .ok_or_else(|| "affine of the field is singular".to_string())
}

fn displacements(
    geometry: &Geometry,
    vectors: &[Array3<f32>],
    from_lps: &Matrix3<f64>,
) -> Result<Array4<f32>, String> {
    let [i, j, k] = geometry.shape;
    let axes = geometry.dimension.axes();
    let mut data = Array4::zeros((axes, i, j, k));
    for (index, _) in vectors[0].indexed_iter() {
        let third = vectors.get(2).map_or(0.0, |component| component[index]);
        let lps = [vectors[0][index], vectors[1][index], third].map(f64::from);
        let u = from_lps * Vector3::from(lps);
        if axes == 2 && u.z.abs() > OUT_OF_SLICE {
            return Err(format!(
                "vector at voxel {index:?} leaves the slice by {} voxels",
                u.z
            ));
        }
        for axis in 0..axes {
            data[[axis, index.0, index.1, index.2]] = u[axis] as f32;
        }
    }
    Ok(data)
}
