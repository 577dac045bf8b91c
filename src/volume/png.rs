//! PNG pictures as 2-D images of 1 mm pixels.
//!
//! Axis `i` runs along the rows from left to right and `j` down the columns, so `shape` is
//! `(width, height, 1)`. A PNG has no place in the world: it is read as lying in the LPS plane with its first
//! pixel at the origin, as ITK reads it, which makes the affine `diag(-1, -1, 1)` in RAS.

use std::io::{self, Cursor, Write};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageEncoder, Limits, codecs::png};
use nalgebra::{Matrix3, Vector3};

use super::dtype::{DType, Endian};
use super::format::Format;
use super::io::write_atomically;
use super::raw::{Intent, Layout, RawVolume, Samples};
use super::write::Content;
use super::{Affine, Dimension, World};
use crate::error::{Error, Result};

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// No picture of a scan comes near this; a hostile header does.
const MAX_PIXELS: u64 = 1 << 28;

/// Reads a PNG of 8 or 16 bits.
pub(crate) fn read(path: &Path) -> Result<RawVolume> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    if !bytes.starts_with(SIGNATURE) {
        return Err(Error::file(path, "not a PNG, whatever its name says"));
    }
    let damaged = |e: image::ImageError| {
        let text = e.to_string().replace('\n', " ");
        Error::file(path, format!("PNG is damaged or cut off: {text}"))
    };
    let decoder = png::PngDecoder::with_limits(Cursor::new(bytes), limits()).map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        let problem = format!("{width}x{height} pixels; at most {MAX_PIXELS} are read");
        return Err(Error::file(path, problem));
    }
    let picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    let channels = usize::from(picture.color().channel_count());
    let dtype = match usize::from(picture.color().bytes_per_pixel()) / channels {
        2 => DType::U16,
        _ => DType::U8,
    };
    let mut shape = vec![width as usize, height as usize];
    let intent = match channels {
        1 => Intent::Image,
        _ => {
            shape.extend([1, channels]);
            Intent::Colour
        }
    };
    let samples = Samples {
        bytes: picture.into_bytes(),
        dtype,
        endian: Endian::NATIVE,
        layout: Layout::ChannelsFastest,
        scale: None,
    };
    Ok(RawVolume {
        format: Format::Png,
        shape,
        affine: affine(),
        world: World::ALIGNED,
        intent,
        frame_step: None,
        samples,
    })
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_PIXELS * 8);
    limits
}

/// 1 mm pixels in the LPS plane.
fn affine() -> Affine {
    Affine::from_parts(
        Matrix3::from_diagonal(&Vector3::new(-1.0, -1.0, 1.0)),
        Vector3::zeros(),
    )
}

/// Writes a picture of 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA) channels; `voxels` writes them in native byte order,
/// the channels of a pixel together, then the first axis.
///
/// # Errors
/// A volume, or a type other than uint8 and uint16.
pub(crate) fn write(
    path: &Path,
    content: &Content,
    voxels: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    use image::ExtendedColorType as Colour;

    if content.geometry.dimension != Dimension::Two {
        return Err(Error::file(
            path,
            "PNG holds 2-D images; write the volume as .nii.gz",
        ));
    }
    let colour = match (content.encoding.dtype, content.channels) {
        (DType::U8, 1) => Colour::L8,
        (DType::U8, 2) => Colour::La8,
        (DType::U8, 3) => Colour::Rgb8,
        (DType::U8, 4) => Colour::Rgba8,
        (DType::U16, 1) => Colour::L16,
        (DType::U16, 2) => Colour::La16,
        (DType::U16, 3) => Colour::Rgb16,
        (DType::U16, 4) => Colour::Rgba16,
        (dtype, _) => {
            let problem = format!("PNG has no {dtype}; choose uint8 or uint16");
            return Err(Error::file(path, problem));
        }
    };
    let [width, height, _] = content.geometry.shape.map(|n| n as u32);
    let mut bytes = Vec::new();
    voxels(&mut bytes).map_err(|e| Error::io(path, e))?;
    write_atomically(path, |out| {
        let encoder = png::PngEncoder::new(out);
        encoder
            .write_image(&bytes, width, height, colour)
            .map_err(io::Error::other)
    })
}
