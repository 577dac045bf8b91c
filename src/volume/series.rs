//! Images of several volumes: the frames of a 4-D image, the channels of a colour picture.

use std::path::Path;

use super::dtype::{DType, Endian};
use super::format::Format;
use super::raw::RawVolume;
use super::read::{Role, check_scalar, image_of, read_raw};
use super::write::{Content, encode, write_content};
use super::{Geometry, Image, png};
use crate::error::{Error, Result};

/// Volumes on one grid, at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub volumes: Vec<Image>,
    pub kind: SeriesKind,
}

/// What the volumes of a series are.
#[derive(Debug, Clone, PartialEq)]
pub enum SeriesKind {
    /// Those along the fourth and further axes, which have these sizes (none of a single volume).
    Frames {
        sizes: Vec<usize>,
        /// Time from one to the next, where the file gives it in known units.
        seconds: Option<f64>,
    },
    /// Grey and alpha, RGB, or RGBA of a picture.
    Colour,
}

impl Series {
    pub fn geometry(&self) -> &Geometry {
        &self.volumes[0].geometry
    }
}

/// Reads all volumes of a file, and all channels of a colour picture.
///
/// # Errors
/// As [`read_image`](super::read_image), but for several volumes.
pub fn read_series(path: impl AsRef<Path>) -> Result<Series> {
    let path = path.as_ref();
    let raw = read_raw(path, Role::Channels)?;
    check_scalar(path, &raw)?;
    let volumes = (0..raw.frames()).map(|frame| image_of(path, &raw, frame));
    Ok(Series {
        volumes: volumes.collect::<Result<_>>()?,
        kind: kind_of(&raw),
    })
}

fn kind_of(raw: &RawVolume) -> SeriesKind {
    if raw.format == Format::Png && raw.frames() > 1 {
        return SeriesKind::Colour;
    }
    let sizes = match raw.frames() {
        1 => Vec::new(),
        _ => raw.shape[3..].to_vec(),
    };
    SeriesKind::Frames {
        sizes,
        seconds: raw.frame_seconds,
    }
}

/// Writes all volumes to one file; the suffix chooses the format.
///
/// # Errors
/// As [`write_image`](super::write_image); colours to another format than PNG.
pub fn write_series(
    path: impl AsRef<Path>,
    series: &Series,
    dtype: DType,
    note: &str,
) -> Result<()> {
    let path = path.as_ref();
    let content = |trailing, frame_seconds| Content {
        geometry: series.geometry(),
        trailing,
        frame_seconds,
        dtype,
        note,
    };
    let volumes = |endian| {
        series
            .volumes
            .iter()
            .map(move |v| encode(&v.data, dtype, endian))
    };
    match &series.kind {
        SeriesKind::Frames { sizes, seconds } => {
            write_content(path, &content(sizes, *seconds), |endian| {
                volumes(endian).collect::<Vec<_>>().concat()
            })
        }
        SeriesKind::Colour if Format::of(path)? != Format::Png => {
            Err(Error::file(path, "a colour picture is written as .png"))
        }
        SeriesKind::Colour => {
            let channels: Vec<Vec<u8>> = volumes(Endian::NATIVE).collect();
            let pixels = interleaved(&channels, dtype.size());
            png::write(path, &content(&[], None), channels.len(), &pixels)
        }
    }
}

/// Values of `size` bytes, one of each channel in turn.
fn interleaved(channels: &[Vec<u8>], size: usize) -> Vec<u8> {
    let pixels = channels[0].len() / size;
    let values = (0..pixels).flat_map(|n| channels.iter().map(move |c| &c[n * size..][..size]));
    values.flatten().copied().collect()
}
