//! Reads `.mha` and `.mhd`.

use std::path::{Path, PathBuf};

use super::super::World;
use super::super::format::Format;
use super::super::raw::{Intent, Layout, RawVolume, Samples, byte_count};
use super::super::source::{Compression, Source, Trailing};
use super::header::Header;
use crate::error::{Error, Result};

/// Reads an image, in one file or with its voxels beside it.
pub(crate) fn read(path: &Path) -> Result<RawVolume> {
    let mut source = Source::open(path)?;
    let header = Header::read(&mut source)?;
    let at = |problem| Error::file(path, problem);
    let (mut volume, length) = describe(&header).map_err(at)?;
    let compressed = header.compressed();
    if let Some(name) = header.data_file().map_err(at)? {
        source.finish(Trailing::Refuse)?;
        source = Source::named_by(path, name)?;
        let skip = match header.skip().map_err(at)? {
            Some(skip) => skip,
            None if compressed => return Err(at("HeaderSize = -1 with compressed voxels".into())),
            // Too few bytes are found below, when the voxels are read.
            None => source.left().saturating_sub(length),
        };
        source.skip(skip, "the bytes before the voxels")?;
    }
    if compressed {
        source = source.inflated(Compression::Zlib);
    }
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
    header.check_kind()?;
    let mut shape = header.sizes()?;
    let affine = header.affine(shape.len())?;
    let channels = header.channels()?;
    let (intent, layout) = match channels {
        1 => (Intent::Image, Layout::FirstFastest),
        _ if shape.len() > 3 => {
            return Err(format!(
                "{channels} channels in a {}-D image; at most 3-D is read",
                shape.len()
            ));
        }
        _ => {
            shape.resize(4, 1);
            shape.push(channels);
            (Intent::Channels, Layout::ChannelsFastest)
        }
    };
    let dtype = header.dtype()?;
    let length = byte_count(&shape, dtype)?;
    let samples = Samples {
        bytes: Vec::new(),
        dtype,
        endian: header.endian(),
        layout,
        scale: None,
    };
    let volume = RawVolume {
        format: Format::MetaImage,
        shape,
        affine,
        world: World::ALIGNED,
        intent,
        frame_step: None,
        samples,
    };
    Ok((volume, length))
}
