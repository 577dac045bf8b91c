//! Box plots of a measure before and after registration, one pair of boxes per structure.

use super::chart::{
    Area, FAINT, INK, Label, bar, failed, ink, line, page, px, room, step_of, stroke, tick_label,
    ticks,
};
use super::colour::{DISTINCT, Rgb};
use super::picture::Picture;
use super::text::{Anchor, Text};
use crate::error::{Error, Result};
use crate::eval::quantile;
use plotters::element::{Circle, Polygon};
use plotters::style::Color;

/// Values of one structure over all pairs; what is not finite is left out.
#[derive(Debug, Clone, PartialEq, Default)]
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
    let frame = Frame::around(title, groups)?;
    let labels = frame.labels(title, axis, groups);
    page(WIDTH, frame.height(), &labels, |area| {
        frame.lines(area)?;
        for (row, group) in groups.iter().enumerate() {
            for (values, colour, shift) in
                [(&group.before, BEFORE, -9.5), (&group.after, AFTER, 9.5)]
            {
                frame.one_box(area, values, colour, frame.middle(row) + shift)?;
            }
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
    /// A frame that holds the groups.
    fn around(title: &str, groups: &[BoxGroup]) -> Result<Self> {
        let all = groups.iter().flat_map(|g| g.before.iter().chain(&g.after));
        let finite = all.filter(|value| value.is_finite());
        let range = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| {
            (low.min(value), high.max(value))
        });
        if range.0 > range.1 {
            return Err(Error::invalid(format!(
                "box plot '{title}': no finite value to draw"
            )));
        }
        let (low, high) = room(range, 0.04);
        let mut widest = 0;
        for group in groups {
            widest = widest.max(Text::new(16.0, INK).width(&group.label)?);
        }
        Ok(Self {
            left: (widest as f64 + 42.0).min(0.45 * WIDTH as f64),
            low,
            high,
            rows: groups.len(),
        })
    }

    fn height(&self) -> usize {
        (TOP + BOTTOM + ROW * self.rows as f64) as usize
    }

    fn middle(&self, row: usize) -> f64 {
        TOP + ROW * (row as f64 + 0.5)
    }

    fn x(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        self.left + share * (WIDTH as f64 - RIGHT - self.left)
    }

    fn ticks(&self) -> Vec<f64> {
        ticks(self.low, self.high, 7)
    }

    fn labels(&self, title: &str, axis: &str, groups: &[BoxGroup]) -> Vec<Label> {
        let bottom = self.height() as f64 - BOTTOM;
        let mut labels = vec![
            Label::new(title, 22.0, 24.0, 30.0),
            Label::new("before", 16.0, 54.0, 63.0),
            Label::new("after", 16.0, 154.0, 63.0),
        ];
        let marks = self.ticks();
        for &mark in &marks {
            let text = tick_label(mark, step_of(&marks));
            let label = Label::new(text, 15.0, self.x(mark), bottom + 18.0);
            labels.push(label.align(Anchor::Centre));
        }
        let middle = (self.left + WIDTH as f64 - RIGHT) / 2.0;
        labels.push(Label::new(axis, 16.0, middle, bottom + 44.0).align(Anchor::Centre));
        for (row, group) in groups.iter().enumerate() {
            let label = Label::new(&group.label, 16.0, self.left - 18.0, self.middle(row));
            labels.push(label.align(Anchor::Right));
        }
        labels
    }

    fn lines(&self, area: &Area) -> Result<()> {
        for (colour, x) in [(BEFORE, 24.0), (AFTER, 124.0)] {
            bar(area, [(px(x), px(56.0)), (px(x + 22.0), px(70.0))], colour)?;
        }
        let bottom = self.height() as f64 - BOTTOM;
        for mark in self.ticks() {
            let x = px(self.x(mark));
            let path = vec![(x, px(TOP - 4.0)), (x, px(bottom + 4.0))];
            line(area, path, stroke(FAINT, 1.0, 1.0))?;
        }
        Ok(())
    }

    /// One box at height `y`; nothing for no finite value.
    fn one_box(&self, area: &Area, values: &[f64], colour: Rgb, y: f64) -> Result<()> {
        const HALF: f64 = 7.0;
        let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        if finite.is_empty() {
            return Ok(());
        }
        let [q1, median, q3] = [0.25, 0.5, 0.75].map(|q| quantile(&finite, q));
        let reach = 1.5 * (q3 - q1);
        let (inner, outer): (Vec<f64>, Vec<f64>) = finite
            .iter()
            .partition(|v| (q1 - reach..=q3 + reach).contains(*v));
        let ends = [quantile(&inner, 0.0), quantile(&inner, 1.0)];
        let at = |value: f64, shift: f64| (px(self.x(value)), px(y + shift));
        let thin = stroke(colour, 1.0, 1.6);
        line(area, vec![at(ends[0], 0.0), at(ends[1], 0.0)], thin)?;
        for end in ends {
            line(area, vec![at(end, -4.0), at(end, 4.0)], thin)?;
        }
        bar(area, [at(q1, -HALF), at(q3, HALF)], colour)?;
        let white = stroke([255; 3], 1.0, 2.4);
        line(area, vec![at(median, -HALF), at(median, HALF)], white)?;
        for value in outer {
            let dot = ink(colour).mix(0.75).filled();
            area.draw(&Circle::new(at(value, 0.0), px(2.6), dot))
                .map_err(failed)?;
        }
        let mean = finite.iter().sum::<f64>() / finite.len() as f64;
        diamond(area, at(mean, 0.0), px(4.0))
    }
}

fn diamond(area: &Area, (x, y): (i32, i32), r: i32) -> Result<()> {
    let corners = vec![(x - r, y), (x, y - r), (x + r, y), (x, y + r), (x - r, y)];
    let polygon = Polygon::new(corners.clone(), ink([255; 3]).filled());
    area.draw(&polygon).map_err(failed)?;
    line(area, corners, stroke(INK, 1.0, 1.0))
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
        let same = |&x: &usize| picture.pixel(x, y) == colour;
        (0..picture.width).filter(same).collect()
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
        let left = Text::new(16.0, INK).width("one").unwrap() as f64 + 42.0;
        let x = |value: f64| left + (value + 0.16) / 4.32 * (WIDTH as f64 - RIGHT - left);
        let ends = [found[0], *found.last().unwrap()].map(|x| x as f64);
        // The edges of a box fall between pixels.
        assert!((ends[0] - x(1.0)).abs() <= 2.0, "{ends:?} {}", x(1.0));
        assert!((ends[1] - x(3.0)).abs() <= 2.0, "{ends:?} {}", x(3.0));
    }

    #[test]
    fn equal_values_have_an_axis_with_short_numbers() {
        let frame = Frame::around("t", &[group("one", &[0.8; 3], &[0.8; 2])]).unwrap();
        // A tenth of the value to either side.
        approx::assert_abs_diff_eq!(frame.low, 0.72, epsilon = 1e-12);
        approx::assert_abs_diff_eq!(frame.high, 0.88, epsilon = 1e-12);
        let marks = frame.ticks();
        let shown = |mark: &f64| tick_label(*mark, step_of(&marks)).len();
        assert!(marks.len() > 2 && marks.iter().all(|mark| shown(mark) <= 5));
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        assert!(box_plot("t", "a", &[]).is_err());
        let error = box_plot("HD95", "a", &[group("x", &[f64::NAN], &[f64::INFINITY])]);
        assert!(error.unwrap_err().to_string().contains("HD95"));
    }
}
