//! Writing images and label maps; the suffix chooses the format.

use std::io::{self, Write};
use std::path::Path;

use ndarray::Array3;

use super::dtype::{DType, Encoding, Endian, Storable, with_element};
use super::format::Format;
use super::series::FrameStep;
use super::{Geometry, Image, LabelMap, Volume, metaimage, mgh, nifti, nrrd, png};
use crate::error::{Error, Result};

/// Writes an image with its geometry, as `dtype`, whole or not at all.
///
/// Integer types round half to even and saturate; NaN becomes 0. `note` says where the image came from
/// (NIfTI keeps 79 bytes of it).
///
/// # Errors
/// A suffix that is not written, a type the format does not have, and refusals of the operating system.
pub fn write_image(path: impl AsRef<Path>, image: &Image, dtype: DType, note: &str) -> Result<()> {
    write_volume(path.as_ref(), image, dtype, note)
}

/// Writes a label map in the smallest of uint8, int16 (in PNG uint16) and int32 that holds every label.
///
/// # Errors
/// As [`write_image`].
pub fn write_labels(path: impl AsRef<Path>, labels: &LabelMap, note: &str) -> Result<()> {
    let (low, high) = labels
        .data
        .iter()
        .fold((0, 0), |(a, b), &v| (v.min(a), v.max(b)));
    let dtype = match (low, high) {
        (0.., ..=255) => DType::U8,
        (0.., ..=65535) if Format::of(path.as_ref())? == Format::Png => DType::U16,
        (-32768.., ..=32767) => DType::I16,
        _ => DType::I32,
    };
    write_volume(path.as_ref(), labels, dtype, note)
}

fn write_volume<T>(path: &Path, volume: &Volume<T>, dtype: DType, note: &str) -> Result<()>
where
    T: Copy + Into<f64>,
{
    let encoding = dtype.into();
    let content = Content {
        geometry: &volume.geometry,
        trailing: &[],
        channels: 1,
        frame_step: None,
        encoding,
        note,
    };
    write_content(path, &content, |endian, out| {
        out.write_all(&encode(&volume.data, encoding, endian))
    })
}

/// What a file says about the voxels that are written to it.
pub(crate) struct Content<'a> {
    pub geometry: &'a Geometry,
    /// Sizes of the axes after those of the grid; empty for one volume.
    pub trailing: &'a [usize],
    /// Values of a voxel, more than one of colours.
    pub channels: usize,
    /// What the fourth axis steps by, which only NIfTI keeps.
    pub frame_step: Option<FrameStep>,
    pub encoding: Encoding,
    /// Where the image came from.
    pub note: &'a str,
}

impl Content<'_> {
    /// Sizes of all axes, `grid_axes` of them those of the grid; before further axes all three.
    pub fn shape(&self, grid_axes: usize) -> Vec<usize> {
        let kept = if self.trailing.is_empty() {
            grid_axes
        } else {
            3
        };
        let mut shape = self.geometry.shape[..kept].to_vec();
        shape.extend(self.trailing);
        shape
    }
}

/// Writes in the format of the suffix; `voxels` writes them in a byte order, the values of a colour together, then the
/// first axis fastest, frames last. It is not called where the format cannot hold them.
pub(crate) fn write_content(
    path: &Path,
    content: &Content,
    voxels: impl FnOnce(Endian, &mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    match Format::of(path)? {
        format if content.encoding.scale.is_some() && format != Format::Nifti => {
            let problem = "only NIfTI scales its values; write .nii or .nii.gz, or float32";
            Err(Error::file(path, problem))
        }
        Format::Mgh | Format::MetaImage | Format::Nrrd if content.channels > 1 => {
            let problem = "colours are written as .png, .nii or .nii.gz";
            Err(Error::file(path, problem))
        }
        Format::Nifti => {
            let nifti = nifti::Content {
                shape: &content.shape(content.geometry.dimension.axes()),
                geometry: content.geometry,
                encoding: content.encoding,
                channels: content.channels,
                intent_code: 0,
                frame_step: content.frame_step,
                note: content.note,
            };
            nifti::write(path, &nifti, |out| voxels(Endian::Little, out))
        }
        Format::Mgh => mgh::write(path, content, |out| voxels(Endian::Big, out)),
        Format::MetaImage => metaimage::write(path, content, |out| voxels(Endian::Little, out)),
        Format::Nrrd => nrrd::write(path, content, |out| voxels(Endian::Little, out)),
        Format::Png if !content.trailing.is_empty() => {
            let problem = "PNG holds one picture; write the series as .nii.gz";
            Err(Error::file(path, problem))
        }
        Format::Png => png::write(path, content, |out| voxels(Endian::NATIVE, out)),
        Format::NiftiPair | Format::Npy | Format::Npz => {
            let problem = "this format is only read; write .nii, .nii.gz, .mgh, .mgz, .mha, .mhd, .nrrd, .nhdr or (2-D) .png";
            Err(Error::file(path, problem))
        }
    }
}

/// The voxels as bytes, first axis fastest.
pub(crate) fn encode<T: Copy + Into<f64>>(
    data: &Array3<T>,
    Encoding { dtype, scale }: Encoding,
    endian: Endian,
) -> Vec<u8> {
    let (slope, intercept) = scale.unwrap_or((1.0, 0.0));
    let mut bytes = Vec::with_capacity(data.len() * dtype.size());
    with_element!(dtype, E => for &value in data.view().reversed_axes() {
        let value: f64 = value.into();
        E::store((value - intercept) / slope).put(endian, &mut bytes);
    });
    bytes
}
