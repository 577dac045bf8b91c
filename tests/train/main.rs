//! Training runs: what they learn, refuse and keep.

#[path = "../support/studies.rs"]
mod studies;
#[path = "../support/training.rs"]
mod training;

mod learning;
mod mixture;
mod on_device;
mod pairs;
mod presets;
mod refusals;
#[cfg(unix)]
mod resume;
