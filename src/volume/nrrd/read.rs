//! Reads `.nrrd` and `.nhdr`.

use std::path::{Path, PathBuf};

use super::super::World;
use super::super::format::Format;
use super::super::raw::{RawVolume, Samples, byte_count};
use super::super::source::{Source, Trailing};
use super::axes::Axes;
use super::header::Header;
use crate::error::{Error, Result};

/// Reads an image, in one file or with its voxels beside it.
pub(crate) fn read(path: &Path) -> Result<RawVolume> {
    let mut source = Source::open(path)?;
    let header = Header::read(&mut source)?;
    let at = |problem| Error::file(path, problem);
    let (mut volume, length) = describe(&header).map_err(at)?;
    let compression = header.compression().map_err(at)?;
    if let Some(name) = header.data_file().map_err(at)? {
        source = Source::named_by(path, name)?;
    }
    for _ in 0..header.skip("line skip").map_err(at)? {
        source.line(1 << 20, "the lines before the voxels")?;
    }
    if let Some(compression) = compression {
        source = source.inflated(compression);
    }
    let skip = match header.skip("byte skip").map_err(at)? {
        -1 if compression.is_some() => {
            return Err(at("byte skip -1 with compressed voxels".into()));
        }
        // Too few bytes are found below, when the voxels are read.
        -1 => source.left().saturating_sub(length),
        skip => skip as u64,
    };
    source.skip(skip, "the bytes before the voxels")?;
    let what = format!("{} {} voxels", volume.shape_text(), volume.samples.dtype);
    volume.samples.bytes = source.take(length, &what)?;
    source.finish(Trailing::Refuse)?;
    Ok(volume)
}

/// The file that holds the voxels, where the header names one.
pub(crate) fn data_file(path: &Path) -> Result<Option<PathBuf>> {
    let header = Header::read(&mut Source::open(path)?)?;
    let name = header
        .data_file()
        .map_err(|problem| Error::file(path, problem))?;
    Ok(name.map(|name| path.with_file_name(name)))
}

/// Everything but the voxels, and how many bytes those take.
fn describe(header: &Header) -> Result<(RawVolume, u64), String> {
    let Axes {
        shape,
        affine,
        intent,
        layout,
    } = Axes::of(header)?;
    let dtype = header.dtype()?;
    let endian = header.endian(dtype)?;
    let length = byte_count(&shape, dtype)?;
    let samples = Samples {
        bytes: Vec::new(),
        dtype,
        endian,
        layout,
        scale: None,
    };
    let volume = RawVolume {
        format: Format::Nrrd,
        shape,
        affine,
        world: World::ALIGNED,
        intent,
        frame_step: None,
        samples,
    };
    Ok((volume, length))
}
