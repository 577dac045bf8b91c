//! Just enough of zip (APPNOTE.TXT 6.3) to read what numpy writes: stored or deflated entries below 4 GiB.
//!
//! A general library would do, but those at hand allocate what an entry claims before looking at it.

use std::io::{self, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::CrcReader;
use flate2::read::DeflateDecoder;

use super::super::dtype::Endian;
use super::super::fields::Fields;
use super::super::format::quoted;
use super::super::source::Source;
use crate::error::{Error, Result};

const END_BYTES: usize = 22;
const CENTRAL_BYTES: usize = 46;
const LOCAL_BYTES: usize = 30;
/// A size of this value is kept in a ZIP64 record.
const ELSEWHERE: u32 = u32::MAX;

/// A zip file in memory, with its directory.
pub(super) struct Archive {
    path: PathBuf,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    name: String,
    method: u16,
    encrypted: bool,
    crc: u32,
    compressed: u32,
    size: u32,
    offset: u32,
}

impl Archive {
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        if !bytes.starts_with(b"PK") {
            return Err(Error::file(
                path,
                "not an .npz archive, whatever its name says",
            ));
        }
        let entries = directory(&bytes).ok_or_else(|| {
            Error::file(
                path,
                "zip directory is missing or damaged; the file is cut off",
            )
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            bytes,
            entries,
        })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// The content of an entry, whose checksum is verified at its end.
    pub fn into_entry(self, index: usize) -> Result<Source> {
        let entry = self.entries[index].clone();
        let at = |problem: String| {
            Error::file(
                &self.path,
                format!("entry {} {problem}", quoted(&entry.name)),
            )
        };
        if entry.encrypted {
            return Err(at("is encrypted".into()));
        }
        if [entry.compressed, entry.size, entry.offset].contains(&ELSEWHERE) {
            return Err(at("is larger than 4 GiB; save it as .npy".into()));
        }
        let start = data_start(&self.bytes, entry.offset as usize);
        let range = start.map(|start| start..start.saturating_add(entry.compressed as usize));
        let data = range.and_then(|range| self.bytes.get(range));
        let data =
            data.ok_or_else(|| at("lies beyond the end of the file; it is cut off".into()))?;
        let cursor = Cursor::new(data.to_vec());
        let content: Box<dyn Read> = match entry.method {
            0 => Box::new(cursor),
            8 => Box::new(DeflateDecoder::new(cursor)),
            method => {
                return Err(at(format!(
                    "uses compression method {method}; use stored or deflate"
                )));
            }
        };
        let checked = Checked {
            content: CrcReader::new(content),
            crc: entry.crc,
        };
        Ok(Source::from_reader(
            &self.path,
            Box::new(checked),
            u64::from(entry.size),
        ))
    }
}

/// Fails at the end of the content if the checksum differs.
struct Checked {
    content: CrcReader<Box<dyn Read>>,
    crc: u32,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        if read == 0 && !buffer.is_empty() && self.content.crc().sum() != self.crc {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "checksum does not match",
            ));
        }
        Ok(read)
    }
}

/// `None` where a record is missing or reaches beyond the file.
fn directory(bytes: &[u8]) -> Option<Vec<Entry>> {
    let first = bytes.len().checked_sub(END_BYTES)?;
    // A comment of up to 64 KiB may follow the end record.
    let lowest = first.saturating_sub(usize::from(u16::MAX));
    let end = (lowest..=first)
        .rev()
        .find(|&at| bytes[at..].starts_with(b"PK\x05\x06"))?;
    let fields = Fields::new(&bytes[end..], Endian::Little);
    let count: u16 = fields.number(10);
    let mut at = fields.number::<u32>(16) as usize;
    let mut entries = Vec::new();
    for _ in 0..count {
        let record = bytes.get(at..at.checked_add(CENTRAL_BYTES)?)?;
        if !record.starts_with(b"PK\x01\x02") {
            return None;
        }
        let fields = Fields::new(record, Endian::Little);
        let lengths = [28, 30, 32].map(|offset| usize::from(fields.number::<u16>(offset)));
        let name = bytes.get(at + CENTRAL_BYTES..at + CENTRAL_BYTES + lengths[0])?;
        entries.push(Entry {
            name: String::from_utf8_lossy(name).into_owned(),
            method: fields.number(10),
            encrypted: fields.number::<u16>(8) & 1 == 1,
            crc: fields.number(16),
            compressed: fields.number(20),
            size: fields.number(24),
            offset: fields.number(42),
        });
        at += CENTRAL_BYTES + lengths.iter().sum::<usize>();
    }
    Some(entries)
}

/// Where the data of the entry with a local header at `offset` begins.
fn data_start(bytes: &[u8], offset: usize) -> Option<usize> {
    let record = bytes.get(offset..offset.checked_add(LOCAL_BYTES)?)?;
    if !record.starts_with(b"PK\x03\x04") {
        return None;
    }
    let fields = Fields::new(record, Endian::Little);
    let lengths = [26, 28].map(|at| usize::from(fields.number::<u16>(at)));
    Some(offset + LOCAL_BYTES + lengths[0] + lengths[1])
}
