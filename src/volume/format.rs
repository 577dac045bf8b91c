//! Which file format a name stands for. The suffix decides, and the content must agree with it.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Result};

/// The image file formats, by suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// `.nii`, `.nii.gz`: NIfTI-1 or NIfTI-2 in one file.
    Nifti,
    /// `.hdr` + `.img`, either or both gzipped: NIfTI-1/2 pair or Analyze 7.5.
    NiftiPair,
    /// `.mgh`, `.mgz`: FreeSurfer.
    Mgh,
    /// `.png`: 2-D, 8 or 16 bits.
    Png,
    /// `.npy`: one numpy array.
    Npy,
    /// `.npz`: numpy arrays by name, as VoxelMorph's `vol` and `seg`.
    Npz,
}

const SUFFIXES: [(&str, Format); 12] = [
    (".nii", Format::Nifti),
    (".nii.gz", Format::Nifti),
    (".hdr", Format::NiftiPair),
    (".hdr.gz", Format::NiftiPair),
    (".img", Format::NiftiPair),
    (".img.gz", Format::NiftiPair),
    (".mgh", Format::Mgh),
    (".mgh.gz", Format::Mgh),
    (".mgz", Format::Mgh),
    (".png", Format::Png),
    (".npy", Format::Npy),
    (".npz", Format::Npz),
];

impl Format {
    /// The format that the suffix of `path` stands for.
    ///
    /// # Errors
    /// A suffix that hmorph does not read, naming those it does.
    pub fn of(path: &Path) -> Result<Self> {
        let name = file_name(path);
        if name.ends_with(".bz2") {
            return Err(Error::file(
                path,
                "bzip2 is not supported; recompress with gzip",
            ));
        }
        let found = SUFFIXES.iter().find(|(suffix, _)| name.ends_with(suffix));
        found.map(|&(_, format)| format).ok_or_else(|| {
            let problem = "not an image format by its suffix; hmorph reads .nii, .nii.gz, \
                .hdr + .img, .mgz, .mgh, .png, .npy and .npz (convert others, such as DICOM, to NIfTI)";
            Error::file(path, problem)
        })
    }
}

/// Whether the name promises gzip content.
pub(crate) fn is_gzip_name(path: &Path) -> bool {
    let name = file_name(path);
    name.ends_with(".gz") || name.ends_with(".mgz")
}

/// The file name in lower case; suffixes are compared without regard to case.
pub(crate) fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().to_ascii_lowercase()
}

/// The `.hdr` and `.img` files that belong to either of them; `.gz` may be on one, both or none.
pub(crate) fn header_and_image(path: &Path) -> Result<(PathBuf, PathBuf)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem_length = file_name(path)
        .rfind(".hdr")
        .or_else(|| file_name(path).rfind(".img"))
        .unwrap_or(name.len());
    let stem = name.get(..stem_length).unwrap_or(&name);
    let sibling = |suffix: &str| {
        let candidates = [suffix.to_string(), format!("{suffix}.gz")];
        let mut found = candidates
            .iter()
            .map(|s| path.with_file_name(format!("{stem}{s}")));
        found.find(|p| p.exists()).ok_or_else(|| {
            let problem =
                format!("no '{stem}{suffix}' or '{stem}{suffix}.gz' beside it; a pair needs both");
            Error::file(path, problem)
        })
    };
    if file_name(path).contains(".hdr") {
        Ok((path.to_path_buf(), sibling(".img")?))
    } else {
        Ok((sibling(".hdr")?, path.to_path_buf()))
    }
}

/// Text out of a file, fit for a one-line message: short, and without control characters.
pub(crate) fn quoted(text: &str) -> String {
    let start: String = text.trim().chars().take(40).collect();
    format!("'{}'", start.escape_debug())
}
