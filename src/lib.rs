//! hmorph: learning-based registration of medical images.
//!
//! `ARCHITECTURE.md` holds the conventions (axes, units, directions) that every module keeps.

pub mod cli;
pub mod config;
pub mod dataset;
pub mod device;
pub mod error;
pub mod eval;
pub mod interop;
pub mod kernels;
pub mod linear;
pub mod loss;
pub mod metric;
pub mod model;
pub mod nn;
pub mod ops;
pub mod plot;
pub mod register;
pub mod render;
pub mod spatial;
pub mod study;
pub mod synth;
pub mod train;
pub mod volume;
