//! How moved images are written.

use std::path::Path;

use clap::ValueEnum;
use serde::{Serialize, Serializer};

use crate::error::{Error, Result};
use crate::register::Fill;
use crate::volume::resample::LabelInterpolation;
use crate::volume::{DType, Format, Series, SeriesKind, check_writable, probe, voxel_file};

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
    /// The type for `moved` from the file `moving` in the file `out`.
    ///
    /// # Errors
    /// A moving file that cannot be read, a suffix that no image has.
    pub fn dtype(&self, moved: &SeriesKind, moving: &Path, out: &Path) -> Result<DType> {
        let keeps = *moved == SeriesKind::Colour || Format::of(out)? == Format::Png;
        match (self.dtype, keeps) {
            (Some(OutputType::Given(dtype)), _) => Ok(stored(dtype)),
            (None, false) => Ok(DType::F32),
            (Some(OutputType::Same), _) | (None, true) => own_type(moving),
        }
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

/// The type of the values of a file, as far as a medical format has it: that of its voxels, or float32 where the file scales
/// them, since no integer holds what they stand for.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn own_type(path: &Path) -> Result<DType> {
    let info = probe(path)?;
    Ok(match info.scaling {
        Some(_) => DType::F32,
        None => stored(info.dtype),
    })
}

/// Half precision, which no medical format has, becomes single.
fn stored(dtype: DType) -> DType {
    match dtype {
        DType::F16 => DType::F32,
        _ => dtype,
    }
}
