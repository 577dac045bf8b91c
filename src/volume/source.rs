//! Reading what a header claims and not a byte more: plain or gzipped files of known or unknown length.
//!
//! Nothing is allocated before the claim has been compared with what the file can hold, and a gzip stream
//! is followed no further than the claim, so that a small hostile file cannot take the memory.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use flate2::read::{MultiGzDecoder, ZlibDecoder};

use super::format::{is_gzip_name, quoted};
use crate::error::{Error, Result};

/// Deflate cannot expand by more than this.
const MAX_GZIP_RATIO: u64 = 1032;

/// What may follow the voxels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trailing {
    Refuse,
    /// Tags of any kind, up to this many bytes.
    Allow(u64),
}

/// How a header says that the voxels after it are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Zlib,
    Gzip,
}

/// An opened image file, decompressed on the fly where its name ends in `gz`.
pub(crate) struct Source {
    path: PathBuf,
    reader: Stream,
    /// No more bytes than this can come out of the file.
    capacity: u64,
    consumed: u64,
}

enum Stream {
    Plain(BufReader<File>),
    Gzip(Box<Members>),
    /// An entry of an archive.
    Entry(Box<dyn Read>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buffer),
            Self::Gzip(members) => members.read(buffer),
            Self::Entry(entry) => entry.read(buffer),
        }
    }
}

/// The members of a gzip file one after the other (several are legal, as `bgzip` writes them).
struct Members {
    decoder: Option<GzDecoder<BufReader<File>>>,
}

impl Read for Members {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.decoder {
            let read = decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(finished) = self.decoder.take() else {
                break;
            };
            let mut rest = finished.into_inner();
            let next = rest.fill_buf()?;
            if next.starts_with(&[0x1f, 0x8b]) {
                self.decoder = Some(GzDecoder::new(rest));
            } else if !next.is_empty() {
                let problem = "bytes that are not gzip follow the end of the gzip stream";
                return Err(io::Error::new(ErrorKind::InvalidData, problem));
            }
        }
        Ok(0)
    }
}

impl Source {
    /// Opens a file and compares the first bytes with what the suffix says about gzip.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let length = file.metadata().map_err(|e| Error::io(path, e))?.len();
        let mut reader = BufReader::with_capacity(1 << 18, file);
        let start = reader.fill_buf().map_err(|e| Error::io(path, e))?;
        if start.is_empty() {
            return Err(Error::file(path, "the file is empty"));
        }
        let compressed = start.starts_with(&[0x1f, 0x8b]);
        let (stream, capacity) = match (is_gzip_name(path), compressed) {
            (true, true) => {
                let decoder = Some(GzDecoder::new(reader));
                let capacity = length.saturating_mul(MAX_GZIP_RATIO);
                (Stream::Gzip(Box::new(Members { decoder })), capacity)
            }
            (false, false) => (Stream::Plain(reader), length),
            (true, false) => {
                let problem =
                    "named as gzip but its content is not; remove the gzip suffix or compress it";
                return Err(Error::file(path, problem));
            }
            (false, true) => {
                let problem =
                    "gzip data under a plain name; rename it (.nii.gz, .mgz) or decompress it";
                return Err(Error::file(path, problem));
            }
        };
        Ok(Self {
            path: path.to_path_buf(),
            reader: stream,
            capacity,
            consumed: 0,
        })
    }

    /// Opens the file of voxels that the header at `header` names, such as the `.raw` of a `.mhd`.
    ///
    /// # Errors
    /// A name that no file has, a file that cannot be read.
    pub fn named_by(header: &Path, name: &str) -> Result<Self> {
        let refused = |problem: &dyn Display| {
            let name = quoted(name);
            Error::file(header, format!("its file of voxels, {name}: {problem}"))
        };
        if name.contains(char::is_control) {
            return Err(refused(&"no file name"));
        }
        let path = header.with_file_name(name);
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = opened.map_err(|error| refused(&error))?;
        if metadata.is_dir() {
            return Err(refused(&"a folder"));
        }
        let length = metadata.len();
        Ok(Self {
            path,
            reader: Stream::Plain(BufReader::with_capacity(1 << 18, file)),
            capacity: length,
            consumed: 0,
        })
    }

    /// What is left of the file, decompressed.
    pub fn inflated(self, compression: Compression) -> Self {
        let left = self.left();
        let reader: Box<dyn Read> = match compression {
            Compression::Zlib => Box::new(ZlibDecoder::new(self.reader)),
            Compression::Gzip => Box::new(MultiGzDecoder::new(self.reader)),
        };
        let capacity = left.saturating_mul(MAX_GZIP_RATIO);
        Self::from_reader(&self.path, reader, capacity)
    }

    /// Content that comes from inside the file at `path`, at most `capacity` bytes of it.
    pub fn from_reader(path: &Path, reader: Box<dyn Read>, capacity: u64) -> Self {
        Self {
            path: path.to_path_buf(),
            reader: Stream::Entry(reader),
            capacity,
            consumed: 0,
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads exactly `length` bytes; `what` names them in the error.
    ///
    /// # Errors
    /// A length the file cannot hold (nothing is allocated then), a cut or damaged file.
    pub fn take(&mut self, length: u64, what: &str) -> Result<Vec<u8>> {
        let left = self.left();
        if length > left {
            return Err(self.too_short(length, "at most ", left, what));
        }
        let mut bytes = Vec::new();
        let reserved = usize::try_from(length)
            .ok()
            .map(|n| bytes.try_reserve_exact(n));
        if !matches!(reserved, Some(Ok(()))) {
            let problem = format!("no memory for {what}: {length} bytes");
            return Err(Error::file(&self.path, problem));
        }
        let outcome = (&mut self.reader).take(length).read_to_end(&mut bytes);
        self.consumed += bytes.len() as u64;
        match outcome {
            Err(e) => Err(self.damaged(&e)),
            Ok(_) if (bytes.len() as u64) < length => {
                Err(self.too_short(length, "", bytes.len() as u64, what))
            }
            Ok(_) => Ok(bytes),
        }
    }

    /// One line of a text header without its end, which at the end of the file may be missing; `what` names the header
    /// in the error.
    ///
    /// # Errors
    /// A line longer than `limit` bytes, or none at all.
    pub fn line(&mut self, limit: u64, what: &str) -> Result<String> {
        let mut line = Vec::new();
        while self.left() > 0 && (line.len() as u64) < limit {
            match self.take(1, what)?[0] {
                b'\n' => return Ok(text(&line)),
                byte => line.push(byte),
            }
        }
        if self.left() == 0 && !line.is_empty() {
            return Ok(text(&line));
        }
        let problem = format!("{what} does not end; the file is damaged or another format");
        Err(Error::file(&self.path, problem))
    }

    /// Bytes that may still come; a compressed file usually holds fewer.
    pub fn left(&self) -> u64 {
        self.capacity - self.consumed.min(self.capacity)
    }

    /// Passes over `length` bytes, such as header extensions.
    pub fn skip(&mut self, length: u64, what: &str) -> Result<()> {
        let copied = io::copy(&mut (&mut self.reader).take(length), &mut io::sink());
        let copied = copied.map_err(|e| self.damaged(&e))?;
        self.consumed += copied;
        if copied < length {
            return Err(self.too_short(length, "", copied, what));
        }
        Ok(())
    }

    /// Reads to the end, which verifies a gzip checksum.
    ///
    /// # Errors
    /// More bytes than the header accounts for, and damage.
    pub fn finish(mut self, trailing: Trailing) -> Result<()> {
        let allowed = match trailing {
            Trailing::Refuse => 0,
            Trailing::Allow(bytes) => bytes,
        };
        let rest = io::copy(&mut (&mut self.reader).take(allowed + 1), &mut io::sink());
        let rest = rest.map_err(|e| self.damaged(&e))?;
        if rest > allowed {
            let problem = format!(
                "goes on after the {} bytes that its header accounts for; header or file is damaged",
                self.consumed
            );
            return Err(Error::file(&self.path, problem));
        }
        Ok(())
    }

    fn too_short(&self, needed: u64, at_most: &str, found: u64, what: &str) -> Error {
        let problem = format!(
            "too short for {what}: {needed} bytes expected, {at_most}{found} found; \
             the file is cut off or its header is wrong"
        );
        Error::file(&self.path, problem)
    }

    fn damaged(&self, error: &io::Error) -> Error {
        let compressed = !matches!(self.reader, Stream::Plain(_));
        let consumed = self.consumed;
        let problem = match error.kind() {
            ErrorKind::UnexpectedEof if compressed => {
                format!(
                    "compressed data is cut off after {consumed} bytes of content; copy the file again"
                )
            }
            ErrorKind::InvalidData | ErrorKind::InvalidInput if compressed => {
                format!("compressed data is damaged: {error}; copy the file again")
            }
            _ => error.to_string(),
        };
        Error::file(&self.path, problem)
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line)
        .trim_end_matches('\r')
        .to_string()
}
