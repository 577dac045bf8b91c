//! Transforms in HDF5, as fMRIPrep, `antsRegistration --write-composite-transform` and uniGradICON write them: groups
//! `TransformGroup/0`, `1`, ... with the datasets `TransformType`, `TransformParameters`, `TransformFixedParameters`.

use std::io::Write as _;
use std::path::Path;

use hdf5_pure::{
    CharacterSet, DatasetBuilder, Datatype, File, FileBuilder, Group, StringPadding, make_u8_type,
};

use super::super::Dimension;
use super::super::io::write_atomically;
use super::super::placement::is_planar;
use super::super::transform_file::Step;
use super::{COMPOSITE, Stored, displacement, linear, steps};
use crate::error::{Error, Result};

const GROUP: &str = "TransformGroup";
const CLASS: &str = "TransformType";
/// Before its version 5 ITK misspelt these.
const PARAMETERS: [&str; 2] = ["TransformParameters", "TranformParameters"];
const FIXED: [&str; 2] = ["TransformFixedParameters", "TranformFixedParameters"];
/// Deflate cannot expand by more than this.
const MAX_RATIO: u64 = 1032;
/// Vectors in one compressed block of the file.
const CHUNK: usize = 1 << 18;
const DEFLATE_LEVEL: u32 = 4;

/// Reads the transforms in the order in which a point goes through them.
///
/// # Errors
/// A file that is no HDF5 or holds no transforms, and classes that hmorph does not know.
pub(in super::super) fn read(path: &Path) -> Result<Vec<Step>> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    let limit = (bytes.len() as u64).saturating_mul(MAX_RATIO);
    let stored = File::from_bytes(bytes)
        .map_err(|e| format!("not HDF5, or damaged: {e}"))
        .and_then(|file| list(&file, limit));
    let at = |problem: String| Error::file(path, problem.replace('\n', " "));
    steps(&stored.map_err(at)?).map_err(at)
}

fn list(file: &File, limit: u64) -> Result<Vec<Stored>, String> {
    let group = file
        .group(GROUP)
        .map_err(|_| format!("no group '{GROUP}' in it: HDF5, but not a transform of ITK"))?;
    let names = group.groups().map_err(|e| format!("{GROUP}: {e}"))?;
    let mut numbers: Vec<usize> = names.iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    let one = |number: usize| {
        let member = group
            .group(&number.to_string())
            .map_err(|e| format!("{GROUP}/{number}: {e}"))?;
        stored(&member, limit).map_err(|problem| format!("{GROUP}/{number}: {problem}"))
    };
    numbers.into_iter().map(one).collect()
}

fn stored(group: &Group, limit: u64) -> Result<Stored, String> {
    let class = group
        .dataset(CLASS)
        .and_then(|set| set.read_string())
        .map_err(|e| format!("{CLASS}: {e}"))?;
    let class = class
        .first()
        .map(|name| name.trim_end_matches('\0').to_string())
        .unwrap_or_default();
    if class.starts_with(COMPOSITE) {
        return Ok(Stored {
            class,
            parameters: Vec::new(),
            fixed: Vec::new(),
        });
    }
    Ok(Stored {
        class,
        parameters: values(group, PARAMETERS, limit)?,
        fixed: values(group, FIXED, limit)?,
    })
}

/// The numbers of the first of `names` that is there.
fn values(group: &Group, names: [&str; 2], limit: u64) -> Result<Vec<f64>, String> {
    let at = |e: hdf5_pure::Error| format!("{}: {e}", names[0]);
    let set = group
        .dataset(names[0])
        .or_else(|e| group.dataset(names[1]).map_err(|_| e))
        .map_err(at)?;
    let count = set
        .shape()
        .map_err(at)?
        .into_iter()
        .try_fold(1_u64, u64::checked_mul);
    match count {
        Some(0) => Ok(Vec::new()),
        Some(count) if count <= limit / size_of::<f64>() as u64 => set.read_f64().map_err(at),
        _ => Err(format!(
            "{} claims more numbers than the file can hold",
            names[0]
        )),
    }
}

/// Writes a composite of the transforms, given in the order in which a point goes through them; 2-D where `dimension`
/// is.
///
/// # Errors
/// Transforms of 2-D and 3-D images in one file, refusals of the operating system.
pub(in super::super) fn write(path: &Path, steps: &[Step], dimension: Dimension) -> Result<()> {
    let at = |problem: String| Error::file(path, problem);
    // A field of a slice that is not at height 0 is 3-D, and so are the matrices beside it.
    let field_in_space =
        |step: &Step| matches!(step, Step::Field(field) if !is_planar(&field.geometry));
    let dimension = match steps.iter().any(field_in_space) {
        true => Dimension::Three,
        false => dimension,
    };
    let members: Vec<Stored> = steps
        .iter()
        .rev()
        .map(|step| match step {
            Step::Affine { affine, .. } => linear::stored(affine, dimension),
            Step::Field(field) => displacement::stored(field),
        })
        .collect();
    let suffix = |class: &str| class.split_once('_').map(|(_, rest)| rest.to_string());
    let kind = members
        .first()
        .and_then(|m| suffix(&m.class))
        .unwrap_or_default();
    if members
        .iter()
        .any(|m| suffix(&m.class).as_ref() != Some(&kind))
    {
        return Err(at(
            "2-D and 3-D transforms cannot be members of one composite".into(),
        ));
    }
    let mut group = FileBuilder::new().create_group(GROUP);
    let composite = Stored {
        class: format!("{COMPOSITE}_{kind}"),
        parameters: Vec::new(),
        fixed: Vec::new(),
    };
    for (number, stored) in std::iter::once(&composite).chain(&members).enumerate() {
        let mut member = group.create_group(&number.to_string());
        member
            .create_dataset(CLASS)
            .with_vlen_strings(&[&stored.class])
            .with_dtype(ascii());
        if number > 0 {
            put(member.create_dataset(PARAMETERS[0]), &stored.parameters);
            put(member.create_dataset(FIXED[0]), &stored.fixed);
        }
        group.add_group(member.finish());
    }
    let mut file = FileBuilder::new();
    file.add_group(group.finish());
    let bytes = file.finish().map_err(|e| at(e.to_string()))?;
    write_atomically(path, |out| out.write_all(&bytes))
}

/// Strings as ITK writes and reads them: the HDF5 library does not convert between ASCII and UTF-8.
fn ascii() -> Datatype {
    Datatype::VariableLength {
        is_string: true,
        padding: Some(StringPadding::NullTerminate),
        charset: Some(CharacterSet::Ascii),
        base_type: Box::new(make_u8_type()),
    }
}

fn put(set: &mut DatasetBuilder, values: &[f64]) {
    set.with_f64_data(values).with_shape(&[values.len() as u64]);
    if values.len() > CHUNK {
        set.with_chunks(&[CHUNK as u64]).with_deflate(DEFLATE_LEVEL);
    }
}
