//! The seven panels of one slice.

use super::contour::{self, Palette};
use super::maps::{Maps, over_pixel};
use super::view::View;
use super::{QcLabels, grid};
use crate::plot::Picture;
use crate::plot::colour::{FOLD, Rgb, diverging, grey, mix};

/// Titles of the panels, left to right.
pub(super) const TITLES: [&str; 7] = [
    "fixed",
    "moving, linear",
    "moved",
    "difference, linear",
    "difference after",
    "deformed grid",
    "Jacobian determinant",
];

/// Up to how many structures the fixed contours are drawn, in white, under the moved ones.
const FEW: usize = 8;

/// What the page shows of labels, and says about it.
pub(in crate::plot) struct Outlines<'a> {
    pub labels: QcLabels<'a>,
    pub palette: Palette,
}

impl<'a> Outlines<'a> {
    pub fn new(labels: QcLabels<'a>) -> Self {
        let maps = [&labels.fixed.data, &labels.moving.data, &labels.moved.data];
        Self {
            labels,
            palette: Palette::of(&maps),
        }
    }

    /// The caption under the moved image.
    pub fn caption(&self) -> &'static str {
        if self.few() {
            "coloured: moved labels, white: fixed"
        } else {
            "coloured: moved labels"
        }
    }

    /// Among many structures nothing could be told apart.
    pub fn few(&self) -> bool {
        self.palette.len() <= FEW
    }

    fn draw(&self, [fixed, moving, moved]: [&mut Picture; 3], view: &View) {
        let (labels, palette) = (&self.labels, &self.palette);
        contour::draw(fixed, view, &labels.fixed.data, palette, None);
        contour::draw(moving, view, &labels.moving.data, palette, None);
        if self.few() {
            // Where the moved ones should be.
            contour::draw(moved, view, &labels.fixed.data, palette, Some([255; 3]));
        }
        contour::draw(moved, view, &labels.moved.data, palette, None);
    }
}

/// Draws the panels of a slice, `size` pixels each; returns them with the distance of grid lines in mm.
pub(super) fn panels(
    maps: &Maps,
    outlines: Option<&Outlines>,
    view: &View,
    size: [usize; 2],
) -> ([Picture; 7], f64) {
    let paint = |colour: &dyn Fn([usize; 2]) -> Rgb| Picture::painted(size, colour);
    let over = |pixel, value: &dyn Fn([f64; 3]) -> f64| over_pixel(view, size, pixel, value);
    let range = maps.difference_range;
    let difference =
        |moving: &dyn Fn([f64; 3]) -> f64, place| (moving(place) - maps.fixed_at(place)) / range;
    let mut fixed = paint(&|p| grey(over(p, &|at| maps.fixed_at(at))));
    let mut moving = paint(&|p| grey(over(p, &|at| maps.moving_at(at))));
    let mut moved = paint(&|p| grey(over(p, &|at| maps.moved_at(at))));
    let before = paint(&|p| diverging(over(p, &|at| difference(&|at| maps.moving_at(at), at))));
    let after = paint(&|p| diverging(over(p, &|at| difference(&|at| maps.moved_at(at), at))));
    let mut bent = paint(&|p| mix([0; 3], grey(over(p, &|at| maps.moved_at(at))), 0.7));
    let spacing = grid::draw(&mut bent, view, maps.input.field);
    let volume = paint(&|p| determinant_colour(maps, view, size, p));
    if let Some(outlines) = outlines {
        outlines.draw([&mut fixed, &mut moving, &mut moved], view);
    }
    ([fixed, moving, moved, before, after, bent, volume], spacing)
}

/// Colour of the volume change over a pixel.
fn determinant_colour(maps: &Maps, view: &View, size: [usize; 2], pixel: [usize; 2]) -> Rgb {
    maps.volume_change_over(view, size, pixel)
        .map_or(FOLD, diverging)
}
