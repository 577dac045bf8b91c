//! FreeSurfer `.mgh` and `.mgz`: big-endian, 284 bytes of header, voxels, then tags of any length.
//!
//! Layout: FreeSurfer's `mri.h` and its file-format page. Geometry is kept as voxel sizes, direction cosines
//! (`Mdc`, whose rows are the world directions of the voxel axes) and the world position of voxel
//! `shape / 2`. Without the "good RAS" flag the orientation is FreeSurfer's coronal default, 1 mm.

use std::io::{self, Write};
use std::path::Path;

use nalgebra::{Matrix3, Vector3};

use super::dtype::{DType, Endian, Storable};
use super::fields::Fields;
use super::format::Format;
use super::io::write_stream;
use super::raw::{Intent, Layout, RawVolume, Samples, byte_count};
use super::source::{Source, Trailing};
use super::write::Content;
use super::{Affine, Geometry, World};
use crate::error::{Error, Result};

const HEADER_BYTES: usize = 284;
/// After the seven numbers of 4 bytes that come first.
const GEOMETRY_OFFSET: usize = 28;
/// Tags hold command lines and transform names; more than this is not a tag.
const MAX_TAG_BYTES: u64 = 16 << 20;
const TAG_COMMAND_LINE: i32 = 3;
const CODES: [(i32, DType); 5] = [
    (0, DType::U8),
    (1, DType::I32),
    (3, DType::F32),
    (4, DType::I16),
    (10, DType::U16),
];

/// Reads a file of one or several frames.
pub(crate) fn read(path: &Path) -> Result<RawVolume> {
    let mut source = Source::open(path)?;
    let bytes = source.take(HEADER_BYTES as u64, "the MGH header")?;
    let fields = Fields::new(&bytes, Endian::Big);
    let at = |problem| Error::file(path, problem);
    let (shape, dtype) = sizes(&fields).map_err(at)?;
    let affine = affine_of(&fields, &shape).map_err(at)?;
    let length = byte_count(&shape, dtype).map_err(at)?;
    let mut volume = RawVolume {
        format: Format::Mgh,
        shape,
        affine,
        world: World::ALIGNED,
        intent: Intent::Image,
        frame_step: None,
        samples: Samples {
            bytes: Vec::new(),
            dtype,
            endian: Endian::Big,
            layout: Layout::FirstFastest,
            scale: None,
        },
    };
    let what = format!("{} {dtype} voxels", volume.shape_text());
    volume.samples.bytes = source.take(length, &what)?;
    source.finish(Trailing::Allow(MAX_TAG_BYTES))?;
    Ok(volume)
}

/// Width, height, depth and, where there are several, frames.
fn sizes(fields: &Fields) -> Result<(Vec<usize>, DType), String> {
    let version: i32 = fields.number(0);
    if version != 1 {
        return Err(format!("not MGH: version {version}, expected 1"));
    }
    let mut shape = Vec::with_capacity(4);
    for (n, name) in ["width", "height", "depth", "frames"]
        .into_iter()
        .enumerate()
    {
        match fields.number::<i32>(4 + 4 * n) {
            size if size > 0 => shape.push(size as usize),
            size => return Err(format!("{name} is {size}; sizes must be at least 1")),
        }
    }
    if shape[3] == 1 {
        shape.pop();
    }
    let code: i32 = fields.number(20);
    let dtype = CODES
        .iter()
        .find(|(c, _)| *c == code)
        .map(|&(_, dtype)| dtype);
    let dtype = dtype.ok_or_else(|| {
        format!("voxel type {code} is not supported; convert to uchar, short, int or float")
    })?;
    Ok((shape, dtype))
}

fn affine_of(fields: &Fields, shape: &[usize]) -> Result<Affine, String> {
    let good_ras = fields.number::<i16>(28) > 0;
    let (sizes, directions, centre) = if good_ras {
        (
            fields.values::<f32, 3>(30),
            fields.values::<f32, 9>(42),
            fields.values::<f32, 3>(78),
        )
    } else {
        // x to the left, y downwards, z to the front.
        (
            [1.0; 3],
            [-1.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 1.0, 0.0],
            [0.0; 3],
        )
    };
    let linear = Matrix3::from_column_slice(&directions) * Matrix3::from_diagonal(&sizes.into());
    let origin = Vector3::from(centre) - linear * half(shape);
    let affine = Affine::from_parts(linear, origin);
    Affine::checked(affine.0).map_err(|problem| format!("affine {problem}"))
}

/// The voxel whose world position the header holds.
fn half(shape: &[usize]) -> Vector3<f64> {
    Vector3::new(shape[0] as f64, shape[1] as f64, shape[2] as f64) / 2.0
}

/// Writes `.mgh` or `.mgz`; `voxels` writes them big-endian with the first axis fastest.
///
/// # Errors
/// A type MGH does not have, refusals of the operating system.
pub(crate) fn write(
    path: &Path,
    content: &Content,
    voxels: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let dtype = content.encoding.dtype;
    let known = CODES.iter().find(|(_, d)| *d == dtype);
    let &(code, _) = known.ok_or_else(|| {
        let problem = format!("MGH has no {dtype}; choose uint8, int16, uint16, int32 or float32");
        Error::file(path, problem)
    })?;
    let header = header(content, code);
    write_stream(path, |out| {
        out.write_all(&header)?;
        voxels(out)?;
        out.write_all(&footer(content.note))
    })
}

fn header(content: &Content, type_code: i32) -> Vec<u8> {
    let geometry = content.geometry;
    let frames = content.trailing.iter().product::<usize>() as i32;
    let mut out = Vec::with_capacity(HEADER_BYTES);
    let [width, height, depth] = geometry.shape.map(|n| n as i32);
    for value in [1, width, height, depth, frames, type_code, 0] {
        value.put(Endian::Big, &mut out);
    }
    put_geometry(geometry, &mut out);
    out.resize(HEADER_BYTES, 0);
    out
}

/// The "good RAS" flag, voxel sizes, directions and centre.
fn put_geometry(geometry: &Geometry, out: &mut Vec<u8>) {
    1_i16.put(Endian::Big, out);
    let linear = geometry.affine.linear();
    let sizes = geometry.spacing();
    let centre = geometry.affine.translation() + linear * half(&geometry.shape);
    let directions = (0..9).map(|n| linear[(n % 3, n / 3)] / sizes[n / 3]);
    for value in sizes
        .into_iter()
        .chain(directions)
        .chain(centre.iter().copied())
    {
        (value as f32).put(Endian::Big, out);
    }
}

/// Puts another affine into the header of a file that was read before.
///
/// # Errors
/// An affine with shear, which FreeSurfer's geometry does not have.
pub(crate) fn replace_affine(
    bytes: &mut [u8],
    geometry: &Geometry,
    affine: &Affine,
) -> Result<(), String> {
    if affine.is_sheared() {
        return Err(
            "the transform shears the image, which MGH headers cannot hold; resample it with -r"
                .into(),
        );
    }
    let geometry = Geometry::new(geometry.shape, geometry.dimension, *affine);
    let mut out = Vec::new();
    put_geometry(&geometry, &mut out);
    bytes[GEOMETRY_OFFSET..GEOMETRY_OFFSET + out.len()].copy_from_slice(&out);
    Ok(())
}

/// Five scan parameters (unknown: 0), then the note as FreeSurfer keeps command lines.
fn footer(note: &str) -> Vec<u8> {
    let mut out = vec![0; 5 * 4];
    if !note.is_empty() {
        TAG_COMMAND_LINE.put(Endian::Big, &mut out);
        (note.len() as i64 + 1).put(Endian::Big, &mut out);
        out.extend_from_slice(note.as_bytes());
        out.push(0);
    }
    out
}
