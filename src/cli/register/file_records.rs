//! What `run.json` says of the files of a command.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde_json::Value;

use crate::cli::record;

/// Records of files, each made once: a checksum reads the whole file, and many pairs may share one.
#[derive(Debug, Default)]
pub struct FileRecords(Mutex<HashMap<PathBuf, Arc<OnceLock<Value>>>>);

impl FileRecords {
    /// [`record::file`] as it was when it was first asked for.
    pub fn of(&self, path: &Path) -> Value {
        // Released at once, so that only those wait who want the same file.
        let known = self.cell(path);
        known.get_or_init(|| record::file(path)).clone()
    }

    fn cell(&self, path: &Path) -> Arc<OnceLock<Value>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(path.to_path_buf()).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let [path, other] = ["a", "b"].map(|name| folder.path().join(name));
        std::fs::write(&path, "one").unwrap();
        std::fs::write(&other, "one and more").unwrap();
        let files = FileRecords::default();
        let first = files.of(&path);
        assert_eq!(first, record::file(&path));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(files.of(&path), first);
        assert_eq!(files.of(&other)["bytes"], 12);
    }
}
