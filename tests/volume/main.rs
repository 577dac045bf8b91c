//! Images, fields and transforms on disk, and the geometry between grids.

use std::path::{Path, PathBuf};

use nalgebra::{Matrix3, Vector3};

#[path = "../support/scans.rs"]
mod scans;

mod affines;
mod fields;
mod foreign;
mod formats;
mod fuzz;
mod nifti;
mod nifti_meaning;
mod nifti_write;
mod odd;
mod one_by_one;
mod resample;
mod transforms;

/// A small file that another program wrote (`golden/volume/README.md`).
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/volume")
        .join(name)
}

/// The linear part of every affine there.
fn linear() -> Matrix3<f64> {
    let (s, c) = 0.4_f64.sin_cos();
    Matrix3::new(c, -s, 0.0, s, c, 0.0, 0.0, 0.0, -1.0)
        * Matrix3::from_diagonal(&Vector3::new(1.5, 2.0, 0.75))
}
