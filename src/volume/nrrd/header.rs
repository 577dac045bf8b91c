//! The text header: fields, without the key/value pairs and comments between them.

use super::super::dtype::{DType, Endian};
use super::super::format::{axis_sizes, quoted};
use super::super::source::{Compression, Source};
use super::TYPES;
use crate::error::{Error, Result};

const MAGIC: &str = "NRRD000";
/// Diffusion scans list a gradient a line; more than this is no header.
const MAX_BYTES: u64 = 1 << 20;

/// Fields by name, in lower case.
pub(super) struct Header {
    fields: Vec<(String, String)>,
}

impl Header {
    /// Reads up to the empty line, after which the voxels may follow, or to the end of a header without voxels.
    pub fn read(source: &mut Source) -> Result<Self> {
        let what = "the NRRD header";
        let first = source.line(64, what)?;
        if !first.starts_with(MAGIC) {
            let problem = format!(
                "not NRRD: {} where 'NRRD0004' or the like is expected",
                quoted(&first)
            );
            return Err(Error::file(source.path(), problem));
        }
        let mut fields = Vec::new();
        let mut left = MAX_BYTES;
        while source.left() > 0 {
            let line = source.line(left, what)?;
            left = left.saturating_sub(line.len() as u64 + 1);
            if line.is_empty() {
                break;
            }
            // `key:=value` are notes of whoever wrote the file.
            let noted = line.find(":=").is_some_and(|at| Some(at) == line.find(':'));
            if line.starts_with('#') || noted {
                continue;
            }
            let Some((key, value)) = line.split_once(": ") else {
                let problem = format!("{} in the NRRD header is no 'field: value'", quoted(&line));
                return Err(Error::file(source.path(), problem));
            };
            fields.push((key.trim().to_ascii_lowercase(), value.trim().to_string()));
        }
        Ok(Self { fields })
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Sizes of all axes, spatial or not.
    pub fn sizes(&self) -> Result<Vec<usize>, String> {
        let axes = self
            .get("dimension")
            .ok_or("no 'dimension' in the header")?;
        let text = self.get("sizes").ok_or("no 'sizes' in the header")?;
        axis_sizes(axes, text).ok_or_else(|| {
            format!(
                "dimension {}, sizes {}; expected 2 to 7 axes and as many sizes of at least 1",
                quoted(axes),
                quoted(text)
            )
        })
    }

    pub fn dtype(&self) -> Result<DType, String> {
        let name = self.get("type").ok_or("no 'type' in the header")?;
        let known = TYPES.iter().find(|(_, names)| names.contains(&name));
        known.map(|&(dtype, _)| dtype).ok_or_else(|| {
            format!(
                "voxel type {} is not supported; use short, float ...",
                quoted(name)
            )
        })
    }

    /// # Errors
    /// No byte order where a voxel has several bytes.
    pub fn endian(&self, dtype: DType) -> Result<Endian, String> {
        match self.get("endian") {
            Some("little") => Ok(Endian::Little),
            Some("big") => Ok(Endian::Big),
            None if dtype.size() == 1 => Ok(Endian::Little),
            other => Err(format!(
                "endian is {}; expected little or big",
                quoted(other.unwrap_or_default())
            )),
        }
    }

    pub fn compression(&self) -> Result<Option<Compression>, String> {
        match self.get("encoding") {
            Some("raw") => Ok(None),
            Some("gzip" | "gz") => Ok(Some(Compression::Gzip)),
            other => {
                let shown = quoted(other.unwrap_or_default());
                Err(format!(
                    "encoding {shown} is not supported; save the image as raw or gzip"
                ))
            }
        }
    }

    /// Name of the file with the voxels; `None` for the header's own.
    pub fn data_file(&self) -> Result<Option<&str>, String> {
        match self.get("data file").or(self.get("datafile")) {
            Some(name) if name.starts_with("LIST") || name.contains('%') => Err(format!(
                "voxels in a series of files (data file: {}); save the image as one file",
                quoted(name)
            )),
            name => Ok(name),
        }
    }

    /// A number of lines or bytes to pass over; -1 bytes leave the voxels at the end of the file.
    pub fn skip(&self, name: &str) -> Result<i64, String> {
        let text = self
            .get(name)
            .or(self.get(&name.replace(' ', "")))
            .unwrap_or("0");
        let lowest = if name == "byte skip" { -1 } else { 0 };
        match text.parse() {
            Ok(skip) if (lowest..=1 << 40).contains(&skip) => Ok(skip),
            _ => Err(format!(
                "{name} is {}; expected a count of at least {lowest}",
                quoted(text)
            )),
        }
    }
}
