//! Data to pictures: box plots, training curves, and the page by which a registration is judged, also as HTML
//! ([`report`]).
//!
//! Every other function returns a [`Picture`] (an RGB buffer); [`Picture::write_png`] writes it whole or not
//! at all. Charts are drawn three times as large and averaged down, text likewise: plotters' own
//! rendering is coarse at the sizes of a figure.

mod boxplot;
mod chart;
mod colour;
mod curves;
mod picture;
pub mod qc;
pub mod report;
mod text;

pub use boxplot::{BoxGroup, box_plot};
pub use colour::Rgb;
pub use curves::{CurveStyle, Series, curves};
pub use picture::Picture;
