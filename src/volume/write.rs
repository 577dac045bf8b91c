//! Writing images and label maps; the suffix chooses the format.

use std::path::Path;

use ndarray::Array3;

use super::dtype::{DType, Endian, Storable, with_element};
use super::format::Format;
use super::{Image, LabelMap, Volume, mgh, nifti, png};
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

/// Writes a label map in the smallest of uint8, int16 and int32 that holds every label.
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
        (-32768.., ..=32767) => DType::I16,
        _ => DType::I32,
    };
    write_volume(path.as_ref(), labels, dtype, note)
}

fn write_volume<T>(path: &Path, volume: &Volume<T>, dtype: DType, note: &str) -> Result<()>
where
    T: Copy + Into<f64>,
{
    let Volume { data, geometry } = volume;
    match Format::of(path)? {
        Format::Nifti => {
            let content = nifti::Content::scalar(geometry, dtype, note);
            nifti::write(path, &content, &encode(data, dtype, Endian::Little))
        }
        Format::Mgh => mgh::write(
            path,
            geometry,
            dtype,
            &encode(data, dtype, Endian::Big),
            note,
        ),
        Format::Png => png::write(path, geometry, dtype, &encode(data, dtype, Endian::NATIVE)),
        Format::NiftiPair | Format::Npy | Format::Npz => {
            let problem = "this format is only read; write .nii, .nii.gz, .mgh, .mgz or (2-D) .png";
            Err(Error::file(path, problem))
        }
    }
}

/// The voxels as bytes, first axis fastest.
pub(crate) fn encode<T: Copy + Into<f64>>(
    data: &Array3<T>,
    dtype: DType,
    endian: Endian,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(data.len() * dtype.size());
    with_element!(dtype, E => for &value in data.view().reversed_axes() {
        E::store(value.into()).put(endian, &mut bytes);
    });
    bytes
}
