//! How moved images are written.

use std::path::Path;

use clap::ValueEnum;
use serde::{Serialize, Serializer};

use crate::error::{Error, Result};
use crate::register::Fill;
use crate::volume::resample::LabelInterpolation;
use crate::volume::{DType, Format, Series, SeriesKind, check_writable, voxel_file};

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

/// What lies beyond an image that is moved, what between its voxels, and their type.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct OutputArgs {
    /// Value of a moved image beyond its content: a number, min (its smallest value) or edge
    #[arg(
        long,
        value_name = "VALUE",
        default_value = "min",
        allow_hyphen_values = true
    )]
    pub fill: Fill,
    /// Voxel type of moved images: float32, uint8, int16 ...; same keeps each image's own (rounded, saturated)
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
    /// The type for `moved` in the file `out`, where `own` says that of the moving file's values.
    ///
    /// # Errors
    /// Those of `own`, a suffix that no image has.
    pub fn dtype_or_own(
        &self,
        moved: &SeriesKind,
        out: &Path,
        own: impl FnOnce() -> Result<DType>,
    ) -> Result<DType> {
        let keeps = *moved == SeriesKind::Colour || Format::of(out)? == Format::Png;
        match (self.dtype, keeps) {
            (Some(OutputType::Given(dtype)), _) => Ok(stored(dtype)),
            (None, false) => Ok(DType::F32),
            (Some(OutputType::Same), _) | (None, true) => own().map(stored),
        }
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
