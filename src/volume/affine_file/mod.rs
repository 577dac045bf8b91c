//! Affine transforms on disk.
//!
//! In memory a [`WorldAffine`] is a pull between RAS worlds: it takes a point of the fixed image to the point of the
//! moving image that belongs there. The formats differ:
//!
//! | suffix | content | direction | world |
//! |---|---|---|---|
//! | `.mat` | ITK, binary (MATLAB 4); read: also a matrix as text | fixed to moving | LPS; text: RAS |
//! | `.tfm` | ITK, text | fixed to moving | LPS |
//! | `.txt` | 4x4 matrix, in 2-D 3x3, as of greedy and c3d (read: also ITK text) | fixed to moving | RAS |
//! | `.lta` | FreeSurfer, with both geometries | moving to fixed | RAS |

mod lta;

use std::io::Write as _;
use std::path::Path;

use nalgebra::{Matrix2x3, Matrix3, Matrix3x4, Matrix4, Vector3, Vector4};

use super::format::{self, file_name};
use super::io::write_atomically;
use super::transform_file::{Step, common_dimension};
use super::{Affine, Dimension, Geometry, WorldPoint, itk};
use crate::error::{Error, Result};

/// No file of an affine comes near this.
const MAX_BYTES: u64 = 1 << 20;

/// Takes a point of the fixed image (RAS mm) to its point of the moving image (RAS mm).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WorldAffine(pub Matrix4<f64>);

impl WorldAffine {
    pub fn identity() -> Self {
        Self(Matrix4::identity())
    }

    pub fn apply(&self, point: WorldPoint) -> WorldPoint {
        WorldPoint((self.0 * point.0.push(1.0)).xyz())
    }

    /// The pull the other way; `None` for a singular matrix.
    pub fn inverse(&self) -> Option<Self> {
        self.0.try_inverse().map(Self)
    }

    /// Whether it flattens space, so that there is no way back.
    pub fn is_singular(&self) -> bool {
        Affine(self.0).is_singular()
    }

    /// Whether it keeps to the plane of a 2-D image and leaves the third coordinate alone.
    pub(in crate::volume) fn is_planar(&self) -> bool {
        (0..2).all(|n| self.0[(2, n)] == 0.0 && self.0[(n, 2)] == 0.0)
    }

    pub(super) fn from_parts(linear: &Matrix3<f64>, offset: Vector3<f64>) -> Self {
        let mut matrix = linear.to_homogeneous();
        matrix.fixed_view_mut::<3, 1>(0, 3).copy_from(&offset);
        Self(matrix)
    }

    /// The same map between LPS worlds, and back.
    pub(super) fn flipped(&self) -> Self {
        let flip = Matrix4::from_diagonal(&Vector4::new(-1.0, -1.0, 1.0, 1.0));
        Self(flip * self.0 * flip)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    ItkBinary,
    ItkText,
    Matrix,
    Lta,
}

fn kind_of(path: &Path) -> Result<Kind> {
    match Path::new(&file_name(path))
        .extension()
        .and_then(|e| e.to_str())
    {
        Some("mat") => Ok(Kind::ItkBinary),
        Some("tfm") => Ok(Kind::ItkText),
        Some("txt") => Ok(Kind::Matrix),
        Some("lta") => Ok(Kind::Lta),
        _ => Err(Error::file(
            path,
            "not an affine by its suffix; use .mat, .tfm, .txt or .lta",
        )),
    }
}

/// Writes an affine; the suffix chooses the format, and the geometries go into an `.lta`.
///
/// # Errors
/// Another suffix, a singular matrix where the inverse is stored, refusals of the operating system.
pub fn write_affine(
    path: impl AsRef<Path>,
    affine: &WorldAffine,
    fixed: &Geometry,
    moving: &Geometry,
) -> Result<()> {
    let path = path.as_ref();
    let bytes = match kind_of(path)? {
        Kind::ItkBinary => itk::affine_matlab(affine, fixed.dimension),
        Kind::ItkText => itk::affine_text(affine, fixed.dimension).into_bytes(),
        Kind::Matrix if fixed.dimension == Dimension::Two && affine.is_planar() => {
            matrix_text(&affine.0, &[0, 1, 3]).into_bytes()
        }
        Kind::Matrix => matrix_text(&affine.0, &[0, 1, 2, 3]).into_bytes(),
        Kind::Lta => {
            let inverse = affine.inverse();
            let inverse = inverse.ok_or_else(|| Error::file(path, "the affine has no inverse"))?;
            lta::text(&inverse.0, moving, fixed).into_bytes()
        }
    };
    write_atomically(path, |out| out.write_all(&bytes))
}

/// Reads an affine written by hmorph, ITK, ANTs, NiftyReg or FreeSurfer.
///
/// # Errors
/// Other content, more than one transform, or numbers that are not finite.
pub fn read_affine(path: impl AsRef<Path>) -> Result<WorldAffine> {
    read_dimensioned(path.as_ref()).map(|(affine, _)| affine)
}

/// As [`read_affine`], with the dimension of the images as far as the file says it: FreeSurfer's are always 3-D.
pub(super) fn read_dimensioned(path: &Path) -> Result<(WorldAffine, Dimension)> {
    let kind = kind_of(path)?;
    let length = std::fs::metadata(path)
        .map_err(|e| Error::io(path, e))?
        .len();
    if length > MAX_BYTES {
        return Err(Error::file(
            path,
            format!("{length} bytes are too many for an affine"),
        ));
    }
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    let text = String::from_utf8_lossy(&bytes);
    let affine = match kind {
        Kind::ItkText => itk::from_text(&text).and_then(joined),
        Kind::ItkBinary | Kind::Matrix if text.starts_with(itk::TEXT_START) => {
            itk::from_text(&text).and_then(joined)
        }
        Kind::ItkBinary if !is_text(&bytes) => itk::from_matlab(&bytes).and_then(joined),
        Kind::ItkBinary => matrix(text.lines()).map_err(|problem| {
            format!("neither a MATLAB file of ITK nor a matrix as text: {problem}")
        }),
        Kind::Matrix => matrix(text.lines()),
        Kind::Lta => lta::from_text(&text).map(|affine| (affine, Dimension::Three)),
    };
    let (affine, dimension) = affine.map_err(|problem| Error::file(path, problem))?;
    if affine.0.iter().all(|v| v.is_finite()) {
        Ok((affine, dimension))
    } else {
        Err(Error::file(
            path,
            "the matrix has entries that are not finite numbers",
        ))
    }
}

/// The one affine that several in turn are.
fn joined(steps: Vec<Step>) -> Result<(WorldAffine, Dimension), String> {
    let dimension = common_dimension(steps.iter().map(Step::dimension));
    let mut all = Matrix4::identity();
    for step in steps {
        match step {
            Step::Affine { affine, .. } => all = affine.0 * all,
            Step::Field(_) => return Err("a displacement field, not an affine".into()),
        }
    }
    Ok((WorldAffine(all), dimension.unwrap_or(Dimension::Three)))
}

/// A MATLAB file starts with bytes that no text has.
fn is_text(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes
            .iter()
            .all(|&b| b.is_ascii_graphic() || b.is_ascii_whitespace())
}

/// These rows and columns, the last of them the fourth, a row a line; each number is the shortest text that reads back
/// as the same.
fn matrix_text(matrix: &Matrix4<f64>, kept: &[usize]) -> String {
    // An inverse has rounding in its last row, which readers want exact.
    let value = |row: usize, column: usize| match row {
        3 => unit(column == 3),
        _ => matrix[(row, column)],
    };
    let row = |&r: &usize| {
        let numbers: Vec<String> = kept.iter().map(|&c| value(r, c).to_string()).collect();
        numbers.join(" ") + "\n"
    };
    kept.iter().map(row).collect()
}

/// Of the last row: 1 at its end, else 0.
fn unit(last: bool) -> f64 {
    if last { 1.0 } else { 0.0 }
}

/// Four rows of four numbers, or three of three in 2-D; empty lines and lines that start with `#` do not count.
fn matrix<'a>(lines: impl Iterator<Item = &'a str>) -> Result<(WorldAffine, Dimension), String> {
    let lines = lines
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'));
    let mut numbers = Vec::new();
    for line in lines {
        numbers.extend(format::numbers(line)?);
    }
    let (dimension, size) = match numbers.len() {
        16 => (Dimension::Three, 4),
        9 => (Dimension::Two, 3),
        count => {
            return Err(format!(
                "{count} numbers; expected 4 rows of 4, in 2-D 3 of 3"
            ));
        }
    };
    let (rows, last) = numbers.split_at(size * (size - 1));
    // Programs that compute in float32 round it.
    let expected = |(n, value): (usize, &f64)| (value - unit(n + 1 == size)).abs() <= 1e-5;
    if !last.iter().enumerate().all(expected) {
        return Err("the last row of the matrix is not 0 0 0 1, in 2-D 0 0 1".into());
    }
    let affine = match dimension {
        Dimension::Two => {
            let rows = Matrix2x3::from_row_slice(rows);
            let linear = rows.fixed_view::<2, 2>(0, 0).to_homogeneous();
            WorldAffine::from_parts(&linear, rows.column(2).push(0.0))
        }
        Dimension::Three => {
            let rows = Matrix3x4::from_row_slice(rows);
            let linear = rows.fixed_view::<3, 3>(0, 0).into_owned();
            WorldAffine::from_parts(&linear, rows.column(3).into_owned())
        }
    };
    Ok((affine, dimension))
}
