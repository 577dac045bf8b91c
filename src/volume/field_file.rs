//! Displacement fields on disk.
//!
//! In memory a field is in voxels along the voxel axes. On disk the vectors are the same displacements
//!
//! * in LPS millimetres (`diag(-1, -1, 1) * linear * u`, with `linear` the 3x3 part of the grid's RAS affine): 5-D NIfTI
//!   of vector intent 1007, as ITK, ANTs, greedy and Slicer have it; read also from MetaImage and NRRD. A 3-D field has
//!   sizes `(x, y, z, 1, 3)`. A 2-D field has `(x, y, 1, 1, 2)`, the plane being the world's x-y plane as for ITK's 2-D
//!   images; a slice that lies otherwise in the world keeps all three components;
//! * in RAS millimetres: 5-D NIfTI of intent 1006, as mri_synthmorph has it; only read;
//! * in voxels: 4-D NIfTI of sizes `(x, y, z, 3)`, as Learn2Reg has it ([`read_voxel_field`]). Nothing in such a file says
//!   so, hence whoever names the file must.

use std::path::Path;

use nalgebra::{Matrix3, Vector3};
use ndarray::{Array3, Array4, Axis};

use super::dtype::{DType, Encoding, Endian};
use super::format::Format;
use super::placement::{flip, in_axial_plane};
use super::raw::{Intent, RawVolume};
use super::read::{Role, read_raw};
use super::write::{Content, encode, write_content};
use super::{Dimension, DisplacementField, Geometry, nifti};
use crate::error::{Error, Result};

const INTENT_VECTOR: i16 = 1007;
const VECTORS: Encoding = Encoding {
    dtype: DType::F32,
    scale: None,
};
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
    let planes = to_lps(field, components);
    let [x, y, z] = geometry.shape;
    let content = nifti::Content {
        shape: &[x, y, z, 1, components],
        geometry,
        encoding: VECTORS,
        channels: 1,
        intent_code: INTENT_VECTOR,
        frame_step: None,
        note,
    };
    nifti::write(path, &content, |out| {
        let mut planes = planes.iter();
        planes.try_for_each(|plane| out.write_all(&encode(plane, VECTORS, Endian::Little)))
    })
}

/// Writes a field in voxels as Learn2Reg has it: `(x, y, z, 3)`, of a 2-D field `(x, y, 1, 2)`.
///
/// # Errors
/// A format without such series, and refusals of the operating system.
pub fn write_voxel_field(
    path: impl AsRef<Path>,
    field: &DisplacementField,
    note: &str,
) -> Result<()> {
    let components = field.data.len_of(Axis(0));
    let content = Content {
        geometry: &field.geometry,
        trailing: &[components],
        channels: 1,
        frame_step: None,
        encoding: VECTORS,
        note,
    };
    write_content(path.as_ref(), &content, |endian, out| {
        let mut planes = field.data.axis_iter(Axis(0));
        planes.try_for_each(|plane| out.write_all(&encode(&plane.to_owned(), VECTORS, endian)))
    })
}

/// Reads a field into voxels of its own grid.
///
/// # Errors
/// A file without vectors in millimetres, vectors that are not finite, and 2-D fields that leave their slice.
pub fn read_field(path: impl AsRef<Path>) -> Result<DisplacementField> {
    let path = path.as_ref();
    let raw = read_raw(path, Role::Image)?;
    let at = |problem: String| Error::file(path, problem);
    check_kind(&raw).map_err(at)?;
    let geometry = raw.geometry();
    let vectors = components(path, &raw)?;
    let to_world = match raw.intent {
        Intent::DisplacementRas => Matrix3::identity(),
        _ => flip(),
    };
    let to_voxels = to_voxels(&geometry, &to_world, vectors.len()).map_err(at)?;
    let data = displacements(&geometry, &vectors, &to_voxels).map_err(at)?;
    Ok(DisplacementField { data, geometry })
}

/// Reads a field in voxels of the grid it is for; the header's own place means nothing (challenges leave it empty).
///
/// # Errors
/// Another size or number of components than the grid has, vectors that are not finite.
pub fn read_voxel_field(path: impl AsRef<Path>, grid: &Geometry) -> Result<DisplacementField> {
    let path = path.as_ref();
    let raw = read_raw(path, Role::Image)?;
    let axes = grid.dimension.axes();
    let vectors = raw.intent != Intent::Image;
    if vectors || raw.grid() != grid.shape || raw.frames() != axes {
        let [i, j, k] = grid.shape;
        let problem = format!(
            "not a field in voxels of this grid: {}{}; expected {i}x{j}x{k}x{axes}",
            raw.shape_text(),
            if vectors { " with vectors in mm" } else { "" }
        );
        return Err(Error::file(path, problem));
    }
    let planes = components(path, &raw)?;
    let views: Vec<_> = planes.iter().map(|plane| plane.view()).collect();
    let data = ndarray::stack(Axis(0), &views).expect("components of one shape");
    Ok(DisplacementField {
        data,
        geometry: grid.clone(),
    })
}

/// The values of each component; all must be finite.
fn components(path: &Path, raw: &RawVolume) -> Result<Vec<Array3<f32>>> {
    let one = |component| {
        let plane = raw.frame(component, |v| v.is_finite().then_some(v as f32));
        plane.map_err(|o| {
            let problem = format!("vector component {} at voxel {:?}", o.value, o.index);
            Error::file(path, problem)
        })
    };
    (0..raw.frames()).map(one).collect()
}

/// # Errors
/// What is no displacement field in millimetres.
pub(super) fn check_kind(raw: &RawVolume) -> Result<(), String> {
    let shape = raw.shape_text();
    match raw.intent {
        Intent::Image | Intent::Colour => {
            return Err(format!(
                "not a displacement field: {shape} without vector intent; expected 5-D NIfTI with intent 1007 (a field \
                 in voxels, as Learn2Reg's, is named as l2r:FILE)"
            ));
        }
        Intent::Deformation(what) => return Err(what.into()),
        Intent::Displacement | Intent::DisplacementRas | Intent::Channels => {}
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

/// The first `components` of the displacements in LPS millimetres.
pub(super) fn to_lps(field: &DisplacementField, components: usize) -> Vec<Array3<f32>> {
    let geometry = &field.geometry;
    let linear = flip() * geometry.affine.linear();
    let plane = |component: usize| {
        let row = linear.row(component);
        Array3::from_shape_fn(geometry.shape, |(i, j, k)| {
            let axes = 0..geometry.dimension.axes();
            let sum: f64 = axes
                .map(|c| row[c] * f64::from(field.data[[c, i, j, k]]))
                .sum();
            sum as f32
        })
    };
    (0..components).map(plane).collect()
}

/// Displacements in voxels from components in LPS millimetres.
pub(super) fn from_lps(
    geometry: &Geometry,
    vectors: &[Array3<f32>],
) -> Result<Array4<f32>, String> {
    let to_voxels = to_voxels(geometry, &flip(), vectors.len())?;
    displacements(geometry, vectors, &to_voxels)
}

fn components_on_disk(geometry: &Geometry) -> usize {
    if geometry.dimension == Dimension::Three || !in_axial_plane(&geometry.affine) {
        3
    } else {
        2
    }
}

/// From vectors of the file, which `to_ras` turns into RAS, to voxels; with two components the third row and column are
/// left out.
fn to_voxels(
    geometry: &Geometry,
    to_ras: &Matrix3<f64>,
    components: usize,
) -> Result<Matrix3<f64>, String> {
    let mut linear = geometry.affine.linear();
    if components == 2 {
        if !in_axial_plane(&geometry.affine) {
            return Err(
                "2-D field on a slice that is not axial: its two components are ambiguous".into(),
            );
        }
        for axis in 0..2 {
            (linear[(axis, 2)], linear[(2, axis)]) = (0.0, 0.0);
        }
    }
    let inverse = linear.try_inverse();
    let inverse = inverse.ok_or_else(|| "affine of the field is singular".to_string())?;
    Ok(inverse * to_ras)
}

fn displacements(
    geometry: &Geometry,
    vectors: &[Array3<f32>],
    to_voxels: &Matrix3<f64>,
) -> Result<Array4<f32>, String> {
    let [i, j, k] = geometry.shape;
    let axes = geometry.dimension.axes();
    let mut data = Array4::zeros((axes, i, j, k));
    for (index, _) in vectors[0].indexed_iter() {
        let third = vectors.get(2).map_or(0.0, |component| component[index]);
        let vector = [vectors[0][index], vectors[1][index], third].map(f64::from);
        let u = to_voxels * Vector3::from(vector);
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
