//! Reading images and label maps of any format.

use std::iter;
use std::path::{Path, PathBuf};

use super::format::{Format, header_and_image};
use super::raw::{Intent, Offending, RawVolume};
use super::{Geometry, Image, LabelMap, Volume, colour, metaimage, mgh, nifti, nrrd, numpy, png};
use crate::error::{Error, Result};

/// Whether intensities or labels are wanted: an `.npz` holds both under different names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Image,
    Labels,
}

/// Reads an image as float32, after the file's own intensity scaling.
///
/// Sizes `(x, y)` and `(x, y, 1)` are 2-D images; `(1, y, z)` and `(x, 1, z)` are volumes. Further axes of size 1 are
/// dropped. Colours become Rec. 709 luminance, without alpha.
///
/// # Errors
/// An unreadable file, several volumes in it (see [`read_image_frame`]), a displacement field, or a value
/// beyond the float32 range.
pub fn read_image(path: impl AsRef<Path>) -> Result<Image> {
    read_image_frame(path, None)
}

/// Reads one volume of a file that may hold several; frames count from 0 along the fourth and further axes.
///
/// # Errors
/// As [`read_image`]; with `None` a file of several volumes is refused, with `Some` a frame it does not have.
pub fn read_image_frame(path: impl AsRef<Path>, frame: Option<usize>) -> Result<Image> {
    let path = path.as_ref();
    let raw = read_raw(path, Role::Image)?;
    image_in(path, &raw, frame)
}

/// The volume that `frame` chooses, of colours the luminance.
pub(crate) fn image_in(path: &Path, raw: &RawVolume, frame: Option<usize>) -> Result<Image> {
    let frame = choose_frame(path, raw, frame)?;
    match raw.intent {
        Intent::Colour => Ok(colour::luminance(&volumes_of(path, raw)?)),
        _ => image_of(path, raw, frame),
    }
}

/// All frames, or all channels of colours, as float32.
pub(crate) fn volumes_of(path: &Path, raw: &RawVolume) -> Result<Vec<Image>> {
    (0..raw.frames())
        .map(|frame| image_of(path, raw, frame))
        .collect()
}

/// One frame or channel as float32.
pub(crate) fn image_of(path: &Path, raw: &RawVolume, frame: usize) -> Result<Image> {
    let float = |value: f64| {
        let narrow = value as f32;
        (narrow.is_finite() || !value.is_finite()).then_some(narrow)
    };
    let data = raw.frame(frame, float).map_err(|o| {
        let problem = format!(
            "{} is beyond the range of float32; rescale the image",
            describe(o)
        );
        Error::file(path, problem)
    })?;
    Ok(Volume {
        data,
        geometry: raw.geometry(),
    })
}

/// Reads a label map; labels may be stored as any type as long as they are whole numbers.
///
/// # Errors
/// An unreadable file, several volumes in it, colours, or a value that is not a whole number of 32 bits.
pub fn read_labels(path: impl AsRef<Path>) -> Result<LabelMap> {
    let path = path.as_ref();
    let raw = read_raw(path, Role::Labels)?;
    // Grey with alpha has its labels in the first channel.
    if raw.intent == Intent::Colour && raw.frames() > 2 {
        let problem =
            "a colour image is not a label map; save the labels as 8 or 16 bit grey values";
        return Err(Error::file(path, problem));
    }
    check_scalar(path, &raw)?;
    if raw.intent != Intent::Colour && raw.frames() > 1 {
        let problem = format!(
            "{}-D labels ({}); one label map is needed: take a volume out of the file first",
            raw.shape.len(),
            raw.shape_text()
        );
        return Err(Error::file(path, problem));
    }
    let data = raw.frame(0, label).map_err(|o| {
        let problem = format!(
            "{} is not a label; expected whole numbers of 32 bits",
            describe(o)
        );
        Error::file(path, problem)
    })?;
    Ok(Volume {
        data,
        geometry: raw.geometry(),
    })
}

/// Scaled integers come out a little beside the whole number; a label with a real fraction does not pass.
fn label(value: f64) -> Option<i32> {
    let whole = value.round();
    let in_range = whole >= f64::from(i32::MIN) && whole <= f64::from(i32::MAX);
    (in_range && (value - whole).abs() <= 1e-4).then_some(whole as i32)
}

fn describe(offending: Offending) -> String {
    let [i, j, k] = offending.index;
    format!("value {} at voxel ({i}, {j}, {k})", offending.value)
}

/// The grid of a file of any kind, also of a displacement field; of an `.npz` that of its image.
///
/// # Errors
/// An unreadable file.
pub fn read_geometry(path: impl AsRef<Path>) -> Result<Geometry> {
    Ok(read_raw(path.as_ref(), Role::Image)?.geometry())
}

/// The files that an image is read from: `path`, and the one that holds its voxels or its header beside it.
pub fn image_files(path: &Path) -> Vec<PathBuf> {
    let beside = match Format::of(path) {
        Ok(Format::NiftiPair) => header_and_image(path).map(|(header, image)| vec![header, image]),
        Ok(Format::MetaImage) => metaimage::data_file(path).map(Vec::from_iter),
        Ok(Format::Nrrd) => nrrd::data_file(path).map(Vec::from_iter),
        _ => Ok(Vec::new()),
    };
    // Of a file that cannot be read its reader tells.
    let beside = beside.unwrap_or_default().into_iter();
    let others = beside.filter(|file| file != path);
    iter::once(path.to_path_buf()).chain(others).collect()
}

/// Decodes the header and takes the voxels as bytes, whatever the format.
pub(crate) fn read_raw(path: &Path, role: Role) -> Result<RawVolume> {
    match Format::of(path)? {
        Format::Nifti => nifti::read_single(path),
        Format::NiftiPair => nifti::read_pair(path),
        Format::Mgh => mgh::read(path),
        Format::MetaImage => metaimage::read(path),
        Format::Nrrd => nrrd::read(path),
        Format::Png => png::read(path),
        Format::Npy => numpy::read_npy(path),
        Format::Npz => numpy::read_npz(path, role),
    }
}

/// # Errors
/// Vectors where intensities are wanted.
pub(crate) fn check_scalar(path: &Path, raw: &RawVolume) -> Result<()> {
    let a_field = |intent: i32| {
        format!("a displacement field (intent {intent}), not an image; pass it as a transform")
    };
    let problem = match raw.intent {
        Intent::Image | Intent::Colour => return Ok(()),
        Intent::Displacement => a_field(1007),
        Intent::DisplacementRas => a_field(1006),
        Intent::Deformation(what) => what.to_string(),
        Intent::Channels => format!(
            "{} values a voxel; an image has one (a displacement field is passed as a transform)",
            raw.frames()
        ),
    };
    Err(Error::file(path, problem))
}

fn choose_frame(path: &Path, raw: &RawVolume, frame: Option<usize>) -> Result<usize> {
    check_scalar(path, raw)?;
    let frames = match raw.intent {
        Intent::Colour => 1,
        _ => raw.frames(),
    };
    let axes = raw.shape.len();
    let last = frames - 1;
    match frame {
        None if frames == 1 => Ok(0),
        Some(frame) if frame < frames => Ok(frame),
        None => Err(Error::file(
            path,
            format!(
                "{axes}-D image ({}); one volume is needed: take it out of the file first (hmorph register chooses it \
                 by --fixed-frame N or --moving-frame N, 0 to {last}, or takes all of MOVING by --all-frames)",
                raw.shape_text()
            ),
        )),
        Some(frame) => {
            let problem = format!(
                "no frame {frame}; the image ({}) has 0 to {last}",
                raw.shape_text()
            );
            Err(Error::file(path, problem))
        }
    }
}
