//! The fields of a NIfTI-1 or NIfTI-2 header that matter here, whatever their width and byte order.
//!
//! Offsets: nifti1.h (348 bytes) and nifti2.h (540 bytes) of the NIfTI working group.

use super::super::dtype::{DType, Endian};
use super::super::fields::Fields;

pub(super) const NIFTI1_BYTES: usize = 348;
pub(super) const NIFTI2_BYTES: usize = 540;
const MAGIC2_TAIL: &[u8] = b"\0\r\n\x1a\n";

/// Which file the voxels are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Storage {
    /// After the header, in the same file (`n+1`, `n+2`).
    Single,
    /// In a `.img` file (`ni1`, `ni2`).
    Pair,
    /// Analyze 7.5: no magic, voxels in a `.img` file.
    Analyze,
}

/// A header with its numbers widened to 64 bits; nothing is checked yet but the magic.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub storage: Storage,
    pub endian: Endian,
    /// Bytes of the fixed header: 348 or 540.
    pub length: usize,
    /// `dim[0]`, the number of axes, and then their sizes.
    pub dim: [i64; 8],
    pub datatype: i16,
    /// `pixdim[0]` is the handedness of the qform.
    pub pixdim: [f64; 8],
    /// Units of space and time.
    pub units: i32,
    pub vox_offset: f64,
    pub slope: f64,
    pub intercept: f64,
    pub intent_code: i32,
    pub intent_name: String,
    pub qform_code: i32,
    pub sform_code: i32,
    pub quaternion: [f64; 3],
    pub offset: [f64; 3],
    pub srow: [[f64; 4]; 3],
}

/// Header size and byte order from the first four bytes.
pub(super) fn recognise(start: [u8; 4]) -> Option<(usize, Endian)> {
    let sizes = [NIFTI1_BYTES, NIFTI2_BYTES];
    let is = |decoded: i32| sizes.into_iter().find(|&size| size as i32 == decoded);
    is(i32::from_le_bytes(start))
        .map(|size| (size, Endian::Little))
        .or_else(|| is(i32::from_be_bytes(start)).map(|size| (size, Endian::Big)))
}

impl Header {
    /// `bytes` is as long as [`recognise`] said.
    pub fn parse(bytes: &[u8], endian: Endian) -> Result<Self, String> {
        let fields = Fields::new(bytes, endian);
        if bytes.len() == NIFTI2_BYTES {
            nifti2(&fields, endian)
        } else {
            nifti1(&fields, endian)
        }
    }

    /// The sizes of all axes.
    pub fn shape(&self) -> Result<Vec<usize>, String> {
        let axes = self.dim[0];
        if !(1..=7).contains(&axes) {
            return Err(format!(
                "dim[0] = {axes} axes; expected 1 to 7, the header is damaged"
            ));
        }
        let sizes = self.dim[1..=axes as usize].iter().enumerate();
        sizes
            .map(|(n, &size)| match usize::try_from(size) {
                Ok(size) if size > 0 => Ok(size),
                _ => Err(format!("dim[{}] = {size}; sizes must be at least 1", n + 1)),
            })
            .collect()
    }

    pub fn dtype(&self) -> Result<DType, String> {
        dtype_of(self.datatype)
    }

    /// Values of one voxel: those of a colour, or one.
    pub fn channels(&self) -> usize {
        match self.datatype {
            RGB => 3,
            RGBA => 4,
            _ => 1,
        }
    }

    /// Linear scaling of stored values, if any; colours have none.
    pub fn scale(&self) -> Result<Option<(f64, f64)>, String> {
        match (self.slope, self.intercept) {
            _ if self.channels() > 1 => Ok(None),
            (slope, _) if slope == 0.0 || !slope.is_finite() => Ok(None),
            (_, intercept) if !intercept.is_finite() => Err(format!(
                "scl_slope is {} but scl_inter is {intercept}",
                self.slope
            )),
            (1.0, 0.0) => Ok(None),
            scale => Ok(Some(scale)),
        }
    }

    /// Time from one volume to the next, where the unit is known.
    pub fn frame_seconds(&self) -> Option<f64> {
        // Bits 3 to 5 hold the unit of time.
        let unit = match self.units & 0x38 {
            8 => 1.0,
            16 => 1e-3,
            24 => 1e-6,
            _ => return None,
        };
        let seconds = self.pixdim[4] * unit;
        (self.dim[0] > 3 && seconds > 0.0 && seconds.is_finite()).then_some(seconds)
    }

    /// Where the voxels start in their file.
    pub fn data_offset(&self) -> Result<u64, String> {
        let offset = self.vox_offset;
        if !offset.is_finite() || offset < 0.0 || offset.fract() != 0.0 {
            return Err(format!(
                "vox_offset is {offset}; expected a whole number of bytes"
            ));
        }
        // After the fixed header come four bytes that announce extensions.
        let first = self.length as u64 + 4;
        match (self.storage, offset as u64) {
            (Storage::Single, 0) => Ok(first),
            (Storage::Single, offset) if offset < first => Err(format!(
                "vox_offset is {offset}, inside the header of {first} bytes"
            )),
            (_, offset) => Ok(offset),
        }
    }
}

fn nifti1(fields: &Fields, endian: Endian) -> Result<Header, String> {
    let storage = match fields.bytes(344, 4) {
        b"n+1\0" => Storage::Single,
        b"ni1\0" => Storage::Pair,
        _ => Storage::Analyze,
    };
    Ok(Header {
        storage,
        endian,
        length: NIFTI1_BYTES,
        dim: fields.values::<i16, 8>(40).map(|v| v as i64),
        datatype: fields.number(70),
        pixdim: fields.values::<f32, 8>(76),
        units: i32::from(fields.number::<u8>(123)),
        vox_offset: f64::from(fields.number::<f32>(108)),
        slope: f64::from(fields.number::<f32>(112)),
        intercept: f64::from(fields.number::<f32>(116)),
        intent_code: i32::from(fields.number::<i16>(68)),
        intent_name: fields.text(328, 16),
        qform_code: i32::from(fields.number::<i16>(252)),
        sform_code: i32::from(fields.number::<i16>(254)),
        quaternion: fields.values::<f32, 3>(256),
        offset: fields.values::<f32, 3>(268),
        srow: [280, 296, 312].map(|at| fields.values::<f32, 4>(at)),
    })
}

fn nifti2(fields: &Fields, endian: Endian) -> Result<Header, String> {
    let storage = match fields.bytes(4, 3) {
        b"n+2" => Storage::Single,
        b"ni2" => Storage::Pair,
        _ => return Err("header of 540 bytes without the NIfTI-2 magic".into()),
    };
    if fields.bytes(7, 5) != MAGIC2_TAIL {
        return Err(
            "NIfTI-2 magic is damaged, as by a text-mode transfer; copy the file again".into(),
        );
    }
    let dim = std::array::from_fn(|n| fields.number::<i64>(16 + 8 * n));
    let offset: i64 = fields.number(168);
    Ok(Header {
        storage,
        endian,
        length: NIFTI2_BYTES,
        dim,
        datatype: fields.number(12),
        pixdim: fields.values::<f64, 8>(104),
        units: fields.number(500),
        vox_offset: offset as f64,
        slope: fields.number(176),
        intercept: fields.number(184),
        intent_code: fields.number(504),
        intent_name: fields.text(508, 16),
        qform_code: fields.number(344),
        sform_code: fields.number(348),
        quaternion: fields.values::<f64, 3>(352),
        offset: fields.values::<f64, 3>(376),
        srow: [400, 432, 464].map(|at| fields.values::<f64, 4>(at)),
    })
}

/// Three and four bytes of colour.
const RGB: i16 = 128;
const RGBA: i16 = 2304;

const CODES: [(i16, DType); 10] = [
    (2, DType::U8),
    (4, DType::I16),
    (8, DType::I32),
    (16, DType::F32),
    (64, DType::F64),
    (256, DType::I8),
    (512, DType::U16),
    (768, DType::U32),
    (1024, DType::I64),
    (1280, DType::U64),
];

fn dtype_of(code: i16) -> Result<DType, String> {
    if let RGB | RGBA = code {
        return Ok(DType::U8);
    }
    if let Some(&(_, dtype)) = CODES.iter().find(|(c, _)| *c == code) {
        return Ok(dtype);
    }
    let name = match code {
        1 => "1-bit binary",
        32 => "complex64",
        1536 => "float128",
        1792 => "complex128",
        2048 => "complex256",
        _ => {
            return Err(format!(
                "datatype code {code} is not one of NIfTI; the header is damaged"
            ));
        }
    };
    Err(format!(
        "{name} voxels (datatype {code}) are not supported; convert to a scalar type"
    ))
}

/// The datatype code to write for voxels of so many values; `None` for a type NIfTI does not have.
pub(super) fn code_of(dtype: DType, channels: usize) -> Option<i16> {
    match (channels, dtype) {
        (1, _) => CODES
            .iter()
            .find(|(_, d)| *d == dtype)
            .map(|(code, _)| *code),
        (3, DType::U8) => Some(RGB),
        (4, DType::U8) => Some(RGBA),
        _ => None,
    }
}
