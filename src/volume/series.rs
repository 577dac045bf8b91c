//! Images of several volumes: the frames of a 4-D image, the channels of a colour image.

use std::path::Path;

use super::dtype::DType;
use super::raw::{Intent, RawVolume};
use super::read::{Role, check_scalar, image_in, read_raw, volumes_of};
use super::write::{Content, encode, write_content};
use super::{Geometry, Image, colour};
use crate::error::Result;

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
    /// Grey and alpha, RGB, or RGBA.
    Colour,
}

impl SeriesKind {
    /// Of a single volume.
    pub const SINGLE: Self = Self::Frames {
        sizes: Vec::new(),
        seconds: None,
    };

    /// Images that can be registered each by itself.
    pub fn images(&self) -> usize {
        match self {
            Self::Frames { sizes, .. } => sizes.iter().product(),
            Self::Colour => 1,
        }
    }
}

impl Series {
    pub fn geometry(&self) -> &Geometry {
        &self.volumes[0].geometry
    }

    /// The volume, or the brightness of colours; of several frames the first.
    pub fn grey(&self) -> Image {
        match self.kind {
            SeriesKind::Frames { .. } => self.volumes[0].clone(),
            SeriesKind::Colour => colour::luminance(&self.volumes),
        }
    }
}

impl From<Image> for Series {
    fn from(image: Image) -> Self {
        Self {
            volumes: vec![image],
            kind: SeriesKind::SINGLE,
        }
    }
}

/// Reads all volumes of a file, and all channels of a colour image.
///
/// # Errors
/// As [`read_image`](super::read_image), but for several volumes.
pub fn read_series(path: impl AsRef<Path>) -> Result<Series> {
    let path = path.as_ref();
    let raw = read_scalars(path)?;
    Ok(Series {
        volumes: volumes_of(path, &raw)?,
        kind: kind_of(&raw),
    })
}

/// What [`read_series`] would find.
///
/// # Errors
/// As [`read_series`].
pub fn read_series_kind(path: impl AsRef<Path>) -> Result<SeriesKind> {
    read_scalars(path.as_ref()).map(|raw| kind_of(&raw))
}

/// Reads one volume as [`read_image_frame`](super::read_image_frame) does and, of a colour image, its channels too.
///
/// # Errors
/// As [`read_image_frame`](super::read_image_frame).
pub fn read_scan(path: impl AsRef<Path>, frame: Option<usize>) -> Result<(Image, Option<Series>)> {
    let path = path.as_ref();
    let raw = read_scalars(path)?;
    let image = image_in(path, &raw, frame)?;
    let colours = match raw.intent {
        Intent::Colour => Some(Series {
            volumes: volumes_of(path, &raw)?,
            kind: SeriesKind::Colour,
        }),
        _ => None,
    };
    Ok((image, colours))
}

fn read_scalars(path: &Path) -> Result<RawVolume> {
    let raw = read_raw(path, Role::Image)?;
    check_scalar(path, &raw)?;
    Ok(raw)
}

fn kind_of(raw: &RawVolume) -> SeriesKind {
    if raw.intent == Intent::Colour {
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
/// As [`write_image`](super::write_image); colours that the format does not have (PNG has 8 and 16 bits, NIfTI RGB and
/// RGBA of 8).
pub fn write_series(
    path: impl AsRef<Path>,
    series: &Series,
    dtype: DType,
    note: &str,
) -> Result<()> {
    let (trailing, channels, frame_seconds) = match &series.kind {
        SeriesKind::Frames { sizes, seconds } => (&sizes[..], 1, *seconds),
        SeriesKind::Colour => (&[][..], series.volumes.len(), None),
    };
    let content = Content {
        geometry: series.geometry(),
        trailing,
        channels,
        frame_seconds,
        dtype,
        note,
    };
    write_content(path.as_ref(), &content, |endian| {
        let volumes = series.volumes.iter();
        let volumes: Vec<Vec<u8>> = volumes.map(|v| encode(&v.data, dtype, endian)).collect();
        match series.kind {
            SeriesKind::Frames { .. } => volumes.concat(),
            SeriesKind::Colour => interleaved(&volumes, dtype.size()),
        }
    })
}

/// Values of `size` bytes, one of each channel in turn.
fn interleaved(channels: &[Vec<u8>], size: usize) -> Vec<u8> {
    let pixels = channels[0].len() / size;
    let values = (0..pixels).flat_map(|n| channels.iter().map(move |c| &c[n * size..][..size]));
    values.flatten().copied().collect()
}
