//! One array: magic, version, a Python dictionary as text, then the numbers (numpy's `lib.format`).

use std::path::Path;

use super::super::dtype::{DType, Endian};
use super::super::format::{Format, quoted};
use super::super::raw::{Intent, Layout, RawVolume, Samples, byte_count};
use super::super::source::{Source, Trailing};
use super::super::{Affine, World};
use crate::error::{Error, Result};

const MAGIC: &[u8] = b"\x93NUMPY";
/// numpy's own limit for headers it trusts is 10000 bytes.
const MAX_HEADER_BYTES: u64 = 1 << 16;

/// Reads a `.npy` file.
pub(crate) fn read(path: &Path) -> Result<RawVolume> {
    read_array(Source::open(path)?, Format::Npy)
}

/// Reads the array that `source` holds, to its end.
pub(super) fn read_array(mut source: Source, format: Format) -> Result<RawVolume> {
    let path = source.path().to_path_buf();
    let at = |problem: String| Error::file(&path, problem);
    let start = source.take(8, "the numpy header")?;
    if !start.starts_with(MAGIC) {
        return Err(at(
            "not a numpy array: the magic '\\x93NUMPY' is missing".into()
        ));
    }
    // Version 1 has two bytes of header length, 2 and 3 have four.
    let width = if start[6] == 1 { 2 } else { 4 };
    let length = source.take(width, "the numpy header")?;
    let length = length
        .iter()
        .rev()
        .fold(0, |n, &byte| n << 8 | u64::from(byte));
    if length > MAX_HEADER_BYTES {
        return Err(at(format!(
            "numpy header of {length} bytes; the file is damaged"
        )));
    }
    let text = source.take(length, "the numpy header")?;
    let header = Header::parse(&String::from_utf8_lossy(&text)).map_err(at)?;
    let bytes = header.bytes().map_err(at)?;
    let mut volume = header.into_volume(format);
    let what = format!("{} {} values", volume.shape_text(), volume.samples.dtype);
    volume.samples.bytes = source.take(bytes, &what)?;
    source.finish(Trailing::Refuse)?;
    Ok(volume)
}

struct Header {
    dtype: DType,
    endian: Endian,
    layout: Layout,
    shape: Vec<usize>,
}

impl Header {
    fn parse(text: &str) -> Result<Self, String> {
        let (dtype, endian) = dtype(entry(text, "descr")?)?;
        let layout = match entry(text, "fortran_order")? {
            order if order.starts_with("True") => Layout::FirstFastest,
            _ => Layout::LastFastest,
        };
        let shape = shape(entry(text, "shape")?)?;
        if !(2..=7).contains(&shape.len()) || shape.contains(&0) {
            return Err(format!(
                "array of shape {shape:?}; expected 2 or 3 axes, none of size 0"
            ));
        }
        Ok(Self {
            dtype,
            endian,
            layout,
            shape,
        })
    }

    fn bytes(&self) -> Result<u64, String> {
        byte_count(&self.shape, self.dtype)
    }

    fn into_volume(self, format: Format) -> RawVolume {
        let Self {
            dtype,
            endian,
            layout,
            shape,
        } = self;
        RawVolume {
            format,
            shape,
            affine: Affine::identity(),
            world: World::ALIGNED,
            intent: Intent::Image,
            frame_step: None,
            samples: Samples {
                bytes: Vec::new(),
                dtype,
                endian,
                layout,
                scale: None,
            },
        }
    }
}

/// What follows `'key':` in the dictionary.
fn entry<'a>(text: &'a str, key: &str) -> Result<&'a str, String> {
    let start = text
        .find(&format!("'{key}'"))
        .map(|at| &text[at + key.len() + 2..]);
    let value = start.and_then(|rest| rest.trim_start().strip_prefix(':'));
    value
        .map(str::trim_start)
        .ok_or_else(|| format!("numpy header without '{key}'; the file is damaged"))
}

fn shape(text: &str) -> Result<Vec<usize>, String> {
    let wrong = || {
        format!(
            "numpy shape {} is not a tuple of sizes; the file is damaged",
            quoted(text)
        )
    };
    let inside = text
        .strip_prefix('(')
        .and_then(|t| t.split(')').next())
        .ok_or_else(wrong)?;
    let sizes = inside
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty());
    sizes
        .map(|size| size.trim_end_matches('L').parse().map_err(|_| wrong()))
        .collect()
}

fn dtype(text: &str) -> Result<(DType, Endian), String> {
    let code = text
        .strip_prefix('\'')
        .and_then(|t| t.split('\'').next())
        .unwrap_or(text);
    let endian = if code.starts_with('>') {
        Endian::Big
    } else {
        Endian::Little
    };
    let dtype = match code.trim_start_matches(['<', '>', '|', '=']) {
        "b1" | "u1" => DType::U8,
        "i1" => DType::I8,
        "u2" => DType::U16,
        "i2" => DType::I16,
        "u4" => DType::U32,
        "i4" => DType::I32,
        "u8" => DType::U64,
        "i8" => DType::I64,
        "f2" => DType::F16,
        "f4" => DType::F32,
        "f8" => DType::F64,
        _ => {
            let shown = quoted(code);
            return Err(format!(
                "numpy type {shown} is not supported; save integers or floats"
            ));
        }
    };
    Ok((dtype, endian))
}
