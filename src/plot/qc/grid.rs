//! A regular grid of the moving image as the transform bends it onto the fixed one.

use super::view::{Along, View};
use crate::metric::sample::linear;
use crate::plot::Picture;
use crate::plot::colour::Rgb;
use crate::volume::DisplacementField;
use ndarray::Axis;

/// Colour of the lines.
pub(in crate::plot) const LINE: Rgb = [255, 214, 92];

/// Distance of grid lines on the page, about, in pixels.
const PITCH: f64 = 15.0;

/// Draws the lines of [`trace`]; their distance.
pub(super) fn draw(panel: &mut Picture, view: &View, field: &DisplacementField) -> f64 {
    let size = [panel.width, panel.height];
    trace(view, size, field, |x, y, alpha| {
        panel.blend(x as isize, y as isize, LINE, 0.8 * alpha);
    })
}

/// Finds the lines on which `x + u(x)` is a multiple of a few voxels, along both axes of the slice: `paint` gets each
/// pixel that a line covers, and how much of it (0..1).
///
/// They are where the lines of a grid painted on the moving image come to lie in the moved one; motion
/// across the slice does not show. Returns the distance of the lines in mm along the horizontal axis.
pub(in crate::plot) fn trace(
    view: &View,
    [w, h]: [usize; 2],
    field: &DisplacementField,
    mut paint: impl FnMut(usize, usize, f64),
) -> f64 {
    let millimetres_per_pixel = view.right.millimetres() / w as f64;
    let mut shown = 0.0;
    for (vertical, along) in [(false, &view.right), (true, &view.down)] {
        let step = (PITCH * millimetres_per_pixel / along.spacing)
            .round()
            .max(1.0);
        if !vertical {
            shown = step * along.spacing;
        }
        let phase = phases(view, along, field, [w + 1, h + 1], step);
        for y in 0..h {
            for x in 0..w {
                let at = |dx: usize, dy: usize| phase[(y + dy) * (w + 1) + x + dx];
                let alpha = coverage(at(0, 0), at(1, 0), at(0, 1), PITCH);
                if alpha > 0.0 {
                    paint(x, y, alpha);
                }
            }
        }
    }
    shown
}

/// `x + u(x)` along one axis in units of the line distance, at the corners of pixels; whole numbers
/// are lines, one of them in the middle of the grid.
fn phases(
    view: &View,
    along: &Along,
    field: &DisplacementField,
    [w, h]: [usize; 2],
    step: f64,
) -> Vec<f64> {
    let component = field.data.index_axis(Axis(0), along.axis);
    let centre = (along.voxels as f64 - 1.0) / 2.0;
    (0..w * h)
        .map(|corner| {
            let (x, y) = ((corner % w) as f64, (corner / w) as f64);
            let place = view.place(x / (w as f64 - 1.0), y / (h as f64 - 1.0));
            (place[along.axis] + linear(component, place) - centre) / step
        })
        .collect()
}

/// How much of a pixel a line of 1.3 pixels covers, from the phase there and its neighbours.
fn coverage(here: f64, right: f64, below: f64, pitch: f64) -> f64 {
    const HALF: f64 = 0.65;
    let slope = (right - here).hypot(below - here);
    // Where the field is flat (stretched beyond 8 times), a line does not become a blot.
    let distance = (here - here.round()).abs() / slope.max(0.125 / pitch);
    (HALF + 0.5 - distance).clamp(0.0, 1.0)
}
