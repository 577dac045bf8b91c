//! The page by which a registration is judged.
//!
//! Rows are the axial, coronal and sagittal slice (2-D: the one plane there is); columns the fixed,
//! moving and moved image, the difference after the linear part alone and in the end on one scale, the
//! deformed grid over the moved image, and the Jacobian determinant with folds marked. The patient's right is on the
//! left, as if seen from the feet, and anterior is left in sagittal slices; letters at the fixed image say so.

mod bars;
mod contour;
mod grid;
mod layout;
mod maps;
mod page;
mod panel;
mod view;

#[cfg(test)]
mod tests;

pub(super) use contour::trace as trace_outlines;
pub(super) use grid::{LINE, trace as trace_grid};
pub(super) use maps::{Maps, middle, over_pixel};
pub(super) use page::check;
pub use page::qc_page;
pub(super) use panel::Outlines;
pub(super) use view::{View, views};

use crate::volume::{DisplacementField, Image, LabelMap};

/// Fixed, moving and moved labels; contours of all are drawn.
#[derive(Debug, Clone, Copy)]
pub struct QcLabels<'a> {
    pub fixed: &'a LabelMap,
    pub moving: &'a LabelMap,
    pub moved: &'a LabelMap,
}

/// What the page shows. All on the grid of the field.
#[derive(Debug, Clone, Copy)]
pub struct QcInput<'a> {
    pub fixed: &'a Image,
    /// After the linear stage, as are the moving labels.
    pub moving: &'a Image,
    pub moved: &'a Image,
    /// The pull that made `moved`.
    pub field: &'a DisplacementField,
    pub labels: Option<QcLabels<'a>>,
}

/// What is written on the page.
#[derive(Debug, Clone, PartialEq)]
pub struct QcOptions {
    pub fixed_name: String,
    pub moving_name: String,
    /// Mean Dice before registration, after its linear stage, and after all.
    pub dice: Option<[f64; 3]>,
    /// Correlation of intensities likewise.
    pub ncc: Option<[f64; 3]>,
}
