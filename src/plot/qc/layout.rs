//! Where panels and captions go on the page.

use super::panel::TITLES;
use super::view::View;

/// Space around the page and between panels, in pixels.
pub(super) const MARGIN: usize = 28;
const GAP: usize = 8;
/// For the names of the slices, left of the panels.
const GUTTER: usize = 30;
/// Above the panels: two lines of text and the titles of the columns.
const HEADER: usize = 116;
/// Below: colour bars and their captions.
const FOOTER: usize = 92;
/// Least size of a panel's sides, and of a column: a title must fit.
const LEAST: usize = 24;
const LEAST_COLUMN: usize = 176;

/// Sizes and places in pixels.
pub(super) struct Layout {
    /// Size of the panels of each row.
    pub panels: Vec<[usize; 2]>,
    /// Top of each row.
    pub rows: Vec<usize>,
    pub column_width: usize,
    pub width: usize,
    pub height: usize,
}

impl Layout {
    /// One scale for all slices, such that the longest side takes `longest` pixels.
    pub fn new(views: &[View], longest: usize) -> Self {
        let sides = views
            .iter()
            .flat_map(|v| [v.right.millimetres(), v.down.millimetres()]);
        let scale = longest as f64 / sides.fold(0.0, f64::max);
        let pixels = |millimetres: f64| ((millimetres * scale).round() as usize).max(LEAST);
        let panels: Vec<[usize; 2]> = views
            .iter()
            .map(|view| {
                [
                    pixels(view.right.millimetres()),
                    pixels(view.down.millimetres()),
                ]
            })
            .collect();
        let widest = panels.iter().map(|size| size[0]).max().unwrap_or(LEAST);
        let column_width = widest.max(LEAST_COLUMN);
        let mut rows = Vec::new();
        let mut y = HEADER;
        for size in &panels {
            rows.push(y);
            y += size[1] + GAP;
        }
        Self {
            panels,
            rows,
            column_width,
            width: 2 * MARGIN + GUTTER + TITLES.len() * (column_width + GAP) - GAP,
            height: y + FOOTER,
        }
    }

    /// Left end of a column.
    pub fn column(&self, column: usize) -> usize {
        MARGIN + GUTTER + column * (self.column_width + GAP)
    }

    /// Left and top of a panel, centred in its column.
    pub fn panel(&self, row: usize, column: usize) -> [usize; 2] {
        let spare = self.column_width - self.panels[row][0];
        [self.column(column) + spare / 2, self.rows[row]]
    }

    /// Height of the middle of the column titles.
    pub fn titles(&self) -> f64 {
        HEADER as f64 - 16.0
    }

    /// Height at which the colour bars begin.
    pub fn bars(&self) -> usize {
        self.height - FOOTER + 12
    }
}
