//! Displacement fields as transforms: the vectors (LPS mm, those of a voxel together, first axis fastest) are the
//! parameters; the fixed parameters are sizes, origin, spacing and directions (by rows) of the grid.

use nalgebra::{DMatrix, DVector};
use ndarray::Array3;

use super::super::field_file::{from_lps, to_lps};
use super::super::placement::{Placement, is_planar};
use super::super::{Dimension, DisplacementField, Geometry};
use super::Stored;

pub(super) const CLASS: &str = "DisplacementFieldTransform";

pub(super) fn field(stored: &Stored, axes: usize) -> Result<DisplacementField, String> {
    let geometry = geometry(&stored.fixed, axes)?;
    let voxels = geometry
        .shape
        .iter()
        .try_fold(1_usize, |n, &size| n.checked_mul(size));
    if voxels.and_then(|n| n.checked_mul(axes)) != Some(stored.parameters.len()) {
        return Err(format!(
            "{} parameters for a field of {:?} voxels and {axes} components",
            stored.parameters.len(),
            geometry.shape
        ));
    }
    if stored.parameters.iter().any(|v| !v.is_finite()) {
        return Err("the field has vectors that are not finite numbers".into());
    }
    let [ni, nj, _] = geometry.shape;
    let component = |c: usize| {
        let at = |(i, j, k): (usize, usize, usize)| {
            stored.parameters[(i + ni * (j + nj * k)) * axes + c]
        };
        Array3::from_shape_fn(geometry.shape, |voxel| at(voxel) as f32)
    };
    let vectors: Vec<Array3<f32>> = (0..axes).map(component).collect();
    let data = from_lps(&geometry, &vectors)?;
    Ok(DisplacementField { data, geometry })
}

fn geometry(fixed: &[f64], axes: usize) -> Result<Geometry, String> {
    if fixed.len() != axes * (axes + 3) {
        return Err(format!(
            "{} fixed parameters of a {axes}-D field; expected {}",
            fixed.len(),
            axes * (axes + 3)
        ));
    }
    let mut shape = [1; 3];
    for (size, &stored) in shape.iter_mut().zip(&fixed[..axes]) {
        if !(stored >= 1.0 && stored.fract() == 0.0 && stored < 65536.0) {
            return Err(format!("the field has a size of {stored} voxels"));
        }
        *size = stored as usize;
    }
    let placement = Placement {
        origin: DVector::from_column_slice(&fixed[axes..2 * axes]),
        spacing: fixed[2 * axes..3 * axes].to_vec(),
        directions: DMatrix::from_row_slice(axes, axes, &fixed[3 * axes..]),
    };
    let affine = placement
        .affine()
        .map_err(|problem| format!("the field's {problem}"))?;
    let dimension = if shape[2] == 1 {
        Dimension::Two
    } else {
        Dimension::Three
    };
    Ok(Geometry::new(shape, dimension, affine))
}

/// As ITK keeps it: 2-D of a slice in the world's x-y plane at height 0, else 3-D.
pub(super) fn stored(field: &DisplacementField) -> Stored {
    let geometry = &field.geometry;
    let axes = if is_planar(geometry) { 2 } else { 3 };
    let planes = to_lps(field, axes);
    // Fortran order within each component, the components of a voxel together.
    let mut parameters = vec![0.0; geometry.voxels() * axes];
    for (c, plane) in planes.iter().enumerate() {
        let values = plane.view().reversed_axes();
        for (n, &value) in values.iter().enumerate() {
            parameters[n * axes + c] = f64::from(value);
        }
    }
    let Placement {
        directions,
        spacing,
        origin,
    } = Placement::of(geometry);
    let sizes = geometry.shape[..axes].iter().map(|&n| n as f64);
    let fixed = sizes.chain(origin.iter().copied()).chain(spacing);
    Stored {
        class: format!("{CLASS}_double_{axes}_{axes}"),
        parameters,
        fixed: fixed
            .chain(directions.transpose().iter().copied())
            .collect(),
    }
}
