//! Transforms that a command line names: fields, affines, composites and result folders of `hmorph register`.

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use nalgebra::Matrix4;

use super::spacing::PixelSpacing;
use crate::error::Error;
use crate::register::{RECORD, Transform, inverted};
use crate::volume::{
    Dimension, Geometry, Step, common_dimension, folder_of, read_field, read_transform,
    read_voxel_field,
};

/// The names of `--transform`, for the help of the commands that take it.
pub const TRANSFORMS_HELP: &str = "\
Transforms: a result folder of hmorph register; a displacement field (5-D NIfTI of LPS mm as ITK,
ANTs, greedy and Slicer write, also .mha and .nrrd; intent 1006 is RAS mm); an ITK composite (.h5,
.tfm); an affine (.mat, .tfm, .txt, .lta). Several are given in the order in which a place of the
reference travels to the image, as for antsApplyTransforms.
  inv:FILE   the other way round ([FILE,1] of ANTs): matrices exactly, fields by iteration (refused
             where it does not converge)
  l2r:FILE   a field in voxels of the reference grid, as Learn2Reg's disp_FFFF_MMMM (x, y, z, 3)
forward.nii.gz and inverse.nii.gz of a result folder contain its affine.mat, other than the warps of
ANTs: the folder alone is the whole transform.
A .txt matrix is RAS (greedy, c3d, NiftyReg), an ITK .txt is known by its first line. An .lta of
FreeSurfer maps the moving image to the fixed one, the other way than all else here; it is inverted
when it is read, so name it without inv:. FSL's matrices and warps are none of these: convert them
first (c3d_affine_tool -fsl2ras). `identity` is the transform that moves nothing: images are
resampled to the grid of the reference. Outside its own grid the field of a file moves nothing, as
for ITK and ANTs; the fields of result folders, and fields backwards (inv:), go on with the
displacement of their edge.";

/// Name of the transform that moves nothing.
const IDENTITY: &str = "identity";

/// The fields of a result folder.
const FORWARD: &str = "forward.nii.gz";
const INVERSE: &str = "inverse.nii.gz";
/// Their linear part, in a file of its own.
const AFFINE: &str = "affine.mat";

/// One `--transform`.
struct Source {
    kind: Kind,
    /// Named with `inv:`.
    backwards: bool,
    /// Of the images that the transforms are between, where their file says it.
    dimension: Option<Dimension>,
}

enum Kind {
    /// What a file holds, in the order in which a point goes through it.
    File(Vec<Transform>),
    /// A result folder: both ways are known.
    Folder(PathBuf),
}

/// A name of `--transform` without what stands before its file.
struct Name<'a> {
    path: &'a Path,
    /// Named with `inv:`.
    backwards: bool,
    /// Named with `l2r:`.
    in_voxels: bool,
}

impl<'a> Name<'a> {
    fn of(name: &'a str) -> Self {
        let inverse = name.strip_prefix("inv:");
        let name = inverse.unwrap_or(name);
        let voxels = name.strip_prefix("l2r:");
        Self {
            path: Path::new(voxels.unwrap_or(name)),
            backwards: inverse.is_some(),
            in_voxels: voxels.is_some(),
        }
    }
}

/// The file, or the folder and those of its files, that the transform of this name is read from.
pub fn files_of(name: &str) -> Vec<PathBuf> {
    let path = Name::of(name).path;
    match path.is_dir() {
        true => vec![path.into(), path.join(FORWARD), path.join(INVERSE)],
        false => vec![path.into()],
    }
}

/// The pixel size that pictures were given in the registration whose result folder is among `names`.
pub fn recorded_spacing(names: &[String]) -> Option<PixelSpacing> {
    names.iter().find_map(|name| {
        let text = std::fs::read(Name::of(name).path.join(RECORD)).ok()?;
        let record: serde_json::Value = serde_json::from_slice(&text).ok()?;
        serde_json::from_value(record["settings"]["reading"]["spacing"].clone()).ok()
    })
}

/// The transforms in the order they were given: the way from the reference to the image.
pub struct Transforms {
    sources: Vec<Source>,
}

impl Transforms {
    /// `reference` is the grid of fields in voxels.
    ///
    /// # Errors
    /// A name that is neither a field, nor an affine, nor a composite, nor a result folder; the field of a result folder
    /// beside the affine that it contains.
    pub fn read(names: &[String], reference: Option<&Geometry>) -> anyhow::Result<Self> {
        check_doubled(names)?;
        let sources = names.iter().map(|name| read(name, reference));
        Ok(Self {
            sources: sources.collect::<anyhow::Result<_>>()?,
        })
    }

    /// Of the images that the transforms are between: 2-D where every file that says it says so.
    pub fn dimension(&self) -> Dimension {
        let known = self.sources.iter().filter_map(|source| source.dimension);
        common_dimension(known).unwrap_or(Dimension::Three)
    }

    /// Whether a point's way can be told from an image's.
    pub fn know_both_ways(&self) -> bool {
        self.sources
            .iter()
            .any(|source| matches!(source.kind, Kind::Folder(_)))
    }

    /// From places of the reference to places of the images; `inverse` takes result folders the other way round.
    ///
    /// # Errors
    /// Unreadable fields, a matrix without inverse.
    pub fn pull(&self, inverse: bool) -> anyhow::Result<Vec<Transform>> {
        let mut chain = Vec::new();
        for source in &self.sources {
            chain.extend(source.pull(inverse)?);
        }
        Ok(chain)
    }

    /// From places of the images to places of the reference: the pull backwards.
    ///
    /// # Errors
    /// Unreadable fields; a field that is no result folder, whose inverse is not known.
    pub fn carry(&self, inverse: bool) -> anyhow::Result<Vec<Transform>> {
        let mut chain = Vec::new();
        for source in self.sources.iter().rev() {
            chain.extend(source.carry(inverse)?);
        }
        Ok(chain)
    }

    /// The way back of [`Self::pull`]: result folders by their inverse, all else inverted.
    ///
    /// # Errors
    /// Unreadable fields, a matrix without inverse.
    pub fn back(&self) -> anyhow::Result<Vec<Transform>> {
        let mut chain = Vec::new();
        for source in self.sources.iter().rev() {
            chain.extend(source.back()?);
        }
        Ok(chain)
    }
}

impl Source {
    fn back(&self) -> anyhow::Result<Vec<Transform>> {
        match &self.kind {
            Kind::Folder(folder) => Ok(vec![result(folder, !self.backwards)?]),
            Kind::File(chain) if self.backwards => Ok(chain.clone()),
            Kind::File(chain) => Ok(inverted(chain)?),
        }
    }

    fn pull(&self, inverse: bool) -> anyhow::Result<Vec<Transform>> {
        match &self.kind {
            Kind::Folder(folder) => Ok(vec![result(folder, inverse != self.backwards)?]),
            Kind::File(chain) if self.backwards => Ok(inverted(chain)?),
            Kind::File(chain) => Ok(chain.clone()),
        }
    }

    fn carry(&self, inverse: bool) -> anyhow::Result<Vec<Transform>> {
        match &self.kind {
            Kind::Folder(folder) => Ok(vec![result(folder, inverse == self.backwards)?]),
            Kind::File(chain) if self.backwards => Ok(chain.clone()),
            Kind::File(chain) => {
                let field = chain
                    .iter()
                    .any(|step| !matches!(step, Transform::Affine(_)));
                ensure!(
                    !field,
                    "landmarks need the inverse of what images need, which a field alone does not hold; give only result \
                     folders as --transform"
                );
                Ok(inverted(chain)?)
            }
        }
    }
}

/// One of the two fields of a result folder.
fn result(folder: &Path, inverse: bool) -> anyhow::Result<Transform> {
    let name = if inverse { INVERSE } else { FORWARD };
    Ok(Transform::field(read_field(folder.join(name))?)?)
}

fn read(name: &str, reference: Option<&Geometry>) -> anyhow::Result<Source> {
    let Name {
        path,
        backwards,
        in_voxels,
    } = Name::of(name);
    if path == Path::new(IDENTITY) && !path.exists() {
        return Ok(Source {
            kind: Kind::File(vec![Transform::Affine(Matrix4::identity())]),
            backwards,
            dimension: None,
        });
    }
    if !path.exists() {
        let problem = "no such transform: neither a file nor a folder";
        let inverse =
            inverse_of_ants(name).map(|file| format!("; for the inverse write inv:{file}"));
        return Err(Error::file(path, format!("{problem}{}", inverse.unwrap_or_default())).into());
    }
    let mut dimension = None;
    let kind = match (in_voxels, path.is_dir()) {
        (true, _) => {
            let Some(grid) = reference else {
                bail!(
                    "{}: a field in voxels needs --reference, whose grid they belong to",
                    path.display()
                );
            };
            Kind::File(vec![Transform::of(Step::Field(read_voxel_field(
                path, grid,
            )?))?])
        }
        (false, true) => folder(path)?,
        (false, false) => {
            let steps = read_transform(path)?;
            dimension = common_dimension(steps.iter().map(Step::dimension));
            let own = is_result(path);
            let transforms = steps.into_iter().map(|step| match step {
                Step::Field(field) if own => Transform::field(field),
                step => Transform::of(step),
            });
            Kind::File(transforms.collect::<crate::error::Result<_>>()?)
        }
    };
    Ok(Source {
        kind,
        backwards,
        dimension,
    })
}

/// The file of `[FILE,1]`, which is its inverse to ANTs.
fn inverse_of_ants(name: &str) -> Option<&str> {
    let (file, inverted) = name
        .strip_prefix('[')?
        .strip_suffix(']')?
        .rsplit_once(',')?;
    (inverted.trim() == "1").then_some(file)
}

fn is_named(path: &Path, name: &str) -> bool {
    path.file_name().is_some_and(|file| file == name)
}

/// Whether a file is one of the fields of a result folder, which is named here by itself.
fn is_result(path: &Path) -> bool {
    let field = is_named(path, FORWARD) || is_named(path, INVERSE);
    field && path.with_file_name(RECORD).is_file()
}

/// Refuses affine and field of one result folder in the same direction, as the two files of ANTs are given: the field would
/// move by the affine again. Against each other they leave what the field adds to the affine.
fn check_doubled(names: &[String]) -> anyhow::Result<()> {
    let files: Vec<Name> = names.iter().map(|name| Name::of(name)).collect();
    let folder = |file: &Name| folder_of(file.path).canonicalize().ok();
    let affines: Vec<&Name> = files
        .iter()
        .filter(|file| is_named(file.path, AFFINE))
        .collect();
    for field in files.iter().filter(|file| is_result(file.path)) {
        let inverse = is_named(field.path, INVERSE) != field.backwards;
        let same = |affine: &&Name| affine.backwards == inverse && folder(affine) == folder(field);
        if affines.iter().any(same) {
            let (file, place) = (field.path, folder_of(field.path).display());
            bail!(
                "{} already contains {AFFINE}; give -t {}{place} alone",
                file.display(),
                if inverse { "inv:" } else { "" }
            );
        }
    }
    Ok(())
}

fn folder(path: &Path) -> anyhow::Result<Kind> {
    ensure!(
        path.join(RECORD).is_file() && path.join(FORWARD).is_file(),
        "{}: a folder, but not one of hmorph register (no {RECORD} and {FORWARD})",
        path.display()
    );
    Ok(Kind::Folder(path.to_path_buf()))
}
