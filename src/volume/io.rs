//! Files that appear whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::{Compression, GzBuilder};
use serde::Serialize;
use tempfile::NamedTempFile;

use super::format::is_gzip_name;
use crate::error::{Error, Result};

/// A compromise: float images hardly shrink further at the usual 6, which takes longer.
pub(crate) const COMPRESSION: Compression = Compression::new(4);
/// Start of the name of a file that is not complete yet.
pub const TEMPORARY: &str = ".hmorph-";

/// What [`write_atomically`] hands to its caller: buffered, and seekable for formats that need it.
pub type Output<'a> = BufWriter<&'a mut File>;

/// Writes a file under a temporary name in the same folder, then renames it to `path`.
///
/// An interrupted or failed write leaves an existing file at `path` as it was and no other file behind
/// (a killed process may leave a hidden `.hmorph-*` file). The folder must exist.
pub fn write_atomically(
    path: impl AsRef<Path>,
    write: impl FnOnce(&mut Output) -> io::Result<()>,
) -> Result<()> {
    let path = path.as_ref();
    placed(complete(path, write)?, path)
}

/// The whole content of the file at `path`, still under a temporary name.
fn complete(
    path: &Path,
    write: impl FnOnce(&mut Output) -> io::Result<()>,
) -> Result<NamedTempFile> {
    let mut file = temporary_beside(path)?;
    let mut writer = BufWriter::with_capacity(1 << 20, file.as_file_mut());
    write(&mut writer)
        .and_then(|()| writer.flush())
        .map_err(|e| Error::io(path, e))?;
    drop(writer);
    Ok(file)
}

fn placed(file: NamedTempFile, path: &Path) -> Result<()> {
    let placed = file.persist(path).map_err(|e| Error::io(path, e.error));
    placed.map(drop)
}

/// Whether [`write_atomically`] could begin; leaves nothing behind. For callers with long work before the write.
///
/// # Errors
/// A folder that does not exist or that may not be written to.
pub fn check_writable(path: &Path) -> Result<()> {
    temporary_beside(path).map(drop)
}

/// Writes a text through a temporary file that is renamed when it is complete.
///
/// # Errors
/// Refusals of the operating system.
pub fn write_text(path: impl AsRef<Path>, text: &str) -> Result<()> {
    write_atomically(path, |file| file.write_all(text.as_bytes()))
}

/// Writes a header and, beside it, the voxels it stands for. An old header goes before their place is taken and the new
/// one comes last: where one stands, its own voxels stand too.
pub(crate) fn write_beside(
    (path, header): (&Path, &str),
    voxels: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let file = complete(voxels, |out| pack(voxels, out, write))?;
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::io(path, e)),
        _ => {}
    }
    placed(file, voxels)?;
    write_text(path, header)
}

/// Writes rows as CSV with a header line, in the same way.
///
/// # Errors
/// Refusals of the operating system.
pub fn write_table<T: Serialize>(path: impl AsRef<Path>, rows: &[T]) -> Result<()> {
    write_atomically(path, |file| {
        let mut table = csv::Writer::from_writer(file);
        for row in rows {
            table.serialize(row).map_err(io::Error::other)?;
        }
        table.flush()
    })
}

/// As [`write_atomically`], gzipped where the name says so.
pub(crate) fn write_stream(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    write_atomically(path, |out| pack(path, out, write))
}

/// The gzip header carries no time stamp and no name: equal images make equal files.
fn pack(
    path: &Path,
    out: &mut Output,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    if !is_gzip_name(path) {
        return write(out);
    }
    let mut gz = GzBuilder::new().mtime(0).write(out, COMPRESSION);
    write(&mut gz)?;
    gz.finish().map(drop)
}

fn temporary_beside(path: &Path) -> Result<NamedTempFile> {
    let folder = folder_of(path);
    if !folder.is_dir() {
        let problem = format!(
            "folder '{}' does not exist; create it first",
            folder.display()
        );
        return Err(Error::file(path, problem));
    }
    let file = temporary(0o666).tempfile_in(folder);
    file.map_err(|e| Error::io(path, e))
}

/// The folder that a path lies in.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes hidden files or folders with permissions `mode`, less the user's mask; tempfile's own are private to the user.
pub fn temporary(mode: u32) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = mode;
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_keeps_the_old_file_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_atomically(&path, |w| w.write_all(b"old")).unwrap();
        let failed = write_atomically(&path, |w| {
            w.write_all(b"half")?;
            Err(io::Error::other("disk on fire"))
        });
        assert!(
            failed
                .unwrap_err()
                .to_string()
                .ends_with("a.txt: disk on fire")
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn missing_folder_is_named() {
        let error = write_atomically("/no-such-folder/x.nii", |_| Ok(())).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("folder '/no-such-folder' does not exist")
        );
    }
}
