//! How moved images are written.

use std::path::Path;

use serde::{Serialize, Serializer};

use crate::error::Result;
use crate::register::Fill;
use crate::volume::{DType, probe};

/// What lies beyond an image that is moved, and the type of its voxels.
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
    #[arg(long, value_name = "TYPE", default_value = "float32", value_parser = parse_dtype)]
    pub dtype: OutputType,
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

pub(super) fn parse_dtype(text: &str) -> Result<OutputType, String> {
    match text {
        "same" => Ok(OutputType::Same),
        _ => text.parse().map(OutputType::Given),
    }
}

/// `same` is the moving file's type; half precision, which no medical format has, becomes single.
///
/// # Errors
/// A moving file that cannot be read.
pub(super) fn output_type(wanted: OutputType, moving: &Path) -> Result<DType> {
    let dtype = match wanted {
        OutputType::Given(dtype) => dtype,
        OutputType::Same => probe(moving)?.dtype,
    };
    Ok(if dtype == DType::F16 {
        DType::F32
    } else {
        dtype
    })
}
