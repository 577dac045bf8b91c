//! Which file format a name stands for. The suffix decides, and the content must agree with it.

use std::fs::File;
use std::io::Read;
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
    /// `.mha`, `.mhd` with its voxels beside it: ITK's MetaImage.
    MetaImage,
    /// `.nrrd`, `.nhdr` with its voxels beside it.
    Nrrd,
    /// `.png`: 2-D, 8 or 16 bits.
    Png,
    /// `.npy`: one numpy array.
    Npy,
    /// `.npz`: numpy arrays by name, as VoxelMorph's `vol` and `seg`.
    Npz,
}

const SUFFIXES: [(&str, Format); 16] = [
    (".nii", Format::Nifti),
    (".nii.gz", Format::Nifti),
    (".hdr", Format::NiftiPair),
    (".hdr.gz", Format::NiftiPair),
    (".img", Format::NiftiPair),
    (".img.gz", Format::NiftiPair),
    (".mgh", Format::Mgh),
    (".mgh.gz", Format::Mgh),
    (".mgz", Format::Mgh),
    (".mha", Format::MetaImage),
    (".mhd", Format::MetaImage),
    (".nrrd", Format::Nrrd),
    (".nhdr", Format::Nrrd),
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
            let problem = if is_dicom(path) {
                "DICOM is not read; convert the series to NIfTI first: dcm2niix -z y -o OUT FOLDER"
            } else if path.is_dir() {
                "a folder; name an image file"
            } else {
                "not an image format by its suffix; hmorph reads .nii, .nii.gz, .hdr + .img, .mgz, .mgh, .mha, .mhd, \
                .nrrd, .nhdr, .png, .npy and .npz"
            };
            Error::file(path, problem)
        })
    }

    /// Whether the format says where an image lies in the world and how large its voxels are.
    pub fn has_geometry(self) -> bool {
        !matches!(self, Self::Png | Self::Npy | Self::Npz)
    }
}

/// A file named `.dcm` or with DICOM's magic, or a folder with one among its first files.
fn is_dicom(path: &Path) -> bool {
    const LOOKED_AT: usize = 16;
    if path.is_dir() {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        let mut files = entries
            .map(|e| e.path())
            .filter(|p| p.is_file())
            .take(LOOKED_AT);
        return files.any(|file| is_dicom(&file));
    }
    // 128 bytes that mean nothing come before the magic.
    let mut start = [0; 132];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    file_name(path).ends_with(".dcm") || (read.is_ok() && start.ends_with(b"DICM"))
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

/// The file that takes the voxels beside the header at `path`, for formats written as two files.
pub fn voxel_file(path: &Path) -> Option<PathBuf> {
    match file_name(path).rsplit_once('.')?.1 {
        "mhd" => Some(path.with_extension("raw")),
        "nhdr" => Some(path.with_extension("raw.gz")),
        _ => None,
    }
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

/// Sizes of 2 to 7 axes, at least 1 each and as many as `axes` says; `None` where the texts do not say that.
pub(crate) fn axis_sizes(axes: &str, sizes: &str) -> Option<Vec<usize>> {
    let axes: usize = axes.parse().ok()?;
    let sizes: Option<Vec<usize>> = sizes.split_whitespace().map(|n| n.parse().ok()).collect();
    sizes.filter(|sizes| sizes.len() == axes && (2..=7).contains(&axes) && !sizes.contains(&0))
}

/// Numbers between blanks.
pub(crate) fn numbers(text: &str) -> Result<Vec<f64>, String> {
    let parse = |word: &str| {
        word.parse()
            .map_err(|_| format!("{} is not a number", quoted(word)))
    };
    text.split_whitespace().map(parse).collect()
}
