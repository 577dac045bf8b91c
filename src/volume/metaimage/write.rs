//! Writes `.mha`, compressed, and `.mhd` with a plain `.raw` beside it, little-endian.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use flate2::write::ZlibEncoder;

use super::super::dtype::DType;
use super::super::format::voxel_file;
use super::super::io::{COMPRESSION, write_beside, write_stream};
use super::super::placement::Placement;
use super::super::write::Content;
use super::TYPES;
use crate::error::{Error, Result};

/// `voxels` writes them little-endian with the first axis fastest.
pub(crate) fn write(
    path: &Path,
    content: &Content,
    voxels: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let element = element(content.encoding.dtype).map_err(|problem| Error::file(path, problem))?;
    let Some(data) = voxel_file(path) else {
        // The header holds the length.
        let mut encoder = ZlibEncoder::new(Vec::new(), COMPRESSION);
        let packed = voxels(&mut encoder).and_then(|()| encoder.finish());
        let packed = packed.map_err(|e| Error::io(path, e))?;
        let header = header(content, element, Some(packed.len()), "LOCAL");
        return write_stream(path, |out| {
            out.write_all(header.as_bytes())?;
            out.write_all(&packed)
        });
    };
    let name = data.file_name().unwrap_or_default().to_string_lossy();
    let header = header(content, element, None, &name);
    write_beside((path, &header), &data, voxels)
}

fn element(dtype: DType) -> Result<&'static str, String> {
    let known = TYPES.iter().find(|(_, of)| *of == dtype);
    known
        .map(|(name, _)| *name)
        .ok_or_else(|| format!("MetaImage has no {dtype}; choose another type"))
}

fn header(content: &Content, element: &str, packed: Option<usize>, data_file: &str) -> String {
    let placement = Placement::of(content.geometry);
    let shape = content.shape(placement.spacing.len());
    let axes = shape.len();
    // Axes beyond the grid's, such as time, step by 1 from 0.
    let extended = |row: usize, axis: usize| {
        placement
            .directions
            .get((row, axis))
            .copied()
            .unwrap_or(f64::from(row == axis))
    };
    let matrix = (0..axes).flat_map(|axis| (0..axes).map(move |row| extended(row, axis)));
    let origin = (0..axes).map(|axis| placement.origin.get(axis).copied().unwrap_or(0.0));
    let spacing = (0..axes).map(|axis| placement.spacing.get(axis).copied().unwrap_or(1.0));
    let mut text = format!("ObjectType = Image\nNDims = {axes}\n");
    if !content.note.is_empty() {
        let _ = writeln!(text, "Comment = {}", content.note.replace('\n', " "));
    }
    text += "BinaryData = True\nBinaryDataByteOrderMSB = False\n";
    // Writing to a string cannot fail.
    let _ = match packed {
        Some(length) => writeln!(text, "CompressedData = True\nCompressedDataSize = {length}"),
        None => writeln!(text, "CompressedData = False"),
    };
    for (key, values) in [
        ("TransformMatrix", joined(matrix)),
        ("Offset", joined(origin)),
        ("ElementSpacing", joined(spacing)),
        ("DimSize", joined(shape.into_iter())),
    ] {
        let _ = writeln!(text, "{key} = {values}");
    }
    let _ = writeln!(
        text,
        "ElementType = {element}\nElementDataFile = {data_file}"
    );
    text
}

fn joined<T: ToString>(values: impl Iterator<Item = T>) -> String {
    values
        .map(|value| value.to_string())
        .collect::<Vec<_>>()
        .join(" ")
}
