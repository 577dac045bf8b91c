//! Writes single-file NIfTI-1.

use std::io::{self, Write};
use std::path::Path;

use super::super::Geometry;
use super::super::dtype::{Encoding, Endian, Storable};
use super::super::io::write_stream;
use super::super::series::FrameStep;
use super::header::code_of;
use super::layout::NIFTI1;
use super::replace::replace_affine;
use crate::error::{Error, Result};

const DATA_OFFSET: usize = NIFTI1.length + 4;
/// Longest text `descrip` can hold with its closing zero.
const NOTE_BYTES: usize = 79;

/// What is written beside the voxels.
pub(crate) struct Content<'a> {
    /// Sizes of all axes, 1 to 7 of them.
    pub shape: &'a [usize],
    pub geometry: &'a Geometry,
    pub encoding: Encoding,
    /// Values of a voxel, which lie together: 1, or 3 and 4 bytes of colour.
    pub channels: usize,
    pub intent_code: i16,
    /// What the fourth axis steps by.
    pub frame_step: Option<FrameStep>,
    pub note: &'a str,
}

/// Writes `.nii` or `.nii.gz`; `voxels` writes them little-endian with the first axis fastest.
pub(crate) fn write(
    path: &Path,
    content: &Content,
    voxels: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let header = header(content).map_err(|problem| Error::file(path, problem))?;
    write_stream(path, |out| {
        out.write_all(&header)?;
        voxels(out)
    })
}

fn header(content: &Content) -> Result<Vec<u8>, String> {
    let mut out = Fixed(vec![0; DATA_OFFSET]);
    let (dtype, channels) = (content.encoding.dtype, content.channels);
    let datatype = code_of(dtype, channels).ok_or_else(|| match channels {
        1 => format!("NIfTI has no {dtype}; choose another type"),
        _ => format!("NIfTI has no colours of {channels} {dtype}; choose RGB or RGBA of uint8"),
    })?;
    out.put(0, &[NIFTI1.length as i32]);
    out.put(NIFTI1.dim, &dimensions(content.shape)?);
    out.put(NIFTI1.intent_code, &[content.intent_code]);
    let bits = (dtype.size() * channels) as i16 * 8;
    out.put(NIFTI1.datatype, &[datatype, bits]);
    out.put(NIFTI1.vox_offset, &[DATA_OFFSET as f32]);
    let (slope, intercept) = content.encoding.scale.unwrap_or((1.0, 0.0));
    out.put(NIFTI1.slope, &[slope as f32]);
    out.put(NIFTI1.intercept, &[intercept as f32]);
    let note = truncated(content.note, NOTE_BYTES);
    out.0[NIFTI1.note..][..note.len()].copy_from_slice(note.as_bytes());
    let step = content.frame_step.unwrap_or(FrameStep::UNKNOWN);
    // Of the axes after the grid's; those of the grid follow with its place.
    out.put(NIFTI1.pixdim + 16, &[step.value as f32, 1.0, 1.0, 1.0]);
    out.0[NIFTI1.units] = step.unit;
    out.0[NIFTI1.magic..][..4].copy_from_slice(b"n+1\0");
    let geometry = content.geometry;
    replace_affine(&mut out.0, &geometry.affine, geometry.world)?;
    Ok(out.0)
}

fn dimensions(shape: &[usize]) -> Result<[i16; 8], String> {
    let mut dim = [1; 8];
    dim[0] = shape.len() as i16;
    for (slot, &size) in dim[1..].iter_mut().zip(shape) {
        *slot = i16::try_from(size).map_err(|_| {
            format!(
                "an axis of {size} voxels; NIfTI-1 holds at most {}",
                i16::MAX
            )
        })?;
    }
    Ok(dim)
}

/// A header under construction, little-endian.
struct Fixed(Vec<u8>);

impl Fixed {
    fn put<T: Storable + Copy>(&mut self, offset: usize, values: &[T]) {
        let mut bytes = Vec::new();
        for &value in values {
            value.put(Endian::Little, &mut bytes);
        }
        self.0[offset..offset + bytes.len()].copy_from_slice(&bytes);
    }
}

/// At most `limit` bytes, cut between characters.
fn truncated(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
