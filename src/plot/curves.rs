//! Training curves: named series over steps.

use super::chart::{
    Area, FAINT, INK, Label, SCALE, failed, line, page, px, room, step_of, stroke, tick_label,
    ticks,
};
use super::colour::{DISTINCT, Rgb};
use super::picture::Picture;
use super::text::{Anchor, Text};
use crate::error::{Error, Result};
use plotters::element::Circle;
use plotters::style::{Color, ShapeStyle};

/// A named curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub name: String,
    /// `(x, y)`, ascending in x. A point that is not finite (or not above 0 on a log axis) is a gap.
    pub points: Vec<(f64, f64)>,
    /// Intervals `(x, low, high)` drawn as bars.
    pub bars: Vec<(f64, f64, f64)>,
}

/// Title, axes and how curves are shown.
#[derive(Debug, Clone, PartialEq)]
pub struct CurveStyle {
    pub title: String,
    pub x_label: String,
    pub y_label: String,
    pub log_y: bool,
    /// Running mean over this many points drawn over the faint raw curve; 0 or 1: the raw curve alone. A curve
    /// shorter than a few windows is left as it is.
    pub smoothing: usize,
}

/// Windows that a curve must span to be smoothed.
const SHORTEST_SMOOTHED: usize = 6;
const WIDTH: usize = 960;
const HEIGHT: usize = 540;
const LEFT: f64 = 96.0;
const RIGHT: f64 = 36.0;
const BOTTOM: f64 = 74.0;
/// The first row of the legend, what the next are apart, and the axes' distance from the last.
const LEGEND: f64 = 63.0;
const ROW: f64 = 24.0;
const BELOW: f64 = 29.0;
/// What bars of neighbouring series at one place are apart.
const APART: f64 = 5.0;

/// Draws curves on one pair of axes.
///
/// # Errors
/// No point can be drawn.
pub fn curves(look: &CurveStyle, series: &[Series]) -> Result<Picture> {
    let places = legend_places(series)?;
    let axes = Axes::around(look, series, places.last().map_or(LEGEND, |last| last.1))?;
    let mut labels = axes.labels(look);
    for (one, (x, y)) in series.iter().zip(&places) {
        labels.push(Label::new(&one.name, 16.0, x + 32.0, *y));
    }
    let middle = series.len().saturating_sub(1) as f64 / 2.0;
    page(WIDTH, HEIGHT, &labels, |area| {
        axes.lines(area)?;
        for (index, one) in series.iter().enumerate() {
            let (x, y) = places[index];
            let path = vec![(px(x), px(y)), (px(x + 24.0), px(y))];
            line(area, path, stroke(colour(index), 1.0, 3.0))?;
            axes.curve(area, &one.points, colour(index), look.smoothing)?;
            // Side by side, for else the last would hide the others.
            let aside = APART * (index as f64 - middle);
            axes.bars(area, &one.bars, colour(index), px(aside))?;
        }
        Ok(())
    })
}

fn colour(index: usize) -> Rgb {
    DISTINCT[index % DISTINCT.len()]
}

/// Left ends and heights of the entries of the legend, in as many rows as it takes.
fn legend_places(series: &[Series]) -> Result<Vec<(f64, f64)>> {
    let mut places = Vec::new();
    let start = 24.0;
    let (mut x, mut y) = (start, LEGEND);
    for one in series {
        let width = 32.0 + Text::new(16.0, INK).width(&one.name)? as f64;
        if x + width > WIDTH as f64 - RIGHT && x > start {
            (x, y) = (start, y + ROW);
        }
        places.push((x, y));
        x += width + 28.0;
    }
    Ok(places)
}

/// The ranges shown; `y` in powers of ten when logarithmic.
struct Axes {
    x: (f64, f64),
    y: (f64, f64),
    log: bool,
    /// Upper end of the y axis on the page.
    top: f64,
}

impl Axes {
    /// Axes that hold the series, below a legend whose last row is at `legend`.
    fn around(look: &CurveStyle, series: &[Series], legend: f64) -> Result<Self> {
        let mut axes = Self {
            x: (f64::INFINITY, f64::NEG_INFINITY),
            y: (f64::INFINITY, f64::NEG_INFINITY),
            log: look.log_y,
            top: legend + BELOW,
        };
        let ends = |one: &Series| -> Vec<(f64, f64)> {
            let bars = one.bars.iter();
            bars.flat_map(|&(x, low, high)| [(x, low), (x, high)])
                .collect()
        };
        let bars = series.iter().flat_map(ends);
        for (x, y) in series.iter().flat_map(|one| one.points.clone()).chain(bars) {
            if let Some((x, y)) = axes.shown(x, y) {
                axes.x = (axes.x.0.min(x), axes.x.1.max(x));
                axes.y = (axes.y.0.min(y), axes.y.1.max(y));
            }
        }
        if axes.x.0 > axes.x.1 {
            return Err(Error::invalid(format!(
                "curves '{}': no point to draw{}",
                look.title,
                if look.log_y {
                    "; a log axis needs values above 0"
                } else {
                    ""
                }
            )));
        }
        let barred = series.iter().any(|one| !one.bars.is_empty());
        axes.x = room(axes.x, if barred { 0.04 } else { 0.0 });
        axes.y = room(axes.y, 0.05);
        Ok(axes)
    }

    /// Position on the axes, if it has one.
    fn shown(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        let y = if self.log { y.log10() } else { y };
        (x.is_finite() && y.is_finite()).then_some((x, y))
    }

    fn at(&self, x: f64, y: f64) -> (i32, i32) {
        let along = (x - self.x.0) / (self.x.1 - self.x.0);
        let up = (y - self.y.0) / (self.y.1 - self.y.0);
        (
            px(LEFT + along * (WIDTH as f64 - LEFT - RIGHT)),
            px(HEIGHT as f64 - BOTTOM - up * (HEIGHT as f64 - self.top - BOTTOM)),
        )
    }

    fn labels(&self, look: &CurveStyle) -> Vec<Label> {
        let floor = HEIGHT as f64 - BOTTOM;
        let mut labels = vec![Label::new(&look.title, 22.0, 24.0, 30.0)];
        for (mark, text) in self.marks() {
            let y = f64::from(self.at(self.x.0, mark).1) / SCALE as f64;
            labels.push(Label::new(text, 15.0, LEFT - 10.0, y).align(Anchor::Right));
        }
        let marks = self.steps();
        for &mark in &marks {
            let x = f64::from(self.at(mark, self.y.0).0) / SCALE as f64;
            let text = tick_label(mark, step_of(&marks));
            labels.push(Label::new(text, 15.0, x, floor + 18.0).align(Anchor::Centre));
        }
        let (across, down) = (
            (LEFT + WIDTH as f64 - RIGHT) / 2.0,
            (self.top + floor) / 2.0,
        );
        labels.push(Label::new(&look.x_label, 16.0, across, floor + 48.0).align(Anchor::Centre));
        let upright = Label::new(&look.y_label, 16.0, 22.0, down);
        labels.push(upright.align(Anchor::Centre).upright());
        labels
    }

    /// Ticks of the x axis.
    fn steps(&self) -> Vec<f64> {
        ticks(self.x.0, self.x.1, 8)
    }

    fn lines(&self, area: &Area) -> Result<()> {
        let faint = stroke(FAINT, 1.0, 1.0);
        for (mark, _) in self.marks() {
            line(
                area,
                vec![self.at(self.x.0, mark), self.at(self.x.1, mark)],
                faint,
            )?;
        }
        let floor = px(HEIGHT as f64 - BOTTOM);
        let dark = stroke(INK, 1.0, 1.0);
        for mark in self.steps() {
            let x = self.at(mark, self.y.0).0;
            line(area, vec![(x, floor), (x, floor + px(5.0))], dark)?;
        }
        line(
            area,
            vec![self.at(self.x.0, self.y.0), self.at(self.x.1, self.y.0)],
            dark,
        )
    }

    /// Positions and labels of the y ticks.
    fn marks(&self) -> Vec<(f64, String)> {
        if !self.log {
            let marks = ticks(self.y.0, self.y.1, 6);
            let label = |&mark: &f64| (mark, tick_label(mark, step_of(&marks)));
            return marks.iter().map(label).collect();
        }
        let decades = self.y.0.floor() as i32..=self.y.1.ceil() as i32;
        // Within few decades 1, 2, 5; over many, every decade or every few.
        let wide = self.y.1 - self.y.0;
        let factors: &[f64] = if wide < 3.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let every = (wide / 8.0).ceil().max(1.0) as i32;
        decades
            .filter(|decade| decade.rem_euclid(every) == 0)
            .flat_map(|decade| factors.iter().map(move |f| f * 10.0_f64.powi(decade)))
            .map(|value| (value.log10(), format!("{value}")))
            .filter(|(mark, _)| (self.y.0..=self.y.1).contains(mark))
            .map(|(mark, label)| (mark, shorter(label, 10.0_f64.powf(mark))))
            .collect()
    }

    fn curve(
        &self,
        area: &Area,
        points: &[(f64, f64)],
        colour: Rgb,
        smoothing: usize,
    ) -> Result<()> {
        if smoothing < 2 || points.len() < SHORTEST_SMOOTHED * smoothing {
            return self.path(area, points, stroke(colour, 1.0, 2.0));
        }
        self.path(area, points, stroke(colour, 0.28, 1.2))?;
        self.path(
            area,
            &running_mean(points, smoothing),
            stroke(colour, 1.0, 2.4),
        )
    }

    /// Upright lines with a dash at either end, `aside` of their places.
    fn bars(&self, area: &Area, bars: &[(f64, f64, f64)], colour: Rgb, aside: i32) -> Result<()> {
        let half = px(4.0);
        for &(x, low, high) in bars {
            let (Some(low), Some(high)) = (self.shown(x, low), self.shown(x, high)) else {
                continue;
            };
            let [low, high] = [low, high].map(|(x, y)| {
                let (x, y) = self.at(x, y);
                (x + aside, y)
            });
            let thin = stroke(colour, 1.0, 1.4);
            line(area, vec![low, high], thin)?;
            for (x, y) in [low, high] {
                line(area, vec![(x - half, y), (x + half, y)], thin)?;
            }
        }
        Ok(())
    }

    /// Unbroken stretches as paths, lone points as dots.
    fn path(&self, area: &Area, points: &[(f64, f64)], stroke: ShapeStyle) -> Result<()> {
        let places: Vec<Option<(i32, i32)>> = points
            .iter()
            .map(|&(x, y)| self.shown(x, y).map(|(x, y)| self.at(x, y)))
            .collect();
        for stretch in places.split(Option::is_none) {
            let path: Vec<(i32, i32)> = stretch.iter().flatten().copied().collect();
            match path.len() {
                0 => {}
                1 => {
                    let dot = Circle::new(path[0], px(2.5), stroke.color.filled());
                    area.draw(&dot).map_err(failed)?;
                }
                _ => line(area, path, stroke)?,
            }
        }
        Ok(())
    }
}

/// `0.00001` as `1e-5`, the rest as it is.
fn shorter(label: String, value: f64) -> String {
    if label.len() > 6 {
        format!("{value:.0e}")
    } else {
        label
    }
}

/// Mean over a centred window of `width` points, cut at the ends; what is not finite is passed over.
fn running_mean(points: &[(f64, f64)], width: usize) -> Vec<(f64, f64)> {
    let half = width / 2;
    (0..points.len())
        .map(|n| {
            let near = &points[n.saturating_sub(half)..points.len().min(n + half + 1)];
            let finite: Vec<f64> = near.iter().map(|p| p.1).filter(|y| y.is_finite()).collect();
            (
                points[n].0,
                finite.iter().sum::<f64>() / finite.len() as f64,
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(log_y: bool) -> CurveStyle {
        CurveStyle {
            title: "Training".into(),
            x_label: "step".into(),
            y_label: "loss".into(),
            log_y,
            smoothing: 0,
        }
    }

    fn series(points: &[(f64, f64)]) -> Series {
        Series {
            name: "s".into(),
            points: points.to_vec(),
            bars: Vec::new(),
        }
    }

    #[test]
    fn bars_are_part_of_what_is_shown() {
        let mut one = series(&[(0.0, 1.0), (1.0, 1.0)]);
        one.bars = vec![(0.0, -1.0, 2.0)];
        let axes = Axes::around(&look(false), &[one], LEGEND).unwrap();
        assert!(axes.y.0 < -1.0 && axes.y.1 > 2.0, "{:?}", axes.y);
    }

    #[test]
    fn a_straight_line_goes_through_the_middle() {
        let line = series(&[(0.0, 0.0), (50.0, f64::NAN), (100.0, 10.0)]);
        let broken = curves(&look(false), &[line]).unwrap();
        let whole = curves(&look(false), &[series(&[(0.0, 0.0), (100.0, 10.0)])]).unwrap();
        let middle = (
            ((LEFT + WIDTH as f64 - RIGHT) / 2.0) as usize,
            ((LEGEND + BELOW + HEIGHT as f64 - BOTTOM) / 2.0) as usize,
        );
        let blue = |picture: &Picture| {
            let [r, _, b] = picture.pixel(middle.0, middle.1);
            b > r.saturating_add(60)
        };
        assert!(blue(&whole));
        // A value that is no number breaks the line.
        assert!(!blue(&broken));
    }

    #[test]
    fn a_log_axis_needs_positive_values() {
        let below = [series(&[(0.0, -1.0), (1.0, 0.0)])];
        let error = curves(&look(true), &below).unwrap_err().to_string();
        assert!(error.contains("above 0"), "{error}");
        assert!(curves(&look(false), &below).is_ok());
        assert!(curves(&look(true), &[series(&[(0.0, 1e-9), (1.0, 1e3)])]).is_ok());
        assert!(curves(&look(false), &[]).is_err());
    }

    #[test]
    fn a_long_legend_takes_more_rows() {
        let named = |n: usize| Series {
            name: format!("a training of some name, {n}"),
            ..series(&[(0.0, 1.0), (1.0, 2.0)])
        };
        let all: Vec<Series> = (0..9).map(named).collect();
        let places = legend_places(&all).unwrap();
        assert_eq!(places[0], (24.0, LEGEND));
        let rows = places.chunk_by(|a, b| a.1 == b.1).count();
        assert!((2..9).contains(&rows), "{places:?}");
        assert!(places.iter().all(|place| place.0 + 200.0 < WIDTH as f64));
        let top = Axes::around(&look(false), &all, places[8].1).unwrap().top;
        assert_eq!(top, LEGEND + (rows - 1) as f64 * ROW + BELOW);
    }

    #[test]
    fn log_marks_are_powers_of_ten() {
        let axes =
            Axes::around(&look(true), &[series(&[(0.0, 0.02), (1.0, 3.0)])], LEGEND).unwrap();
        let labels: Vec<String> = axes.marks().into_iter().map(|mark| mark.1).collect();
        assert_eq!(labels, ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"]);
    }

    #[test]
    fn the_running_mean_is_centred() {
        let points: Vec<(f64, f64)> = (0..5).map(|n| (f64::from(n), f64::from(n * n))).collect();
        let found: Vec<f64> = running_mean(&points, 3).iter().map(|p| p.1).collect();
        assert_eq!(found, [0.5, 5.0 / 3.0, 14.0 / 3.0, 29.0 / 3.0, 12.5]);
    }
}
