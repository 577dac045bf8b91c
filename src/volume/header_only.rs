//! Moving an image by its header alone: other affine, the same bytes of voxels.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use nalgebra::Matrix4;

use super::format::is_gzip_name;
use super::io::write_stream;
use super::read::{Role, check_scalar, read_raw};
use super::{Affine, Format, World, WorldAffine, mgh, nifti};
use crate::error::{Error, Result};

/// Writes the image `source` to `target` with its voxels where the inverse of `pull` takes them: what `pull` would
/// bring to the fixed world by resampling lies there without. Everything else of the file stays as it is.
///
/// # Errors
/// Files other than single-file NIfTI and MGH, vectors, another format of the target, a singular `pull`, shear where the
/// format has none (MGH), refusals of the operating system.
pub fn move_header(
    source: impl AsRef<Path>,
    target: impl AsRef<Path>,
    pull: &WorldAffine,
) -> Result<()> {
    let (source, target) = (source.as_ref(), target.as_ref());
    let at = |problem: String| Error::file(source, problem);
    let format = Format::of(source)?;
    if Format::of(target)? != format {
        return Err(Error::file(
            target,
            "a change of the header alone keeps the format; choose the same suffix",
        ));
    }
    // Checks the whole file before anything is written.
    let raw = read_raw(source, Role::Image)?;
    // The header moves places, but does not turn the vectors that stand there.
    check_scalar(source, &raw)?;
    let push = pull
        .inverse()
        .ok_or_else(|| at("the transform has no inverse".into()))?;
    let affine = moved(&push.0, &raw.affine).map_err(at)?;
    let mut bytes = content(source).map_err(|e| Error::io(source, e))?;
    match format {
        Format::Nifti => {
            nifti::replace_affine(&mut bytes, &affine, World::ALIGNED).map_err(at)?;
        }
        Format::Mgh => mgh::replace_affine(&mut bytes, &raw.geometry(), &affine).map_err(at)?,
        _ => {
            return Err(at(
                "only NIfTI and MGH are moved by their header alone; resample it with -r".into(),
            ));
        }
    }
    write_stream(target, |out| out.write_all(&bytes))
}

fn moved(push: &Matrix4<f64>, affine: &Affine) -> Result<Affine, String> {
    Affine::checked(push * affine.0).map_err(|problem| format!("the moved affine {problem}"))
}

/// The file's bytes, decompressed where its name says so.
fn content(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = BufReader::new(File::open(path)?);
    let mut bytes = Vec::new();
    match is_gzip_name(path) {
        true => MultiGzDecoder::new(file).read_to_end(&mut bytes)?,
        false => file.read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}
