//! Transforms that some method made, as fields on the fixed grid.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use ndarray::Axis;

use crate::cli::pairs::Row;
use crate::dataset::stem;
use crate::volume::resample::field_to;
use crate::volume::{DisplacementField, Geometry, read_field, read_voxel_field};

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
    let names = [
        format!("{id}.nii.gz"),
        format!("{id}.nii"),
        format!("{id}/forward.nii.gz"),
        format!(
            "{}_to_{}/forward.nii.gz",
            stem(&row.moving),
            stem(&row.fixed)
        ),
        format!("disp_{id}.nii.gz"),
        format!("disp_{id}.nii"),
    ];
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

/// Reads a field and brings it to the fixed grid.
pub fn read(path: &Path, units: FieldUnits, fixed: &Geometry) -> anyhow::Result<DisplacementField> {
    let field = match units {
        FieldUnits::Voxel => read_voxel_field(path, fixed)?,
        FieldUnits::Lps => {
            let field = read_field(path)?;
            let [found, expected] =
                [&field.geometry, fixed].map(|geometry| geometry.dimension.axes());
            ensure!(
                found == expected,
                "{}: a field of {found}-D images for {expected}-D images",
                path.display()
            );
            let same = field.geometry.shape == fixed.shape
                && (field.geometry.affine.0 - fixed.affine.0).amax() < 1e-3;
            if same {
                field
            } else {
                field_to(&field, fixed)?
            }
        }
    };
    let axes = fixed.dimension.axes();
    ensure!(
        field.data.len_of(Axis(0)) == axes,
        "{}: a field of {} components for {axes}-D images",
        path.display(),
        field.data.len_of(Axis(0))
    );
    Ok(field)
}
