//! Images of several volumes: the frames of a 4-D image, the channels of a colour image.

use std::path::{Path, PathBuf};

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

/// An image file after decompression, its voxels still of the type that the file has: volumes are taken from it one by one
/// without reading it again.
#[derive(Debug, Clone)]
pub struct SeriesFile {
    path: PathBuf,
    raw: RawVolume,
}

impl SeriesFile {
    /// # Errors
    /// An unreadable file, a displacement field.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let raw = read_raw(&path, Role::Image)?;
        check_scalar(&path, &raw)?;
        Ok(Self { path, raw })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What [`Self::all`] finds.
    pub fn kind(&self) -> SeriesKind {
        if self.raw.intent == Intent::Colour {
            return SeriesKind::Colour;
        }
        let sizes = match self.raw.frames() {
            1 => Vec::new(),
            _ => self.raw.shape[3..].to_vec(),
        };
        SeriesKind::Frames {
            sizes,
            seconds: self.raw.frame_seconds,
        }
    }

    /// The type of the values: that of the voxels, or float32 where the file scales them, since no integer holds what they
    /// stand for.
    pub fn dtype(&self) -> DType {
        match self.raw.samples.scale {
            Some(_) => DType::F32,
            None => self.raw.samples.dtype,
        }
    }

    /// One volume, as [`read_image_frame`](super::read_image_frame) reads it.
    ///
    /// # Errors
    /// As [`read_image_frame`](super::read_image_frame).
    pub fn image(&self, frame: Option<usize>) -> Result<Image> {
        image_in(&self.path, &self.raw, frame)
    }

    /// All volumes, and all channels of a colour image.
    ///
    /// # Errors
    /// A value beyond the float32 range.
    pub fn all(&self) -> Result<Series> {
        Ok(Series {
            volumes: volumes_of(&self.path, &self.raw)?,
            kind: self.kind(),
        })
    }
}

/// Reads all volumes of a file, and all channels of a colour image.
///
/// # Errors
/// As [`read_image`](super::read_image), but for several volumes.
pub fn read_series(path: impl AsRef<Path>) -> Result<Series> {
    SeriesFile::read(path)?.all()
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
        let encoded = volumes.map(|volume| encode(&volume.data, dtype, endian));
        match series.kind {
            // One after the other: of a long series a second copy would take as much memory again.
            SeriesKind::Frames { .. } => {
                let values = series.volumes.len() * series.geometry().voxels();
                let mut bytes = Vec::with_capacity(values * dtype.size());
                encoded.for_each(|volume| bytes.extend(volume));
                bytes
            }
            SeriesKind::Colour => interleaved(&encoded.collect::<Vec<_>>(), dtype.size()),
        }
    })
}

/// Values of `size` bytes, one of each channel in turn.
fn interleaved(channels: &[Vec<u8>], size: usize) -> Vec<u8> {
    let pixels = channels[0].len() / size;
    let values = (0..pixels).flat_map(|n| channels.iter().map(move |c| &c[n * size..][..size]));
    values.flatten().copied().collect()
}
