//! What charts have in common: a white page drawn large by plotters, then reduced.

use super::colour::Rgb;
use super::picture::Picture;
use super::text::{Anchor, Text};
use crate::error::{Error, Result};
use plotters::backend::BitMapBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{PathElement, Rectangle};
use plotters::style::{Color, RGBColor, ShapeStyle};

/// How much larger a chart is drawn than it is kept.
pub(super) const SCALE: usize = 3;

pub(super) const INK: Rgb = [38, 40, 44];
pub(super) const FAINT: Rgb = [222, 224, 228];

pub(super) type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

/// A line of text on a chart, in final pixels.
pub(super) struct Label {
    pub text: String,
    pub look: Text,
    pub x: f64,
    pub y: f64,
}

impl Label {
    pub fn new(text: impl Into<String>, size: f64, x: f64, y: f64) -> Self {
        Self {
            text: text.into(),
            look: Text::new(size, INK),
            x,
            y,
        }
    }

    pub fn align(mut self, align: Anchor) -> Self {
        self.look = self.look.align(align);
        self
    }

    pub fn upright(mut self) -> Self {
        self.look = self.look.upright();
        self
    }
}

/// Draws on a white page of the given size in final pixels; the labels go on top.
pub(super) fn page(
    width: usize,
    height: usize,
    labels: &[Label],
    draw: impl FnOnce(&Area) -> Result<()>,
) -> Result<Picture> {
    let mut large = Picture::new(width * SCALE, height * SCALE, [255; 3]);
    let size = [large.width, large.height].map(u32::try_from);
    let [Ok(w), Ok(h)] = size else {
        return Err(Error::invalid("chart: too many rows for one picture"));
    };
    {
        let area = BitMapBackend::with_buffer(&mut large.rgb, (w, h)).into_drawing_area();
        draw(&area)?;
        area.present().map_err(failed)?;
    }
    let mut page = large.reduced(SCALE);
    for label in labels {
        label.look.draw(&mut page, &label.text, label.x, label.y)?;
    }
    Ok(page)
}

/// An open path.
pub(super) fn line(area: &Area, path: Vec<(i32, i32)>, style: ShapeStyle) -> Result<()> {
    area.draw(&PathElement::new(path, style)).map_err(failed)
}

/// A filled rectangle between two corners.
pub(super) fn bar(area: &Area, corners: [(i32, i32); 2], colour: Rgb) -> Result<()> {
    area.draw(&Rectangle::new(corners, ink(colour).filled()))
        .map_err(failed)
}

pub(super) fn ink(colour: Rgb) -> RGBColor {
    RGBColor(colour[0], colour[1], colour[2])
}

/// A line `width` final pixels wide.
pub(super) fn stroke(colour: Rgb, alpha: f64, width: f64) -> ShapeStyle {
    let width = (width * SCALE as f64).round().max(1.0) as u32;
    ink(colour).mix(alpha).stroke_width(width)
}

pub(super) fn px(value: f64) -> i32 {
    (value * SCALE as f64).round() as i32
}

/// A drawing error, which only a defect or an absurd size can cause.
pub(super) fn failed(problem: impl std::fmt::Display) -> Error {
    Error::invalid(format!("chart: cannot be drawn: {problem}"))
}

/// A range with `share` of its width to spare at either end.
pub(super) fn room((low, high): (f64, f64), share: f64) -> (f64, f64) {
    let margin = match high > low {
        true => (share * (high - low)).max(1e-6 * high.abs().max(1e-3)),
        // A single value: an axis with short numbers around it.
        false if high == 0.0 => 1.0,
        false => 0.1 * high.abs(),
    };
    (low - margin, high + margin)
}

/// About `count` round numbers from `low` to `high`.
pub(super) fn ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let raw = (high - low) / count.max(1) as f64;
    if !(raw > 0.0 && raw.is_finite()) {
        return vec![low];
    }
    let power = 10.0_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|step| *step >= raw * 0.999)
        .unwrap_or(10.0 * power);
    let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    (first..=last).map(|n| n as f64 * step).collect()
}

/// Distance of evenly spaced ticks.
pub(super) fn step_of(ticks: &[f64]) -> f64 {
    ticks
        .windows(2)
        .next()
        .map_or(1.0, |pair| pair[1] - pair[0])
}

/// A tick in as few digits as its step needs.
pub(super) fn tick_label(value: f64, step: f64) -> String {
    let digits = (-step.abs().max(1e-300).log10().floor()).clamp(0.0, 12.0) as usize;
    // A step such as 0.25 needs one digit more than its size tells.
    let exact = (step * 10.0_f64.powi(digits as i32)).fract().abs();
    let digits = digits + usize::from(exact > 1e-6 && exact < 1.0 - 1e-6);
    if value == 0.0 {
        return "0".into();
    }
    if value.abs() >= 1e5 || (digits > 5 && value.abs() < 1e-3) {
        return format!("{value:.0e}");
    }
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(0.03, 0.97, 5), [0.2, 0.4, 0.6000000000000001, 0.8]);
        assert_eq!(ticks(-3.0, 12.0, 4), [0.0, 5.0, 10.0]);
        assert_eq!(ticks(2.0, 2.0, 4), [2.0]);
        let labels: Vec<String> = [0.0, 0.25, 0.5].map(|t| tick_label(t, 0.25)).to_vec();
        assert_eq!(labels, ["0", "0.25", "0.50"]);
        assert_eq!(tick_label(20.0, 5.0), "20");
        assert_eq!(tick_label(2e6, 1e6), "2e6");
    }
}
