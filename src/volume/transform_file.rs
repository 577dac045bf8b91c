//! Transforms of any file: affines, displacement fields, and ITK's composites of both.

use std::path::Path;

use super::affine_file::{WorldAffine, read_dimensioned};
use super::field_file::read_field;
use super::format::file_name;
use super::{Dimension, DisplacementField, Format, itk};
use crate::error::{Error, Result};

/// One transform of a chain, a pull between RAS worlds.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Affine {
        affine: WorldAffine,
        /// Of the images that it is between, as far as its file says it.
        dimension: Dimension,
    },
    Field(DisplacementField),
}

impl Step {
    /// Of the images that it is between.
    pub fn dimension(&self) -> Dimension {
        match self {
            Self::Affine { dimension, .. } => *dimension,
            Self::Field(field) => field.geometry.dimension,
        }
    }
}

/// That of transforms together: 2-D where all of them are; `None` where there are none.
pub fn common_dimension(dimensions: impl Iterator<Item = Dimension>) -> Option<Dimension> {
    dimensions.max_by_key(|dimension| dimension.axes())
}

/// Reads a transform; the suffix says which kind it is. A point goes through the steps in the order given.
///
/// # Errors
/// A suffix that no transform has, or content that does not agree with it.
pub fn read_transform(path: impl AsRef<Path>) -> Result<Vec<Step>> {
    let path = path.as_ref();
    let name = file_name(path);
    match Path::new(&name).extension().and_then(|e| e.to_str()) {
        Some("h5" | "hdf5") => finite(path, itk::read_hdf5(path)?),
        Some("tfm") => {
            let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
            let steps = itk::from_text(&text).map_err(|problem| Error::file(path, problem))?;
            finite(path, steps)
        }
        Some("mat" | "txt" | "lta") => {
            let (affine, dimension) = read_dimensioned(path)?;
            Ok(vec![Step::Affine { affine, dimension }])
        }
        _ if Format::of(path).is_ok() => Ok(vec![Step::Field(read_field(path)?)]),
        _ => Err(Error::file(
            path,
            "not a transform by its suffix; use .nii.gz (field), .h5, .mat, .tfm, .txt or .lta",
        )),
    }
}

fn finite(path: &Path, steps: Vec<Step>) -> Result<Vec<Step>> {
    let known = |step: &Step| match step {
        Step::Affine { affine, .. } => affine.0.iter().all(|v| v.is_finite()),
        Step::Field(_) => true,
    };
    match steps.iter().all(known) {
        true => Ok(steps),
        false => Err(Error::file(
            path,
            "a matrix has entries that are not finite numbers",
        )),
    }
}

/// Writes an ITK composite transform (`.h5`) of the steps, given in the order in which a point goes through them.
///
/// # Errors
/// Transforms of 2-D and 3-D images in one file, refusals of the operating system.
pub fn write_composite(path: impl AsRef<Path>, steps: &[Step], dimension: Dimension) -> Result<()> {
    let identity = [Step::Affine {
        affine: WorldAffine::identity(),
        dimension,
    }];
    let steps = if steps.is_empty() { &identity } else { steps };
    itk::write_hdf5(path.as_ref(), steps, dimension)
}
