//! A registration, or a list of them, as a page for a web browser.
//!
//! Each page is one file that asks for nothing from the network: style, script and pictures are part of it. What
//! changes from run to run is data for the templates (`*.html`), which escape it.

mod histogram;
mod index;
mod slices;
mod template;
mod text;

#[cfg(test)]
mod tests;

pub use index::{Index, IndexRow};
pub use text::{Change, Fact, ReportText, Section};

use serde::Serialize;

use super::colour::{FOLD, Rgb, diverging, structure};
use super::qc::{self, LINE, Maps, Outlines, QcInput, middle};
use crate::error::Result;
use crate::metric::folding;
use histogram::Histogram;
use slices::Plane;

/// What the script of the page draws from.
#[derive(Serialize)]
struct Viewer {
    planes: Vec<Plane>,
    /// The scale of differences and determinants, from its lowest value to its highest.
    scale: Vec<Rgb>,
    /// Colours of the structures by their number; a few colours come again among many structures.
    structures: Vec<Rgb>,
    /// Whether the outlines of the fixed labels are drawn under the others.
    few: bool,
    fold: Rgb,
    line: Rgb,
    /// Largest difference shown, of intensities scaled to 0..1.
    difference_range: f64,
    /// Determinants from `1 / range` to `range` are told apart.
    determinant_range: f64,
    /// Distance of the lines of the deformed grid.
    grid_mm: f64,
}

#[derive(Serialize)]
struct Page<'a> {
    text: &'a ReportText,
    viewer: Viewer,
    histogram: Histogram,
    folded: usize,
    folded_percent: String,
    voxels: usize,
    least_determinant: String,
}

/// The page of one registration: slices to compare in several ways, the Jacobian determinant, and what `text` says.
///
/// Intensities, differences and determinants are shown as on the page of [`qc::qc_page`].
///
/// # Errors
/// Something is not on the grid of the field.
pub fn report_page(input: &QcInput, text: &ReportText) -> Result<String> {
    qc::check(input)?;
    let maps = Maps::new(input);
    let outlines = input.labels.map(Outlines::new);
    let folds = folding(input.field, None)?;
    let (planes, grid_mm) = slices::planes(&maps, outlines.as_ref(), middle(input))?;
    template::render(
        &template::REPORT,
        &Page {
            text,
            histogram: Histogram::of(&maps.determinant, maps.determinant_range),
            viewer: Viewer {
                planes,
                scale: (0..=255)
                    .map(|step| diverging(f64::from(step) / 127.5 - 1.0))
                    .collect(),
                structures: (0..slices::STRUCTURES).map(structure).collect(),
                few: outlines.as_ref().is_some_and(Outlines::few),
                fold: FOLD,
                line: LINE,
                difference_range: maps.difference_range,
                determinant_range: maps.determinant_range,
                grid_mm,
            },
            folded: folds.folded,
            folded_percent: format!("{:.4}", folds.percent()),
            voxels: folds.voxels,
            least_determinant: format!("{:.3}", folds.least),
        },
    )
}
