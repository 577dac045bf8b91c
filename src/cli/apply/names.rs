//! Names of the results.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{bail, ensure};

use super::ApplyArgs;
use crate::dataset::{Markups, stem};
use crate::volume::Format;

/// Those of all results; two inputs must not share one.
pub(super) fn outputs(args: &ApplyArgs) -> anyhow::Result<Vec<String>> {
    let inputs = args.images.iter().chain(&args.labels).chain(&args.points);
    let names: Vec<String> = inputs.map(|path| output(path)).collect();
    ensure!(
        !names.is_empty(),
        "nothing to move: name images, labels or points"
    );
    let mut seen = BTreeSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
        bail!("two inputs would be written as {twice}; move them in separate calls");
    }
    Ok(names)
}

/// The input's own name; `.nii.gz` for image formats that are only read.
pub(super) fn output(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match Format::of(path) {
        Ok(Format::NiftiPair | Format::Npy | Format::Npz) => format!("{}.nii.gz", stem(path)),
        _ => name.into_owned(),
    }
}

/// Whether a path names a file and not a folder.
pub(super) fn is_file(path: &Path) -> bool {
    let table = path.extension().is_some_and(|suffix| suffix == "csv");
    !path.is_dir() && (table || Markups::is_named(path) || Format::of(path).is_ok())
}
