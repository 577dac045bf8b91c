//! The fields of a NIfTI-1 or NIfTI-2 header that matter here, whatever their width and byte order.

use super::super::dtype::{DType, Endian};
use super::super::fields::Fields;
use super::super::series::FrameStep;
use super::layout::{Layout, NIFTI1, NIFTI2, SPACE, TIME};

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

/// A header with its numbers widened to 64 bits and its lengths in mm; nothing is checked yet but the magic.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub storage: Storage,
    pub endian: Endian,
    pub layout: &'static Layout,
    /// `dim[0]`, the number of axes, and then their sizes.
    pub dim: [i64; 8],
    pub datatype: i16,
    /// `pixdim[0]` is the handedness of the qform.
    pub pixdim: [f64; 8],
    /// Units of space, which no longer matter, and of time.
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

/// Layout and byte order from the first four bytes, which hold the size of the header.
pub(super) fn recognise(start: [u8; 4]) -> Option<(&'static Layout, Endian)> {
    let layouts = [&NIFTI1, &NIFTI2];
    let is = |decoded: i32| {
        layouts
            .into_iter()
            .find(|layout| layout.length as i32 == decoded)
    };
    is(i32::from_le_bytes(start))
        .map(|layout| (layout, Endian::Little))
        .or_else(|| is(i32::from_be_bytes(start)).map(|layout| (layout, Endian::Big)))
}

impl Header {
    /// `bytes` is as long as the layout says that [`recognise`] found.
    pub fn parse(bytes: &[u8], layout: &'static Layout, endian: Endian) -> Result<Self, String> {
        let fields = Fields::new(bytes, endian);
        let storage = storage(&fields, layout)?;
        let numbers = Numbers {
            fields: &fields,
            wide: layout.wide,
        };
        let mut header = Self {
            storage,
            endian,
            layout,
            dim: numbers.sizes(layout.dim),
            datatype: fields.number(layout.datatype),
            pixdim: numbers.reals(layout.pixdim),
            units: match storage {
                Storage::Analyze => 0,
                _ if layout.wide => fields.number(layout.units),
                _ => i32::from(fields.number::<u8>(layout.units)),
            },
            vox_offset: match layout.wide {
                true => fields.number::<i64>(layout.vox_offset) as f64,
                false => f64::from(fields.number::<f32>(layout.vox_offset)),
            },
            slope: numbers.real(layout.slope),
            intercept: numbers.real(layout.intercept),
            intent_code: numbers.code(layout.intent_code),
            intent_name: fields.text(layout.intent_name, 16),
            qform_code: numbers.code(layout.qform_code),
            sform_code: numbers.code(layout.sform_code),
            quaternion: numbers.reals(layout.quaternion),
            offset: numbers.reals(layout.offset),
            srow: numbers.rows(layout.srow),
        };
        header.turn_to_millimetres();
        Ok(header)
    }

    /// Voxel sizes and places, which may be in another unit.
    fn turn_to_millimetres(&mut self) {
        let factor = match self.units & SPACE {
            // Metres and micrometres.
            1 => 1e3,
            3 => 1e-3,
            _ => return,
        };
        let sizes = self.pixdim[1..4].iter_mut();
        let places = self.offset.iter_mut().chain(self.srow.as_flattened_mut());
        sizes.chain(places).for_each(|length| *length *= factor);
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

    /// What the fourth axis steps by.
    pub fn frame_step(&self) -> Option<FrameStep> {
        let step = FrameStep {
            value: self.pixdim[4],
            unit: (self.units & TIME) as u8,
        };
        let known = step.value > 0.0 && step.value.is_finite() && step != FrameStep::UNKNOWN;
        (self.dim[0] > 3 && known).then_some(step)
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
        let first = self.layout.length as u64 + 4;
        match (self.storage, offset as u64) {
            (Storage::Single, 0) => Ok(first),
            (Storage::Single, offset) if offset < first => Err(format!(
                "vox_offset is {offset}, inside the header of {first} bytes"
            )),
            (_, offset) => Ok(offset),
        }
    }
}

/// By the magic.
fn storage(fields: &Fields, layout: &Layout) -> Result<Storage, String> {
    let magic = fields.bytes(layout.magic, 4);
    match (layout.wide, &magic[..3]) {
        (false, b"n+1") if magic[3] == 0 => Ok(Storage::Single),
        (false, b"ni1") if magic[3] == 0 => Ok(Storage::Pair),
        (false, _) => Ok(Storage::Analyze),
        (true, b"n+2" | b"ni2") if fields.bytes(layout.magic + 3, 5) != MAGIC2_TAIL => {
            Err("NIfTI-2 magic is damaged, as by a text-mode transfer; copy the file again".into())
        }
        (true, b"n+2") => Ok(Storage::Single),
        (true, b"ni2") => Ok(Storage::Pair),
        (true, _) => Err("header of 540 bytes without the NIfTI-2 magic".into()),
    }
}

/// The numbers of a header of either width.
struct Numbers<'a> {
    fields: &'a Fields<'a>,
    wide: bool,
}

impl Numbers<'_> {
    fn reals<const N: usize>(&self, at: usize) -> [f64; N] {
        match self.wide {
            true => self.fields.values::<f64, N>(at),
            false => self.fields.values::<f32, N>(at),
        }
    }

    fn real(&self, at: usize) -> f64 {
        let [real] = self.reals(at);
        real
    }

    fn rows(&self, at: usize) -> [[f64; 4]; 3] {
        let size = if self.wide { 8 } else { 4 };
        [0, 1, 2].map(|row| self.reals(at + row * 4 * size))
    }

    fn code(&self, at: usize) -> i32 {
        match self.wide {
            true => self.fields.number(at),
            false => i32::from(self.fields.number::<i16>(at)),
        }
    }

    fn sizes(&self, at: usize) -> [i64; 8] {
        std::array::from_fn(|n| match self.wide {
            true => self.fields.number(at + 8 * n),
            false => i64::from(self.fields.number::<i16>(at + 2 * n)),
        })
    }
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
