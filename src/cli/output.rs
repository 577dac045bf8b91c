//! How moved images are written.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::ValueEnum;
use serde::{Serialize, Serializer};

use super::options::OUTPUT;
use crate::error::{Error, Result};
use crate::register::{Fill, ResultFolder};
use crate::volume::resample::LabelInterpolation;
use crate::volume::{
    DType, Encoding, Format, Series, SeriesKind, check_writable, image_files, voxel_file,
};

/// Whether a result may and can be written to the file `path`; call it before the work.
///
/// # Errors
/// A file that is there, or voxels that would go beside it, without `force`; a folder that may not be written to.
pub fn check_file(path: &Path, force: bool) -> Result<()> {
    let beside = voxel_file(path);
    for file in [Some(path), beside.as_deref()].into_iter().flatten() {
        if file.exists() && !force {
            let problem = "exists; choose another name, or replace it with --force";
            return Err(Error::file(file, problem));
        }
    }
    check_writable(path)
}

/// Refuses to replace a file that is read, or one that its header names: `out` and its voxels, or in the folder `out` what
/// its record names and what new results of these `names` would be.
pub fn keep_inputs(
    out: &Path,
    names: &[String],
    inputs: impl Iterator<Item = PathBuf>,
) -> anyhow::Result<()> {
    let (outs, replaced) = match out.is_dir() {
        true => (vec![out.to_path_buf()], ResultFolder::replaced(out)),
        false => (with_voxels(out), Vec::new()),
    };
    let outs: Vec<PathBuf> = outs.iter().flat_map(|out| out.canonicalize()).collect();
    let written = names.iter().flat_map(|name| with_voxels(Path::new(name)));
    let replaced: Vec<PathBuf> = replaced.iter().map(PathBuf::from).chain(written).collect();
    let goes = |part: &OsStr| replaced.iter().any(|name| part == name.as_os_str());
    let lost = |file: &PathBuf| {
        let file = file.canonicalize().unwrap_or_default();
        // Nothing is left of the result itself: a file, or the folder of a registration, which would be none any more.
        let mut within = outs.iter().flat_map(|out| file.strip_prefix(out));
        within.any(|path| path.iter().next().is_none_or(goes))
    };
    match inputs.flat_map(|path| image_files(&path)).find(lost) {
        None => Ok(()),
        Some(file) => bail!(
            "{}: the input {} would be lost; choose another name",
            out.display(),
            file.display()
        ),
    }
}

/// A result and the file that takes its voxels beside it, where there is one.
fn with_voxels(path: &Path) -> Vec<PathBuf> {
    let voxels = voxel_file(path);
    [path.to_path_buf()].into_iter().chain(voxels).collect()
}

/// What lies beyond an image that is moved, what between its voxels, and their type.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = OUTPUT)]
pub struct OutputArgs {
    /// Value of a moved image beyond its content: a number, min (its smallest value) or edge
    #[arg(
        long,
        value_name = "VALUE",
        default_value = "min",
        allow_hyphen_values = true
    )]
    pub fill: Fill,
    /// Voxel type of moved images: float32, uint8, int16 ... (rounded, saturated); same keeps each image's own and, in
    /// NIfTI, its scaling of values (other formats get scaled values as float32)
    /// [default: float32; same for PNG and for colours, which are moved channel by channel]
    #[arg(long, value_name = "TYPE", value_parser = parse_dtype)]
    pub dtype: Option<OutputType>,
    /// Between voxels of labels: vote (the label with most weight among the voxels around) or nearest
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    pub label_interpolation: LabelBetween,
}

/// How labels between voxels are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelBetween {
    #[default]
    Vote,
    Nearest,
}

impl From<LabelBetween> for LabelInterpolation {
    fn from(between: LabelBetween) -> Self {
        match between {
            LabelBetween::Vote => Self::Vote,
            LabelBetween::Nearest => Self::Nearest,
        }
    }
}

/// Voxel type of a moved image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OutputType {
    Given(DType),
    Same,
}

impl Serialize for OutputType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Given(dtype) => dtype.serialize(serializer),
            Self::Same => serializer.serialize_str("same"),
        }
    }
}

fn parse_dtype(text: &str) -> Result<OutputType, String> {
    match text {
        "same" => Ok(OutputType::Same),
        _ => text.parse().map(OutputType::Given),
    }
}

impl OutputArgs {
    /// How `moved` is stored in the file `out`, where the moving file stores it as `own`.
    ///
    /// # Errors
    /// A suffix that no image has.
    pub fn encoding(&self, moved: &SeriesKind, out: &Path, own: Encoding) -> Result<Encoding> {
        let format = Format::of(out)?;
        let keeps = *moved == SeriesKind::Colour || format == Format::Png;
        Ok(match (self.dtype, keeps) {
            (Some(OutputType::Given(dtype)), _) => stored(dtype).into(),
            (None, false) => DType::F32.into(),
            // No integer holds the values that a scale makes of integers.
            _ if own.scale.is_some() && format != Format::Nifti => DType::F32.into(),
            (Some(OutputType::Same), _) | (None, true) => Encoding {
                dtype: stored(own.dtype),
                ..own
            },
        })
    }

    /// Whether a picture or colours in a file of the format of `moving` can have the type asked for; call it before the work.
    ///
    /// # Errors
    /// A type that they cannot have, a suffix that no image has.
    pub fn check_dtype(&self, moving: &Path, kind: &SeriesKind) -> Result<()> {
        let Some(OutputType::Given(dtype)) = self.dtype else {
            return Ok(());
        };
        let (what, held): (&str, &[DType]) = match (Format::of(moving)?, kind) {
            (Format::Png, _) => ("a PNG", &[DType::U8, DType::U16]),
            (Format::Nifti, SeriesKind::Colour) => ("colours in NIfTI", &[DType::U8]),
            _ => return Ok(()),
        };
        if held.contains(&dtype) {
            return Ok(());
        }
        let held: Vec<&str> = held.iter().map(|dtype| dtype.name()).collect();
        let problem = format!(
            "moved as {what}, which cannot be {dtype}; choose --dtype {} or same, or leave it out",
            held.join(", ")
        );
        Err(Error::file(moving, problem))
    }
}

/// What of an image of the file `from` goes to the file `to`: colours if both are of one format, else their luminance.
///
/// # Errors
/// A suffix that no image has.
pub(super) fn as_held(series: Series, from: &Path, to: &Path) -> Result<Series> {
    match series.kind == SeriesKind::Colour && Format::of(from)? != Format::of(to)? {
        true => Ok(series.grey().into()),
        false => Ok(series),
    }
}

/// Half precision, which no medical format has, becomes single.
fn stored(dtype: DType) -> DType {
    match dtype {
        DType::F16 => DType::F32,
        _ => dtype,
    }
}
