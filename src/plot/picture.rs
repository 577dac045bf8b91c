//! An RGB buffer and the few ways to draw on it.

use super::colour::Rgb;
use crate::error::{Error, Result};
use crate::volume::write_atomically;
use image::ImageEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use std::path::Path;

/// A picture of 8-bit RGB, rows from top to bottom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub width: usize,
    pub height: usize,
    /// `3 * width * height` bytes.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// One colour.
    pub fn new(width: usize, height: usize, colour: Rgb) -> Self {
        Self {
            width,
            height,
            rgb: colour.repeat(width * height),
        }
    }

    /// The colour of each pixel by its column and row.
    pub(super) fn painted(
        [width, height]: [usize; 2],
        mut colour: impl FnMut([usize; 2]) -> Rgb,
    ) -> Self {
        let mut picture = Self::new(width, height, [0; 3]);
        for y in 0..height {
            for x in 0..width {
                picture.set(x, y, colour([x, y]));
            }
        }
        picture
    }

    /// Writes a PNG; the file appears whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_png(&self, path: impl AsRef<Path>) -> Result<()> {
        self.check_size()?;
        write_atomically(path, |out| {
            self.encode(PngEncoder::new(out))
                .map_err(std::io::Error::other)
        })
    }

    /// The bytes of a PNG, smaller than [`Picture::write_png`] makes them.
    ///
    /// # Errors
    /// More than 2^32 pixels along a side.
    pub(super) fn png(&self) -> Result<Vec<u8>> {
        self.check_size()?;
        let mut bytes = Vec::new();
        let (compression, filter) = (CompressionType::Default, FilterType::Adaptive);
        self.encode(PngEncoder::new_with_quality(
            &mut bytes,
            compression,
            filter,
        ))
        .map_err(|e| Error::invalid(format!("picture: {e}")))?;
        Ok(bytes)
    }

    fn check_size(&self) -> Result<()> {
        let too_large = |_| Error::invalid("picture: more than 2^32 pixels along a side");
        u32::try_from(self.width.max(self.height))
            .map(drop)
            .map_err(too_large)
    }

    fn encode(&self, encoder: impl ImageEncoder) -> image::ImageResult<()> {
        let (width, height) = (self.width as u32, self.height as u32);
        encoder.write_image(&self.rgb, width, height, image::ExtendedColorType::Rgb8)
    }

    /// Colour of a pixel.
    pub fn pixel(&self, x: usize, y: usize) -> Rgb {
        let at = 3 * (y * self.width + x);
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }

    pub(super) fn set(&mut self, x: usize, y: usize, colour: Rgb) {
        let at = 3 * (y * self.width + x);
        self.rgb[at..at + 3].copy_from_slice(&colour);
    }

    /// Lays a colour over a pixel; nothing happens outside the picture.
    pub(super) fn blend(&mut self, x: isize, y: isize, colour: Rgb, alpha: f64) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else {
            return;
        };
        if x < self.width && y < self.height {
            self.set(x, y, super::colour::mix(self.pixel(x, y), colour, alpha));
        }
    }

    /// Fills a rectangle, which must lie inside.
    pub(super) fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, colour: Rgb) {
        for row in y..y + height {
            for column in x..x + width {
                self.set(column, row, colour);
            }
        }
    }

    /// Copies another picture in; it must fit.
    pub(super) fn paste(&mut self, other: &Self, x: usize, y: usize) {
        for row in 0..other.height {
            let from = 3 * row * other.width;
            let to = 3 * ((y + row) * self.width + x);
            self.rgb[to..to + 3 * other.width]
                .copy_from_slice(&other.rgb[from..from + 3 * other.width]);
        }
    }

    /// The mean of every `factor` x `factor` block.
    pub(super) fn reduced(&self, factor: usize) -> Self {
        let mut small = Self::new(self.width / factor, self.height / factor, [0; 3]);
        let count = (factor * factor) as u32;
        for y in 0..small.height {
            for x in 0..small.width {
                let mut sum = [0_u32; 3];
                for (dy, dx) in (0..factor).flat_map(|dy| (0..factor).map(move |dx| (dy, dx))) {
                    let colour = self.pixel(x * factor + dx, y * factor + dy);
                    (0..3).for_each(|c| sum[c] += u32::from(colour[c]));
                }
                small.set(x, y, sum.map(|total| ((total + count / 2) / count) as u8));
            }
        }
        small
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn png_holds_the_pixels_and_replaces_an_older_file() {
        let mut picture = Picture::new(5, 3, [10, 20, 30]);
        picture.fill(1, 0, 2, 2, [200, 100, 50]);
        picture.blend(4, 2, [20, 40, 60], 0.5);
        picture.blend(-1, 9, [0; 3], 1.0);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.png");
        std::fs::write(&path, "old").unwrap();
        picture.write_png(&path).unwrap();
        let read = image::open(&path).unwrap().to_rgb8();
        assert_eq!(read.dimensions(), (5, 3));
        assert_eq!(read.into_raw(), picture.rgb);
        assert_eq!(picture.pixel(2, 1), [200, 100, 50]);
        assert_eq!(picture.pixel(4, 2), [15, 30, 45]);
        assert_eq!(picture.pixel(0, 0), [10, 20, 30]);
        assert!(picture.write_png(folder.path().join("none/p.png")).is_err());
    }

    #[test]
    fn reducing_averages_blocks() {
        let mut picture = Picture::new(4, 2, [0; 3]);
        picture.fill(0, 0, 1, 2, [255; 3]);
        let small = picture.reduced(2);
        assert_eq!((small.width, small.height), (2, 1));
        assert_eq!((small.pixel(0, 0), small.pixel(1, 0)), ([128; 3], [0; 3]));
    }
}
