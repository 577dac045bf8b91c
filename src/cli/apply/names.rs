//! Names of the results.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};

use super::ApplyArgs;
use crate::dataset::{Markups, stem};
use crate::volume::Format;

/// Those of all results, in the order of the inputs.
pub(super) struct Names {
    pub images: Vec<String>,
    pub labels: Vec<String>,
    pub points: Vec<String>,
}

impl Names {
    /// A label map that is called as an image gets `_labels` behind its name.
    ///
    /// # Errors
    /// Nothing to move; two results of one name.
    pub fn new(args: &ApplyArgs) -> anyhow::Result<Self> {
        let of = |paths: &[PathBuf]| paths.iter().map(|path| output(path)).collect();
        let images: Vec<String> = of(&args.images);
        let label_name = |path: &PathBuf| match output(path) {
            name if images.contains(&name) => {
                let stem = stem(path);
                let suffix = name.strip_prefix(&stem).unwrap_or_default();
                format!("{stem}_labels{suffix}")
            }
            name => name,
        };
        let names = Self {
            labels: args.labels.iter().map(label_name).collect(),
            points: of(&args.points),
            images,
        };
        let all = names.all();
        ensure!(
            !all.is_empty(),
            "nothing to move: name images, labels or points"
        );
        let mut seen = BTreeSet::new();
        if let Some(twice) = all.iter().find(|name| !seen.insert(name.as_str())) {
            bail!("two inputs would be written as {twice}; move them in separate calls");
        }
        Ok(names)
    }

    pub fn all(&self) -> Vec<String> {
        [&self.images, &self.labels, &self.points]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }
}

/// The input's own name; `.nii.gz` for image formats that are only read.
fn output(path: &Path) -> String {
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

/// Suffixes of files that are not written, and hardly of folders.
const OTHER_FILES: [&str; 17] = [
    "bmp", "dcm", "gif", "gz", "h5", "jpeg", "jpg", "json", "mat", "mnc", "pdf", "tfm", "tif",
    "tiff", "txt", "vtk", "zip",
];

/// Refuses what looks like a file of a format that hmorph does not write and would become a folder of this name.
///
/// # Errors
/// Such a name of no folder.
pub(super) fn check_out(out: &Path) -> anyhow::Result<()> {
    let suffix = out.extension().unwrap_or_default().to_ascii_lowercase();
    ensure!(
        out.is_dir() || is_file(out) || !OTHER_FILES.iter().any(|other| suffix == *other),
        "{}: no result is written in this format; name a file (.nii.gz, .nii, .mgz, .mha, .nrrd, .png in 2-D, .csv of landmarks) \
         or a folder",
        out.display()
    );
    Ok(())
}

/// Refuses the name of a single result that says another format: landmarks are written in the one they came in, images in
/// one of images.
///
/// # Errors
/// Such a name.
pub(super) fn check_format(args: &ApplyArgs, out: &Path) -> anyhow::Result<()> {
    if args.points.is_empty() {
        Format::of(out)?;
        return Ok(());
    }
    let format = |path: &Path| match Markups::is_named(path) || Format::of(path).is_ok() {
        true => path.extension().map(|suffix| suffix.to_ascii_lowercase()),
        false => None,
    };
    match args.points.iter().find(|path| format(path) != format(out)) {
        None => Ok(()),
        Some(path) => bail!(
            "{}: landmarks are written in the format of {}; give the result the same suffix",
            out.display(),
            path.display()
        ),
    }
}
