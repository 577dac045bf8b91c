//! Training curves: named series over steps.

use super::chart::{Area, FAINT, INK, failed, page, px, stroke, style, tick_label, ticks};
use super::colour::{DISTINCT, Rgb};
use super::picture::Picture;
use crate::error::{Error, Result};
use plotters::element::{Circle, PathElement};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// A named curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub name: String,
    /// `(x, y)`, ascending in x. A point that is not finite (or not above 0 on a log axis) is a gap.
    pub points: Vec<(f64, f64)>,
}

/// Title, axes and how curves are shown.
#[derive(Debug, Clone, PartialEq)]
pub struct CurveStyle {
    pub title: String,
    pub x_label: String,
    pub y_label: String,
    pub log_y: bool,
    /// Running mean over this many points drawn over the faint raw curve; 0 or 1: the raw curve alone.
    pub smoothing: usize,
}

const WIDTH: usize = 960;
const HEIGHT: usize = 540;
const LEFT: f64 = 96.0;
const RIGHT: f64 = 36.0;
const TOP: f64 = 92.0;
const BOTTOM: f64 = 74.0;

/// Draws curves on one pair of axes.
///
/// # Errors
/// No point can be drawn.
pub fn curves(look: &CurveStyle, series: &[Series]) -> Result<Picture> {
    let axes = Axes::around(look, series)?;
    page(WIDTH, HEIGHT, |area| {
        axes.draw(area, look)?;
        legend(area, series)?;
        for (index, one) in series.iter().enumerate() {
            axes.curve(area, &one.points, colour(index), look.smoothing)?;
        }
        Ok(())
    })
}

fn colour(index: usize) -> Rgb {
    DISTINCT[index % DISTINCT.len()]
}

fn legend(area: &Area, series: &[Series]) -> Result<()> {
    let text = super::text::Text::new(16.0, INK);
    let mut x = 24.0;
    for (index, one) in series.iter().enumerate() {
        let line = vec![(px(x), px(63.0)), (px(x + 24.0), px(63.0))];
        area.draw(&PathElement::new(line, stroke(colour(index), 1.0, 3.0)))
            .map_err(failed)?;
        let pos = Pos::new(HPos::Left, VPos::Center);
        area.draw_text(
            &one.name,
            &style(16.0, INK).pos(pos),
            (px(x + 32.0), px(63.0)),
        )
        .map_err(failed)?;
        x += 32.0 + text.width(&one.name)? as f64 + 28.0;
    }
    Ok(())
}

/// The ranges shown; `y` in powers of ten when logarithmic.
struct Axes {
    x: (f64, f64),
    y: (f64, f64),
    log: bool,
}

impl Axes {
    fn around(look: &CurveStyle, series: &[Series]) -> Result<Self> {
        let mut axes = Self {
            x: (f64::INFINITY, f64::NEG_INFINITY),
            y: (f64::INFINITY, f64::NEG_INFINITY),
            log: look.log_y,
        };
        for &(x, y) in series.iter().flat_map(|one| &one.points) {
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
        let room = |(low, high): (f64, f64), share: f64| {
            let margin = (share * (high - low)).max(1e-6 * high.abs().max(1e-3));
            (low - margin, high + margin)
        };
        axes.x = room(axes.x, 0.0);
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
            px(HEIGHT as f64 - BOTTOM - up * (HEIGHT as f64 - TOP - BOTTOM)),
        )
    }

    fn draw(&self, area: &Area, look: &CurveStyle) -> Result<()> {
        let put = |text: &str, size, at: (i32, i32), pos: Pos| {
            area.draw_text(text, &style(size, INK).pos(pos), at)
                .map_err(failed)
        };
        let left = Pos::new(HPos::Left, VPos::Center);
        let centre = Pos::new(HPos::Center, VPos::Center);
        put(&look.title, 22.0, (px(24.0), px(30.0)), left)?;
        for (mark, label) in self.marks() {
            let (from, to) = (self.at(self.x.0, mark), self.at(self.x.1, mark));
            area.draw(&PathElement::new(vec![from, to], stroke(FAINT, 1.0, 1.0)))
                .map_err(failed)?;
            let at = (from.0 - px(10.0), from.1);
            put(&label, 15.0, at, Pos::new(HPos::Right, VPos::Center))?;
        }
        let marks = ticks(self.x.0, self.x.1, 8);
        let step = marks
            .windows(2)
            .next()
            .map_or(1.0, |pair| pair[1] - pair[0]);
        let floor = px(HEIGHT as f64 - BOTTOM);
        for mark in marks {
            let x = self.at(mark, self.y.0).0;
            let line = vec![(x, floor), (x, floor + px(5.0))];
            area.draw(&PathElement::new(line, stroke(INK, 1.0, 1.0)))
                .map_err(failed)?;
            put(&tick_label(mark, step), 15.0, (x, floor + px(16.0)), centre)?;
        }
        let line = vec![self.at(self.x.0, self.y.0), self.at(self.x.1, self.y.0)];
        area.draw(&PathElement::new(line, stroke(INK, 1.0, 1.0)))
            .map_err(failed)?;
        let middle = (LEFT + WIDTH as f64 - RIGHT) / 2.0;
        put(&look.x_label, 16.0, (px(middle), floor + px(46.0)), centre)?;
        self.name_y(area, &look.y_label)
    }

    fn name_y(&self, area: &Area, label: &str) -> Result<()> {
        use plotters::style::FontTransform;
        let upright = style(16.0, INK)
            .transform(FontTransform::Rotate270)
            .pos(Pos::new(HPos::Center, VPos::Center));
        let at = (px(22.0), px((TOP + HEIGHT as f64 - BOTTOM) / 2.0));
        area.draw_text(label, &upright, at).map_err(failed)
    }

    /// Positions and labels of the y ticks.
    fn marks(&self) -> Vec<(f64, String)> {
        if !self.log {
            let marks = ticks(self.y.0, self.y.1, 6);
            let step = marks
                .windows(2)
                .next()
                .map_or(1.0, |pair| pair[1] - pair[0]);
            return marks.iter().map(|&m| (m, tick_label(m, step))).collect();
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
        if smoothing < 2 {
            return self.line(area, points, stroke(colour, 1.0, 2.0));
        }
        self.line(area, points, stroke(colour, 0.28, 1.2))?;
        self.line(
            area,
            &running_mean(points, smoothing),
            stroke(colour, 1.0, 2.4),
        )
    }

    /// Unbroken stretches as paths, lone points as dots.
    fn line(
        &self,
        area: &Area,
        points: &[(f64, f64)],
        stroke: plotters::style::ShapeStyle,
    ) -> Result<()> {
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
                _ => area.draw(&PathElement::new(path, stroke)).map_err(failed)?,
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
        }
    }

    #[test]
    fn a_straight_line_goes_through_the_middle() {
        let line = series(&[(0.0, 0.0), (50.0, f64::NAN), (100.0, 10.0)]);
        let broken = curves(&look(false), &[line]).unwrap();
        let whole = curves(&look(false), &[series(&[(0.0, 0.0), (100.0, 10.0)])]).unwrap();
        let middle = (
            ((LEFT + WIDTH as f64 - RIGHT) / 2.0) as usize,
            ((TOP + HEIGHT as f64 - BOTTOM) / 2.0) as usize,
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
    fn log_marks_are_powers_of_ten() {
        let axes = Axes::around(&look(true), &[series(&[(0.0, 0.02), (1.0, 3.0)])]).unwrap();
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
