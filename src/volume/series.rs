//! Images of several volumes: the frames of a 4-D image, the channels of a colour image.

use std::borrow::Borrow;
use std::io;
use std::path::{Path, PathBuf};

use super::dtype::Encoding;
use super::raw::{Intent, RawVolume};
use super::read::{Role, check_scalar, image_in, image_of, read_raw, volumes_of};
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
        /// From one to the next along the fourth axis, where the file says it.
        step: Option<FrameStep>,
    },
    /// Grey and alpha, RGB, or RGBA.
    Colour,
}

/// What the fourth axis of a NIfTI file steps by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrameStep {
    pub value: f64,
    /// The bits of NIfTI for its unit: 8 seconds, 16 ms, 24 us, 32 Hz, 40 ppm, 48 rad/s, 0 where the file does not say it.
    pub unit: u8,
}

impl FrameStep {
    /// What files hold that do not know.
    pub(crate) const UNKNOWN: Self = Self {
        value: 1.0,
        unit: 0,
    };
}

impl SeriesKind {
    /// Of a single volume.
    pub const SINGLE: Self = Self::Frames {
        sizes: Vec::new(),
        step: None,
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
            step: self.raw.frame_step,
        }
    }

    /// How the file stores its values.
    pub fn encoding(&self) -> Encoding {
        Encoding {
            dtype: self.raw.samples.dtype,
            scale: self.raw.samples.scale,
        }
    }

    pub fn geometry(&self) -> Geometry {
        self.raw.geometry()
    }

    /// How many volumes or channels [`Self::all`] finds.
    pub fn volumes(&self) -> usize {
        self.raw.frames()
    }

    /// One of [`Self::all`].
    ///
    /// # Errors
    /// As [`Self::all`].
    pub fn volume(&self, number: usize) -> Result<Image> {
        image_of(&self.path, &self.raw, number)
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
/// RGBA of 8), scales that the format does not have.
pub fn write_series(
    path: impl AsRef<Path>,
    series: &Series,
    encoding: impl Into<Encoding>,
    note: &str,
) -> Result<()> {
    let head = (series.geometry(), &series.kind);
    write_volumes(path, head, encoding, note, series.volumes.iter().map(Ok))
}

/// As [`write_series`] for volumes that are made one by one, each when the one before is written, as many as the kind
/// says. What the format cannot hold is refused before the first is made.
///
/// # Errors
/// As [`write_series`], and those of the volumes.
pub fn write_volumes<V: Borrow<Image>>(
    path: impl AsRef<Path>,
    (geometry, kind): (&Geometry, &SeriesKind),
    encoding: impl Into<Encoding>,
    note: &str,
    volumes: impl ExactSizeIterator<Item = Result<V>>,
) -> Result<()> {
    let encoding = encoding.into();
    let (trailing, channels, frame_step) = match kind {
        SeriesKind::Frames { sizes, step } => (&sizes[..], 1, *step),
        SeriesKind::Colour => (&[][..], volumes.len(), None),
    };
    let content = Content {
        geometry,
        trailing,
        channels,
        frame_step,
        encoding,
        note,
    };
    let mut failed = None;
    let written = write_content(path.as_ref(), &content, |endian, out| {
        let mut encoded = volumes.map(|volume| match volume {
            Ok(volume) => {
                let image: &Image = volume.borrow();
                Ok(encode(&image.data, encoding, endian))
            }
            Err(error) => {
                failed = Some(error);
                Err(io::Error::other("a volume is missing"))
            }
        });
        match kind {
            SeriesKind::Frames { .. } => encoded.try_for_each(|bytes| out.write_all(&bytes?)),
            SeriesKind::Colour => {
                let channels: Vec<Vec<u8>> = encoded.collect::<io::Result<_>>()?;
                out.write_all(&interleaved(&channels, encoding.dtype.size()))
            }
        }
    });
    failed.map_or(written, Err)
}

/// Values of `size` bytes, one of each channel in turn.
fn interleaved(channels: &[Vec<u8>], size: usize) -> Vec<u8> {
    let pixels = channels[0].len() / size;
    let values = (0..pixels).flat_map(|n| channels.iter().map(move |c| &c[n * size..][..size]));
    values.flatten().copied().collect()
}
