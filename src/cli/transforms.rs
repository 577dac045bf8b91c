//! Transforms that a command line names: fields, affines and result folders of `hmorph register`.

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use nalgebra::Matrix4;

use crate::error::Error;
use crate::register::{RECORD, Transform};
use crate::volume::{DisplacementField, read_affine, read_field};

/// One `--transform`.
enum Source {
    /// A field, which can only be followed the way it was made.
    Field(DisplacementField),
    Affine(Matrix4<f64>),
    /// A result folder: both ways are known.
    Folder(PathBuf),
}

/// The transforms in the order they were given: the way from the reference to the image.
pub struct Transforms {
    sources: Vec<Source>,
}

/// Suffixes of affines; whatever else a transform is called must be a field.
const AFFINES: [&str; 4] = ["mat", "tfm", "txt", "lta"];

impl Transforms {
    /// # Errors
    /// A path that is neither a field, nor an affine, nor a result folder.
    pub fn read(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let sources = paths
            .iter()
            .map(|path| read(path))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { sources })
    }

    /// Whether a point's way can be told from an image's.
    pub fn know_both_ways(&self) -> bool {
        self.sources
            .iter()
            .any(|source| matches!(source, Source::Folder(_)))
    }

    /// From places of the reference to places of the images; `inverse` takes result folders the other way round.
    ///
    /// # Errors
    /// Unreadable fields.
    pub fn pull(&self, inverse: bool) -> anyhow::Result<Vec<Transform>> {
        let name = if inverse { "inverse" } else { "forward" };
        let one = |source: &Source| -> anyhow::Result<Transform> {
            Ok(match source {
                Source::Field(field) => Transform::field(field.clone())?,
                Source::Affine(matrix) => Transform::Affine(*matrix),
                Source::Folder(folder) => {
                    Transform::field(read_field(folder.join(format!("{name}.nii.gz")))?)?
                }
            })
        };
        self.sources.iter().map(one).collect()
    }

    /// From places of the images to places of the reference: the pull backwards.
    ///
    /// # Errors
    /// Unreadable fields; a field that is no result folder, whose inverse is not known.
    pub fn carry(&self, inverse: bool) -> anyhow::Result<Vec<Transform>> {
        let name = if inverse { "forward" } else { "inverse" };
        let one = |source: &Source| -> anyhow::Result<Transform> {
            Ok(match source {
                Source::Field(_) => bail!(
                    "landmarks need the inverse of what images need, which a field alone does not hold; give \
                     landmarks and images in separate calls, or only result folders as --transform"
                ),
                Source::Affine(matrix) => match matrix.try_inverse() {
                    Some(inverse) => Transform::Affine(inverse),
                    None => bail!("an affine among the transforms has no inverse"),
                },
                Source::Folder(folder) => {
                    Transform::field(read_field(folder.join(format!("{name}.nii.gz")))?)?
                }
            })
        };
        self.sources.iter().rev().map(one).collect()
    }
}

fn read(path: &Path) -> anyhow::Result<Source> {
    if path.is_dir() {
        ensure!(
            path.join(RECORD).is_file() && path.join("forward.nii.gz").is_file(),
            "{}: a folder, but not one of hmorph register (no {RECORD} and forward.nii.gz)",
            path.display()
        );
        return Ok(Source::Folder(path.to_path_buf()));
    }
    if !path.exists() {
        return Err(Error::io(path, std::io::ErrorKind::NotFound.into()).into());
    }
    let suffix = path
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default();
    if AFFINES.contains(&suffix.to_lowercase().as_str()) {
        return Ok(Source::Affine(read_affine(path)?.0));
    }
    Ok(Source::Field(read_field(path)?))
}
