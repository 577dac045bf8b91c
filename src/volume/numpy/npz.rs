//! A zip of arrays: images are `vol` (or the older `vol_data`), labels are `seg`, as VoxelMorph names them.

use std::path::Path;

use super::super::format::{Format, quoted};
use super::super::raw::RawVolume;
use super::super::read::Role;
use super::npy::read_array;
use super::zip::Archive;
use crate::error::{Error, Result};

const IMAGE_NAMES: [&str; 2] = ["vol", "vol_data"];
const LABEL_NAMES: [&str; 1] = ["seg"];

/// Reads the array for `role`; an archive of a single array may call it anything but the other role's name.
pub(crate) fn read(path: &Path, role: Role) -> Result<RawVolume> {
    let archive = Archive::open(path)?;
    let (wanted, others): (&[&str], &[&str]) = match role {
        Role::Image => (&IMAGE_NAMES, &LABEL_NAMES),
        Role::Labels => (&LABEL_NAMES, &IMAGE_NAMES),
    };
    let names: Vec<&str> = archive.names().map(array_name).collect();
    let by_name = wanted
        .iter()
        .find_map(|name| names.iter().position(|n| n == name));
    let only = (names.len() == 1 && !others.contains(&names[0])).then_some(0);
    let index = by_name.or(only).ok_or_else(|| {
        let found = quoted(&names.join(", "));
        let problem = format!(
            "no array '{}' in it; it holds {found}",
            wanted.join("' or '")
        );
        Error::file(path, problem)
    })?;
    read_array(archive.into_entry(index)?, Format::Npz)
}

fn array_name(entry: &str) -> &str {
    entry.strip_suffix(".npy").unwrap_or(entry)
}
