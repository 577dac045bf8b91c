//! Text on a picture: one embedded font, drawn four times as large and averaged down.

use super::colour::Rgb;
use super::picture::Picture;
use crate::error::{Error, Result};
use plotters::style::{FontDesc, FontFamily, FontStyle, register_font};
use std::convert::Infallible;
use std::sync::OnceLock;

/// Name under which the embedded font is known to plotters.
const FONT: &str = "hmorph";

/// How much larger text is rendered before averaging.
const OVERSAMPLING: usize = 4;

/// Which point of a text its position names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Left,
    Centre,
    Right,
}

/// A line of text; its position is the height of the middle of capital letters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text {
    pub size: f64,
    pub colour: Rgb,
    pub align: Anchor,
    /// Runs upwards instead of to the right.
    pub upright: bool,
}

impl Text {
    pub fn new(size: f64, colour: Rgb) -> Self {
        Self {
            size,
            colour,
            align: Anchor::Left,
            upright: false,
        }
    }

    pub fn align(self, align: Anchor) -> Self {
        Self { align, ..self }
    }

    pub fn upright(self) -> Self {
        Self {
            upright: true,
            ..self
        }
    }

    /// Width in pixels.
    pub fn width(&self, text: &str) -> Result<usize> {
        let font = large(self.size)?;
        let mut width = 0;
        for letter in text.chars() {
            width += advance(&font, letter)?;
        }
        Ok(width.div_ceil(OVERSAMPLING))
    }

    /// Draws at `(x, y)`; what falls outside the picture is lost.
    pub fn draw(&self, picture: &mut Picture, text: &str, x: f64, y: f64) -> Result<()> {
        let width = self.width(text)?;
        let (w, h) = (width + 4, (2.0 * self.size) as usize);
        let coverage = self.coverage(text, w, h)?;
        let shift = match self.align {
            Anchor::Left => 0.0,
            Anchor::Centre => width as f64 / 2.0,
            Anchor::Right => width as f64,
        };
        for (at, &alpha) in coverage.iter().enumerate() {
            let along = (at % w) as f64 - shift;
            let across = (at / w) as f64 - self.size;
            let (px, py) = if self.upright {
                (x + across, y - along)
            } else {
                (x + along, y + across)
            };
            if alpha > 0.0 {
                picture.blend(px.round() as isize, py.round() as isize, self.colour, alpha);
            }
        }
        Ok(())
    }

    /// Draws over an image: with a dark rim, so that it shows on bright ground too.
    pub fn draw_rimmed(&self, picture: &mut Picture, text: &str, x: f64, y: f64) -> Result<()> {
        let rim = Self {
            colour: [0; 3],
            ..*self
        };
        for (dx, dy) in [(-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0)] {
            rim.draw(picture, text, x + dx, y + dy)?;
        }
        self.draw(picture, text, x, y)
    }

    /// Share of each pixel covered, for a line centred at height `h / 2`.
    fn coverage(&self, text: &str, w: usize, h: usize) -> Result<Vec<f64>> {
        let mut coverage = vec![0.0; w * h];
        let share = 1.0 / (OVERSAMPLING * OVERSAMPLING) as f64;
        let (columns, rows) = ((w * OVERSAMPLING) as i32, (h * OVERSAMPLING) as i32);
        // plotters puts the baseline half a size below the position; capitals are 0.6 sizes high.
        let top = rows / 2 - (0.2 * self.size * OVERSAMPLING as f64) as i32;
        let font = large(self.size)?;
        let mut pen = 0;
        for letter in text.chars() {
            let ink = ink(&font, letter)?;
            let width = ink.iter().map(|(x, ..)| x + 1).max().unwrap_or(0);
            let advance = advance(&font, letter)? as i32;
            // plotters drops the space before a letter: half of what its ink leaves of the advance.
            let left = pen + (advance - width) / 2;
            for (x, y, alpha) in ink {
                let (x, y) = (left + x, top + y);
                if (0..columns).contains(&x) && (0..rows).contains(&y) {
                    let (x, y) = (x as usize / OVERSAMPLING, y as usize / OVERSAMPLING);
                    coverage[y * w + x] += share * f64::from(alpha);
                }
            }
            pen += advance;
        }
        Ok(coverage)
    }
}

/// Width a letter takes in a line, in oversampled pixels.
fn advance(font: &FontDesc, letter: char) -> Result<usize> {
    let (width, _) = font.box_size(&letter.to_string()).map_err(unusable)?;
    Ok(width as usize)
}

/// Covered pixels of a letter, from its leftmost one on.
fn ink(font: &FontDesc, letter: char) -> Result<Vec<(i32, i32, f32)>> {
    let mut ink = Vec::new();
    font.draw(&letter.to_string(), (0, 0), |x, y, alpha| {
        ink.push((x, y, alpha));
        Ok::<(), Infallible>(())
    })
    .map_err(unusable)?
    .unwrap_or_else(|never| match never {});
    Ok(ink)
}

/// The embedded font at `size` pixels, oversampled.
fn large(size: f64) -> Result<FontDesc<'static>> {
    ready()?;
    let family = FontFamily::Name(FONT);
    Ok(FontDesc::new(
        family,
        size * OVERSAMPLING as f64,
        FontStyle::Normal,
    ))
}

/// Makes the font known to plotters, once.
fn ready() -> Result<()> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let registered = REGISTERED.get_or_init(|| {
        register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT).is_ok()
    });
    if *registered {
        Ok(())
    } else {
        Err(unusable("cannot be read"))
    }
}

fn unusable(problem: impl std::fmt::Display) -> Error {
    Error::invalid(format!("picture: the built-in font {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bounding box of what is not black.
    fn inked(picture: &Picture) -> [usize; 4] {
        let mut found = [usize::MAX, usize::MAX, 0, 0];
        for y in 0..picture.height {
            for x in 0..picture.width {
                if picture.pixel(x, y)[0] > 60 {
                    found = [
                        found[0].min(x),
                        found[1].min(y),
                        found[2].max(x),
                        found[3].max(y),
                    ];
                }
            }
        }
        found
    }

    #[test]
    fn capitals_are_centred_on_the_position() {
        let text = Text::new(20.0, [255; 3]).align(Anchor::Centre);
        let mut picture = Picture::new(120, 60, [0; 3]);
        text.draw(&mut picture, "HHHH", 60.0, 30.0).unwrap();
        let [left, top, right, bottom] = inked(&picture);
        assert!((left + right).abs_diff(120) <= 4, "{left} {right}");
        assert!((top + bottom).abs_diff(60) <= 3, "{top} {bottom}");
        assert!((10..=15).contains(&(bottom - top)), "{top} {bottom}");
    }

    #[test]
    fn upright_text_is_as_high_as_it_is_wide_otherwise() {
        let text = Text::new(16.0, [255; 3]);
        let width = text.width("sagittal").unwrap();
        let mut picture = Picture::new(40, 120, [0; 3]);
        text.upright()
            .draw(&mut picture, "sagittal", 20.0, 110.0)
            .unwrap();
        let [_, top, _, bottom] = inked(&picture);
        assert!((bottom - top).abs_diff(width) <= 4);
    }

    #[test]
    fn drawing_outside_does_no_harm() {
        let mut picture = Picture::new(10, 10, [0; 3]);
        let text = Text::new(16.0, [255; 3]).align(Anchor::Right);
        text.draw_rimmed(&mut picture, "far", -50.0, 500.0).unwrap();
        assert_eq!(inked(&picture)[0], usize::MAX);
    }
}
