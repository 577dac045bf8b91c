//! Transforms that some method made, as fields on the fixed grid.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use ndarray::Axis;

use crate::cli::pairs::Row;
use crate::cli::transforms::Transforms;
use crate::dataset::stem;
use crate::register::compose;
use crate::volume::{DisplacementField, Format, Geometry, read_field, read_voxel_field};

/// What the vectors of a field file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldUnits {
    /// Millimetres, left-posterior-superior: ITK, ANTs, hmorph
    Lps,
    /// Voxels of the fixed grid, component by axis: Learn2Reg, VoxelMorph
    Voxel,
}

/// The file of a pair's transform.
pub fn find(row: &Row, folder: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = &row.transform {
        return Ok(match path.is_dir() {
            true => path.join("forward.nii.gz"),
            false => path.clone(),
        });
    }
    let folder = folder.with_context(|| {
        format!(
            "pair {}: no transform in the list; fill the column or give --transforms",
            row.id
        )
    })?;
    let id = &row.id;
    let by_scans = format!("{}_to_{}", stem(&row.moving), stem(&row.fixed));
    let mut names = vec![
        format!("{id}.nii.gz"),
        format!("{id}.nii"),
        format!("{id}/forward.nii.gz"),
        format!("disp_{id}.nii.gz"),
        format!("disp_{id}.nii"),
    ];
    if *id != by_scans {
        names.push(format!("{by_scans}/forward.nii.gz"));
    }
    let found = names
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file());
    found.with_context(|| {
        format!(
            "pair {id}: no transform in {}; expected {}",
            folder.display(),
            names.join(" or ")
        )
    })
}

/// Reads a field and brings it to the fixed grid; affines and composites become one there, by the rules of `hmorph apply`.
pub fn read(path: &Path, units: FieldUnits, fixed: &Geometry) -> anyhow::Result<DisplacementField> {
    let axes = fixed.dimension.axes();
    if Format::of(path).is_ok() {
        let field = match units {
            FieldUnits::Voxel => read_voxel_field(path, fixed)?,
            FieldUnits::Lps => read_field(path)?,
        };
        let found = field.data.len_of(Axis(0));
        ensure!(
            found == axes,
            "{}: a field of {found} components for {axes}-D images",
            path.display()
        );
        if is_on(&field, fixed) {
            return Ok(field);
        }
    }
    let name = path.display().to_string();
    let transforms = Transforms::read(&[name], Some(fixed))?.pull(false)?;
    Ok(compose(&transforms, fixed)?)
}

/// Whether a field is on this grid, but for rounding.
fn is_on(field: &DisplacementField, grid: &Geometry) -> bool {
    field.geometry.shape == grid.shape && (field.geometry.affine.0 - grid.affine.0).amax() < 1e-3
}
