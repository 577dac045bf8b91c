//! What an image file holds, for `hmorph info`.

use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use super::field_file::check_kind;
use super::nifti::geometry_note;
use super::orientation::axis_codes;
use super::raw::{Intent, RawVolume};
use super::read::{Role, read_raw};
use super::{DType, Dimension, Endian, Format, World};
use crate::error::Result;

/// The kind of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Image,
    DisplacementField,
    /// Several values a voxel that the file calls neither colours nor displacements in mm.
    VectorImage,
}

/// Header and statistics of an image file; statistics are over the finite voxels of all frames, after the
/// file's intensity scaling.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileInfo {
    #[serde(serialize_with = "shown")]
    pub path: PathBuf,
    pub kind: Kind,
    pub format: Format,
    /// All axes of the file.
    pub shape: Vec<usize>,
    pub dimension: Dimension,
    pub dtype: DType,
    pub endian: Endian,
    /// Voxel sizes in mm along `(i, j, k)`.
    pub spacing: [f64; 3],
    /// World directions in which the voxel indices grow, such as `RAS`.
    pub orientation: String,
    /// The file does not state it.
    pub orientation_assumed: bool,
    /// Rows of the voxel-to-world (RAS mm) matrix.
    pub affine: [[f64; 4]; 4],
    /// `[slope, intercept]` where the file scales its values.
    pub scaling: Option<[f64; 2]>,
    /// `None` if no voxel is finite.
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub sum: f64,
    /// Number of NaN and infinite voxels.
    pub nonfinite: u64,
    /// What a reader should know of its geometry or its vectors.
    pub note: Option<String>,
}

/// A path as text: JSON holds no bytes that are no UTF-8.
fn shown<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// Reads a file of any image format and describes it; of an `.npz` the image, or else its labels.
///
/// # Errors
/// A file that is not a readable image.
pub fn probe(path: impl AsRef<Path>) -> Result<FileInfo> {
    let path = path.as_ref();
    let raw = read_raw(path, Role::Image).or_else(|error| match Format::of(path) {
        Ok(Format::Npz) => read_raw(path, Role::Labels).map_err(|_| error),
        _ => Err(error),
    })?;
    Ok(describe(path, &raw))
}

fn describe(path: &Path, raw: &RawVolume) -> FileInfo {
    let mut statistics = Statistics::default();
    raw.for_each_value(|value| statistics.add(value));
    let some = statistics.finite > 0;
    let matrix = raw.affine.0;
    FileInfo {
        path: path.to_path_buf(),
        kind: kind(raw),
        format: raw.format,
        shape: raw.shape.clone(),
        dimension: raw.geometry().dimension,
        dtype: raw.samples.dtype,
        endian: raw.samples.endian,
        spacing: raw.affine.spacing(),
        orientation: axis_codes(&raw.affine),
        orientation_assumed: raw.world == World::ASSUMED,
        affine: std::array::from_fn(|row| std::array::from_fn(|column| matrix[(row, column)])),
        scaling: raw
            .samples
            .scale
            .map(|(slope, intercept)| [slope, intercept]),
        min: some.then_some(statistics.min),
        max: some.then_some(statistics.max),
        sum: statistics.sum,
        nonfinite: statistics.nonfinite,
        note: match raw.intent {
            Intent::Deformation(what) => Some(what.into()),
            _ => geometry_note(path),
        },
    }
}

fn kind(raw: &RawVolume) -> Kind {
    // Whole numbers by threes are colours rather than millimetres, where the file does not say what they are.
    let real = matches!(raw.samples.dtype, DType::F16 | DType::F32 | DType::F64);
    match raw.intent {
        Intent::Image | Intent::Colour => Kind::Image,
        Intent::Channels if !real => Kind::VectorImage,
        _ if check_kind(raw).is_ok() => Kind::DisplacementField,
        _ => Kind::VectorImage,
    }
}

struct Statistics {
    min: f64,
    max: f64,
    sum: f64,
    finite: u64,
    nonfinite: u64,
}

impl Default for Statistics {
    fn default() -> Self {
        Self {
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            sum: 0.0,
            finite: 0,
            nonfinite: 0,
        }
    }
}

impl Statistics {
    fn add(&mut self, value: f64) {
        if !value.is_finite() {
            self.nonfinite += 1;
            return;
        }
        self.finite += 1;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.sum += value;
    }
}
