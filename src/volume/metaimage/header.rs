//! The text header.

use nalgebra::{DMatrix, DVector};

use super::super::Affine;
use super::super::dtype::{DType, Endian};
use super::super::format::{axis_sizes, numbers, quoted};
use super::super::placement::Placement;
use super::super::source::Source;
use super::TYPES;
use crate::error::{Error, Result};

/// Headers are about 400 bytes; comments may make them longer.
const MAX_BYTES: u64 = 1 << 16;
const LAST_KEY: &str = "ElementDataFile";

/// Keys and values in the order of the file; the last one says where the voxels are.
pub(super) struct Header {
    entries: Vec<(String, String)>,
}

impl Header {
    /// Reads up to and with the line `ElementDataFile`, after which the voxels may follow.
    pub fn read(source: &mut Source) -> Result<Self> {
        let mut entries: Vec<(String, String)> = Vec::new();
        let mut left = MAX_BYTES;
        while entries.last().is_none_or(|(key, _)| key != LAST_KEY) {
            let line = source.line(left, "the MetaImage header")?;
            left = left.saturating_sub(line.len() as u64 + 1);
            let Some((key, value)) = line.split_once('=') else {
                let shown = quoted(&line);
                let problem = format!("not MetaImage: {shown} where 'key = value' is expected");
                return Err(Error::file(source.path(), problem));
            };
            entries.push((key.trim().to_string(), value.trim().to_string()));
        }
        Ok(Self { entries })
    }

    /// The value of the first of `keys` that is there.
    fn get(&self, keys: &[&str]) -> Option<&str> {
        let find = |key: &&str| self.entries.iter().find(|(k, _)| k == *key);
        keys.iter().find_map(find).map(|(_, value)| value.as_str())
    }

    fn is_true(&self, key: &str) -> bool {
        self.get(&[key])
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Sizes of 2 to 7 axes.
    pub fn sizes(&self) -> Result<Vec<usize>, String> {
        let axes = self.get(&["NDims"]).ok_or("no 'NDims' in the header")?;
        let text = self.get(&["DimSize"]).ok_or("no 'DimSize' in the header")?;
        axis_sizes(axes, text).ok_or_else(|| {
            format!(
                "NDims = {}, DimSize = {}; expected 2 to 7 axes and as many sizes of at least 1",
                quoted(axes),
                quoted(text)
            )
        })
    }

    pub fn dtype(&self) -> Result<DType, String> {
        let name = self
            .get(&["ElementType"])
            .ok_or("no 'ElementType' in the header")?;
        let known = TYPES.iter().find(|(n, _)| *n == name);
        known.map(|&(_, dtype)| dtype).ok_or_else(|| {
            format!(
                "voxel type {} is not supported; use MET_SHORT, MET_FLOAT ...",
                quoted(name)
            )
        })
    }

    pub fn endian(&self) -> Endian {
        let keys = ["BinaryDataByteOrderMSB", "ElementByteOrderMSB"];
        if keys.iter().any(|key| self.is_true(key)) {
            Endian::Big
        } else {
            Endian::Little
        }
    }

    /// Values of one voxel.
    pub fn channels(&self) -> Result<usize, String> {
        match self.get(&["ElementNumberOfChannels"]) {
            None => Ok(1),
            Some(text) => match text.parse() {
                Ok(channels) if (1..=1 << 16).contains(&channels) => Ok(channels),
                _ => Err(format!(
                    "ElementNumberOfChannels = {}; expected at least 1",
                    quoted(text)
                )),
            },
        }
    }

    pub fn affine(&self, axes: usize) -> Result<Affine, String> {
        let list = |keys: &[&str], count: usize, default: fn(usize, usize) -> f64| {
            let Some(text) = self.get(keys) else {
                return Ok((0..count).map(|n| default(n, axes)).collect());
            };
            match numbers(text) {
                Ok(values) if values.len() == count && values.iter().all(|v| v.is_finite()) => {
                    Ok(values)
                }
                _ => Err(format!(
                    "{} = {}; expected {count} numbers",
                    keys[0],
                    quoted(text)
                )),
            }
        };
        let identity = |n: usize, axes: usize| f64::from(n.is_multiple_of(axes + 1));
        let matrix = list(
            &["TransformMatrix", "Rotation", "Orientation"],
            axes * axes,
            identity,
        )?;
        let placement = Placement {
            directions: DMatrix::from_column_slice(axes, axes, &matrix),
            spacing: list(&["ElementSpacing", "ElementSize"], axes, |_, _| 1.0)?,
            origin: DVector::from_vec(list(&["Offset", "Position", "Origin"], axes, |_, _| 0.0)?),
        };
        placement.affine()
    }

    pub fn compressed(&self) -> bool {
        self.is_true("CompressedData")
    }

    /// What cannot be read although it is MetaImage.
    pub fn check_kind(&self) -> Result<(), String> {
        let kind = self.get(&["ObjectType"]).unwrap_or("Image");
        if kind != "Image" {
            return Err(format!(
                "MetaIO object of type {}, not an image",
                quoted(kind)
            ));
        }
        if self.get(&["BinaryData"]).is_some() && !self.is_true("BinaryData") {
            return Err("voxels as text (BinaryData = False); save them as binary".into());
        }
        Ok(())
    }

    /// Name of the file with the voxels; `None` for the header's own.
    pub fn data_file(&self) -> Result<Option<&str>, String> {
        match self.get(&[LAST_KEY]).unwrap_or_default() {
            "LOCAL" | "Local" | "local" => Ok(None),
            "" => Err("ElementDataFile names no file".into()),
            name if name.starts_with("LIST") || name.contains('%') => Err(format!(
                "voxels in a series of files (ElementDataFile = {}); save the image as one file",
                quoted(name)
            )),
            name => Ok(Some(name)),
        }
    }

    /// Bytes of the data file before its voxels; `None` where the voxels are its end.
    pub fn skip(&self) -> Result<Option<u64>, String> {
        match self.get(&["HeaderSize"]) {
            None => Ok(Some(0)),
            Some("-1") => Ok(None),
            Some(text) => {
                let wrong = |_| format!("HeaderSize = {}; expected bytes, or -1", quoted(text));
                text.parse().map(Some).map_err(wrong)
            }
        }
    }
}
