//! FreeSurfer's linear transform arrays: text, from the source (moving) to the destination (fixed) image.
//!
//! Types written and read: 1, between RAS worlds. Type 0, between voxels, is read with the geometries of the file.

use std::fmt::Write as _;

use nalgebra::{Matrix3, Matrix4, Vector3};

use super::super::format::numbers;
use super::super::{Affine, Geometry};
use super::{WorldAffine, matrix, matrix_text};

const VOXEL_TO_VOXEL: i32 = 0;
const RAS_TO_RAS: i32 = 1;

/// `matrix` maps the source's world to the destination's.
pub(super) fn text(matrix: &Matrix4<f64>, source: &Geometry, destination: &Geometry) -> String {
    format!(
        "type      = {RAS_TO_RAS}\nnxforms   = 1\nmean      = 0 0 0\nsigma     = 1\n1 4 4\n{}{}{}",
        matrix_text(matrix, &[0, 1, 2, 3]),
        geometry_text("src", source),
        geometry_text("dst", destination),
    )
}

fn geometry_text(role: &str, geometry: &Geometry) -> String {
    let [width, height, depth] = geometry.shape;
    let [x, y, z] = geometry.spacing();
    let linear = geometry.affine.linear();
    let centre = geometry.affine.translation() + linear * half(geometry.shape);
    let mut text = format!(
        "{role} volume info\nvalid = 1\nfilename = unknown\nvolume = {width} {height} {depth}\n\
         voxelsize = {x} {y} {z}\n"
    );
    for (name, column, size) in [("xras", 0, x), ("yras", 1, y), ("zras", 2, z)] {
        let direction = linear.column(column) / size;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{name}   = {} {} {}",
            direction[0], direction[1], direction[2]
        );
    }
    let _ = writeln!(text, "cras   = {} {} {}", centre.x, centre.y, centre.z);
    text
}

fn half(shape: [usize; 3]) -> Vector3<f64> {
    Vector3::from(shape.map(|n| n as f64 / 2.0))
}

pub(super) fn from_text(text: &str) -> Result<WorldAffine, String> {
    let kind = value(text, "type")?
        .split_whitespace()
        .next()
        .and_then(|v| v.parse().ok());
    if value(text, "nxforms")?.split_whitespace().next() != Some("1") {
        return Err("several transforms; hmorph reads one affine per file".into());
    }
    let mut lines = text
        .lines()
        .skip_while(|line| line.trim() != "1 4 4")
        .skip(1);
    let (WorldAffine(stored), _) = matrix(lines.by_ref().take(4))?;
    let forward = match kind {
        Some(RAS_TO_RAS) => stored,
        Some(VOXEL_TO_VOXEL) => {
            let (_, infos) = text
                .split_once("src volume info")
                .ok_or("no 'src volume info' in it")?;
            let (source, destination) = infos
                .split_once("dst volume info")
                .ok_or("no 'dst volume info' in it")?;
            let to_voxels = geometry(source)?
                .inverse()
                .ok_or("source geometry is singular")?;
            geometry(destination)?.0 * stored * to_voxels
        }
        _ => return Err("LTA type is neither 0 (voxels) nor 1 (RAS)".into()),
    };
    let pull = WorldAffine(forward).inverse();
    pull.ok_or_else(|| "the matrix has no inverse".to_string())
}

/// The affine of a `volume info` section.
fn geometry(section: &str) -> Result<Affine, String> {
    let three = |key: &str| -> Result<Vector3<f64>, String> {
        let values = numbers(value(section, key)?)?;
        <[f64; 3]>::try_from(values)
            .map(Vector3::from)
            .map_err(|_| format!("'{key}' does not have three numbers"))
    };
    if !value(section, "valid")?.starts_with('1') {
        return Err("a geometry in it is not valid, which voxel-to-voxel transforms need".into());
    }
    let directions = Matrix3::from_columns(&[three("xras")?, three("yras")?, three("zras")?]);
    let linear = directions * Matrix3::from_diagonal(&three("voxelsize")?);
    let origin = three("cras")? - linear * three("volume")? / 2.0;
    Ok(Affine::from_parts(linear, origin))
}

/// What follows `key =` on the first line that has it, without a comment.
fn value<'a>(text: &'a str, key: &str) -> Result<&'a str, String> {
    let rest = |line: &'a str| {
        line.trim()
            .strip_prefix(key)?
            .trim_start()
            .strip_prefix('=')
    };
    let found = text
        .lines()
        .find_map(rest)
        .ok_or_else(|| format!("no '{key}' in it"))?;
    Ok(found.split('#').next().unwrap_or_default().trim())
}
