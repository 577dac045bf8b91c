//! Box plots of a measure before and after registration, one pair of boxes per structure.

use super::chart::{
    Area, FAINT, INK, SCALE, failed, ink, page, px, stroke, style, tick_label, ticks,
};
use super::colour::{DISTINCT, Rgb};
use super::picture::Picture;
use super::text::Text;
use crate::error::{Error, Result};
use crate::eval::quantile;
use plotters::element::{Circle, PathElement, Rectangle};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Values of one structure over all pairs; what is not finite is left out.
#[derive(Debug, Clone, PartialEq)]
pub struct BoxGroup {
    pub label: String,
    pub before: Vec<f64>,
    pub after: Vec<f64>,
}

const WIDTH: usize = 960;
const ROW: f64 = 46.0;
const TOP: f64 = 92.0;
const BOTTOM: f64 = 62.0;
const RIGHT: f64 = 36.0;
const BEFORE: Rgb = [150, 154, 162];
const AFTER: Rgb = DISTINCT[0];

/// Horizontal boxes: quartiles and median, whiskers to the last value within 1.5 interquartile ranges,
/// what lies beyond as dots, the mean as a white diamond. `axis` names the measure and its unit.
///
/// # Errors
/// No group, or no finite value in any.
pub fn box_plot(title: &str, axis: &str, groups: &[BoxGroup]) -> Result<Picture> {
    let all = || groups.iter().flat_map(|g| g.before.iter().chain(&g.after));
    let finite = || all().copied().filter(|value| value.is_finite());
    let (low, high) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low > high {
        return Err(Error::invalid(format!(
            "box plot '{title}': no finite value to draw"
        )));
    }
    let margin = (0.04 * (high - low)).max(1e-9 * high.abs().max(1.0));
    let names = Text::new(16.0, INK);
    let mut widest = 0;
    for group in groups {
        widest = widest.max(names.width(&group.label)?);
    }
    let frame = Frame {
        left: (widest as f64 + 34.0).min(0.45 * WIDTH as f64),
        low: low - margin,
        high: high + margin,
        rows: groups.len(),
    };
    page(WIDTH, frame.height(), |area| {
        frame.draw(area, title, axis)?;
        for (row, group) in groups.iter().enumerate() {
            frame.group(area, row, group)?;
        }
        Ok(())
    })
}

/// Where things go, in final pixels.
struct Frame {
    left: f64,
    low: f64,
    high: f64,
    rows: usize,
}

impl Frame {
    fn height(&self) -> usize {
        (TOP + BOTTOM + ROW * self.rows as f64) as usize
    }

    fn x(&self, value: f64) -> i32 {
        let share = (value - self.low) / (self.high - self.low);
        px(self.left + share * (WIDTH as f64 - RIGHT - self.left))
    }

    fn draw(&self, area: &Area, title: &str, axis: &str) -> Result<()> {
        let bottom = self.height() as f64 - BOTTOM;
        let left = Pos::new(HPos::Left, VPos::Center);
        let put = |text: &str, size, x: f64, y: f64, pos: Pos| {
            let at = (px(x), px(y));
            area.draw_text(text, &style(size, INK).pos(pos), at)
                .map_err(failed)
        };
        put(title, 22.0, 24.0, 30.0, left)?;
        for (name, colour, x) in [("before", BEFORE, 24.0), ("after", AFTER, 124.0)] {
            let corners = [(px(x), px(56.0)), (px(x + 22.0), px(70.0))];
            area.draw(&Rectangle::new(corners, ink(colour).filled()))
                .map_err(failed)?;
            put(name, 16.0, x + 30.0, 63.0, left)?;
        }
        let marks = ticks(self.low, self.high, 7);
        let step = marks
            .windows(2)
            .next()
            .map_or(1.0, |pair| pair[1] - pair[0]);
        let centre = Pos::new(HPos::Center, VPos::Center);
        for mark in marks {
            let line = vec![
                (self.x(mark), px(TOP - 4.0)),
                (self.x(mark), px(bottom + 4.0)),
            ];
            area.draw(&PathElement::new(line, stroke(FAINT, 1.0, 1.0)))
                .map_err(failed)?;
            let x = f64::from(self.x(mark)) / SCALE as f64;
            put(&tick_label(mark, step), 15.0, x, bottom + 16.0, centre)?;
        }
        let middle = (self.left + WIDTH as f64 - RIGHT) / 2.0;
        put(axis, 16.0, middle, bottom + 42.0, centre)
    }

    fn group(&self, area: &Area, row: usize, group: &BoxGroup) -> Result<()> {
        let middle = TOP + ROW * (row as f64 + 0.5);
        let right = Pos::new(HPos::Right, VPos::Center);
        let at = (px(self.left - 14.0), px(middle));
        area.draw_text(&group.label, &style(16.0, INK).pos(right), at)
            .map_err(failed)?;
        let sides = [(&group.before, BEFORE, -9.5), (&group.after, AFTER, 9.5)];
        for (values, colour, shift) in sides {
            let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
            if !finite.is_empty() {
                self.one_box(area, &finite, colour, middle + shift)?;
            }
        }
        Ok(())
    }

    fn one_box(&self, area: &Area, values: &[f64], colour: Rgb, y: f64) -> Result<()> {
        const HALF: f64 = 7.0;
        let [q1, median, q3] = [0.25, 0.5, 0.75].map(|q| quantile(values, q));
        let reach = 1.5 * (q3 - q1);
        let within = |v: &&f64| (q1 - reach..=q3 + reach).contains(*v);
        let inner: Vec<f64> = values.iter().filter(within).copied().collect();
        let (low, high) = (quantile(&inner, 0.0), quantile(&inner, 1.0));
        let line = |from: (i32, i32), to: (i32, i32), colour, width| {
            let path = PathElement::new(vec![from, to], stroke(colour, 1.0, width));
            area.draw(&path).map_err(failed)
        };
        line((self.x(low), px(y)), (self.x(high), px(y)), colour, 1.6)?;
        for end in [low, high] {
            line(
                (self.x(end), px(y - 4.0)),
                (self.x(end), px(y + 4.0)),
                colour,
                1.6,
            )?;
        }
        let corners = [(self.x(q1), px(y - HALF)), (self.x(q3), px(y + HALF))];
        area.draw(&Rectangle::new(corners, ink(colour).filled()))
            .map_err(failed)?;
        line(
            (self.x(median), px(y - HALF)),
            (self.x(median), px(y + HALF)),
            [255; 3],
            2.4,
        )?;
        for &value in values.iter().filter(|v| !within(v)) {
            let dot = ink(colour).mix(0.75).filled();
            area.draw(&Circle::new((self.x(value), px(y)), px(2.6), dot))
                .map_err(failed)?;
        }
        let mean = self.x(values.iter().sum::<f64>() / values.len() as f64);
        diamond(area, (mean, px(y)), px(4.0))
    }
}

fn diamond(area: &Area, (x, y): (i32, i32), r: i32) -> Result<()> {
    let corners = vec![(x - r, y), (x, y - r), (x + r, y), (x, y + r)];
    let polygon = plotters::element::Polygon::new(corners.clone(), ink([255; 3]).filled());
    area.draw(&polygon).map_err(failed)?;
    let outline = corners
        .iter()
        .chain(&corners[..1])
        .copied()
        .collect::<Vec<_>>();
    area.draw(&PathElement::new(outline, stroke(INK, 1.0, 1.0)))
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(label: &str, before: &[f64], after: &[f64]) -> BoxGroup {
        BoxGroup {
            label: label.into(),
            before: before.to_vec(),
            after: after.to_vec(),
        }
    }

    /// Columns of a row of pixels that have exactly this colour.
    fn columns(picture: &Picture, y: usize, colour: Rgb) -> Vec<usize> {
        (0..picture.width)
            .filter(|&x| picture.pixel(x, y) == colour)
            .collect()
    }

    #[test]
    fn boxes_span_the_quartiles() {
        // Quartiles by hand: before 0..4 -> 1, 2, 3; after all 4.
        let groups = [group(
            "one",
            &[0.0, 1.0, 2.0, 3.0, 4.0, f64::NAN],
            &[4.0; 3],
        )];
        let picture = box_plot("t", "Dice", &groups).unwrap();
        let y = (TOP + ROW / 2.0 - 9.5 - 5.0) as usize;
        let found = columns(&picture, y, BEFORE);
        let left = Text::new(16.0, INK).width("one").unwrap() as f64 + 34.0;
        let x = |value: f64| left + (value + 0.16) / 4.32 * (WIDTH as f64 - RIGHT - left);
        assert!(
            (found[0] as f64 - x(1.0)).abs() <= 2.0,
            "{} {}",
            found[0],
            x(1.0)
        );
        assert!((*found.last().unwrap() as f64 - x(3.0)).abs() <= 2.0);
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        assert!(box_plot("t", "a", &[]).is_err());
        let error = box_plot("HD95", "a", &[group("x", &[f64::NAN], &[f64::INFINITY])]);
        assert!(error.unwrap_err().to_string().contains("HD95"));
    }
}
