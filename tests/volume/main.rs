//! Images, fields and transforms on disk, and the geometry between grids.

#[path = "../support/scans.rs"]
mod scans;

mod affines;
mod fields;
mod foreign;
mod formats;
mod fuzz;
mod nifti;
mod nifti_write;
mod odd;
mod resample;
mod transforms;
