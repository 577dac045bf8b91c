//! Published weights, which are no part of the project.

use std::path::PathBuf;

/// The folder that `HMORPH_TEST_MODELS` names, or `models` beside the one that `HMORPH_TEST_DATA` names; says so and
/// gives `None` where there is neither.
pub fn published_models() -> Option<PathBuf> {
    let named = std::env::var_os("HMORPH_TEST_MODELS").map(PathBuf::from);
    let beside = || {
        let data = PathBuf::from(std::env::var_os("HMORPH_TEST_DATA")?);
        Some(data.parent()?.join("models")).filter(|folder| folder.is_dir())
    };
    let folder = named.or_else(beside);
    if folder.is_none() {
        eprintln!("skipped: neither HMORPH_TEST_MODELS is set nor models beside HMORPH_TEST_DATA");
    }
    folder
}
