//! Real scans, which are no part of the project.

use std::path::PathBuf;

/// A set in the folder that `HMORPH_TEST_DATA` names; says so and gives `None` where it names none.
pub fn scans(set: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("HMORPH_TEST_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: HMORPH_TEST_DATA is not set");
    }
    folder.map(|folder| folder.join(set))
}
