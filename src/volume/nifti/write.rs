//! Writes single-file NIfTI-1.

use std::path::Path;

use super::super::Affine;
use super::super::dtype::{DType, Endian, Storable};
use super::super::io::write_parts;
use super::affine::Qform;
use super::header::{NIFTI1_BYTES, code_of};
use crate::error::{Error, Result};

const DATA_OFFSET: usize = NIFTI1_BYTES + 4;
/// Longest text `descrip` can hold with its closing zero.
const NOTE_BYTES: usize = 79;
/// "Aligned": the affine is a reference's, of which nothing more is known.
pub(super) const FORM_CODE: i16 = 2;
const UNITS_MM: u8 = 2;
const UNITS_SECONDS: u8 = 8;

/// What is written beside the voxels.
pub(crate) struct Content<'a> {
    /// Sizes of all axes, 1 to 7 of them.
    pub shape: &'a [usize],
    pub affine: &'a Affine,
    pub dtype: DType,
    /// Values of a voxel, which lie together: 1, or 3 and 4 bytes of colour.
    pub channels: usize,
    pub intent_code: i16,
    /// Time from one volume to the next.
    pub frame_seconds: Option<f64>,
    pub note: &'a str,
}

/// Writes `.nii` or `.nii.gz`; `values` come with the first axis fastest.
pub(crate) fn write(path: &Path, content: &Content, voxels: &[u8]) -> Result<()> {
    let header = header(content).map_err(|problem| Error::file(path, problem))?;
    write_parts(path, &[&header, voxels])
}

fn header(content: &Content) -> Result<Vec<u8>, String> {
    let mut out = Fixed(vec![0; DATA_OFFSET]);
    let datatype = code_of(content.dtype, content.channels).ok_or_else(|| {
        let (dtype, channels) = (content.dtype, content.channels);
        match channels {
            1 => format!("NIfTI has no {dtype}; choose another type"),
            _ => format!("NIfTI has no colours of {channels} {dtype}; choose RGB or RGBA of uint8"),
        }
    })?;
    out.put(0, &[NIFTI1_BYTES as i32]);
    out.put(40, &dimensions(content.shape)?);
    out.put(
        68,
        &[
            content.intent_code,
            datatype,
            (content.dtype.size() * content.channels) as i16 * 8,
        ],
    );
    out.put(108, &[DATA_OFFSET as f32, 1.0, 0.0]);
    out.0[123] = UNITS_MM;
    let note = truncated(content.note, NOTE_BYTES);
    out.0[148..148 + note.len()].copy_from_slice(note.as_bytes());
    put_geometry(&mut out, content.affine);
    if let Some(seconds) = content.frame_seconds {
        out.put(92, &[seconds as f32]);
        out.0[123] = UNITS_MM | UNITS_SECONDS;
    }
    out.0[344..348].copy_from_slice(b"n+1\0");
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

/// Both forms, so that every reader finds the one it prefers; a sheared grid has no qform.
fn put_geometry(out: &mut Fixed, affine: &Affine) {
    let qform = Qform::of(affine);
    let [x, y, z] = affine.spacing().map(|s| s as f32);
    let handedness = qform.map_or(1.0, |q| q.handedness) as f32;
    out.put(76, &[handedness, x, y, z, 1.0, 1.0, 1.0, 1.0]);
    out.put(
        252,
        &[if qform.is_some() { FORM_CODE } else { 0 }, FORM_CODE],
    );
    if let Some(qform) = qform {
        out.put(256, &qform.quaternion.map(|v| v as f32));
        let origin = affine.translation();
        out.put(268, &[origin.x as f32, origin.y as f32, origin.z as f32]);
    }
    for row in 0..3 {
        let values = [0, 1, 2, 3].map(|column| affine.0[(row, column)] as f32);
        out.put(280 + 16 * row, &values);
    }
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
