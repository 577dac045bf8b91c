//! Another affine in the header of an existing file.

use super::super::Affine;
use super::super::dtype::{Endian, Storable};
use super::affine::Qform;
use super::header::{NIFTI2_BYTES, recognise};
use super::write::FORM_CODE;

/// Offsets in nifti1.h and nifti2.h.
struct Offsets {
    pixdim: usize,
    qform_code: usize,
    sform_code: usize,
    quaternion: usize,
    offset: usize,
    srow: usize,
}

const NIFTI1: Offsets = Offsets {
    pixdim: 76,
    qform_code: 252,
    sform_code: 254,
    quaternion: 256,
    offset: 268,
    srow: 280,
};
const NIFTI2: Offsets = Offsets {
    pixdim: 104,
    qform_code: 344,
    sform_code: 348,
    quaternion: 352,
    offset: 376,
    srow: 400,
};

/// Puts `affine` into both forms and the voxel sizes; a sheared one has no qform. The file was read before.
pub(crate) fn replace_affine(bytes: &mut [u8], affine: &Affine) -> Result<(), String> {
    let start = bytes.first_chunk::<4>().and_then(|start| recognise(*start));
    let (length, endian) = start.ok_or("not NIfTI")?;
    let mut header = Header {
        bytes,
        endian,
        wide: length == NIFTI2_BYTES,
    };
    let at = if header.wide { NIFTI2 } else { NIFTI1 };
    let qform = Qform::of(affine);
    let [x, y, z] = affine.spacing();
    header.numbers(at.pixdim, &[qform.map_or(1.0, |q| q.handedness), x, y, z]);
    header.code(at.qform_code, if qform.is_some() { FORM_CODE } else { 0 });
    header.code(at.sform_code, FORM_CODE);
    if let Some(qform) = qform {
        header.numbers(at.quaternion, &qform.quaternion);
        header.numbers(at.offset, affine.translation().as_slice());
    }
    let rows: Vec<f64> = affine
        .0
        .fixed_rows::<3>(0)
        .transpose()
        .iter()
        .copied()
        .collect();
    header.numbers(at.srow, &rows);
    Ok(())
}

/// NIfTI-2 has float64 and int32 where NIfTI-1 has float32 and int16.
struct Header<'a> {
    bytes: &'a mut [u8],
    endian: Endian,
    wide: bool,
}

impl Header<'_> {
    fn numbers(&mut self, offset: usize, values: &[f64]) {
        let mut out = Vec::new();
        for &value in values {
            match self.wide {
                true => value.put(self.endian, &mut out),
                false => (value as f32).put(self.endian, &mut out),
            }
        }
        self.bytes[offset..offset + out.len()].copy_from_slice(&out);
    }

    fn code(&mut self, offset: usize, code: i16) {
        let mut out = Vec::new();
        match self.wide {
            true => i32::from(code).put(self.endian, &mut out),
            false => code.put(self.endian, &mut out),
        }
        self.bytes[offset..offset + out.len()].copy_from_slice(&out);
    }
}
