//! A folder of results that appears whole or not at all.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::error::{Error, Result};
use crate::volume::{folder_of, temporary};

/// The usual permissions of a new folder.
const MODE: u32 = 0o777;
/// The file that marks a folder as a result that `--force` may replace.
pub const RECORD: &str = "run.json";

/// Results in a temporary folder beside their place, until [`ResultFolder::finish`] renames it.
///
/// An empty folder that is there already may be a mount, which cannot be renamed: then the temporary folder is made
/// inside it, and the files are renamed at the end, the record last.
#[derive(Debug)]
pub struct ResultFolder {
    temporary: TempDir,
    target: PathBuf,
    inside: bool,
}

impl ResultFolder {
    /// Whether results may and can go to `target`; call it before the work.
    ///
    /// # Errors
    /// Something is there and `force` is not set, or it is not a folder with a result of hmorph; a folder that may not
    /// be written to.
    pub fn check(target: &Path, force: bool) -> Result<()> {
        check_free(target, force)?;
        let (home, _) = home(target);
        let there = home.ancestors().find(|folder| folder.exists());
        let probe = temporary(MODE).tempdir_in(there.unwrap_or(Path::new(".")));
        probe.map(drop).map_err(|e| Error::io(target, e))
    }

    /// Makes the temporary folder, and the folders above `target` where they are missing.
    ///
    /// # Errors
    /// Those of [`ResultFolder::check`], and refusals of the operating system.
    pub fn new(target: &Path, force: bool) -> Result<Self> {
        check_free(target, force)?;
        let (home, inside) = home(target);
        std::fs::create_dir_all(home).map_err(|e| Error::io(home, e))?;
        let temporary = temporary(MODE).tempdir_in(home);
        Ok(Self {
            temporary: temporary.map_err(|e| Error::io(home, e))?,
            target: target.to_path_buf(),
            inside,
        })
    }

    /// Where to write the file `name`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.temporary.path().join(name)
    }

    /// Gives the folder its name; results that were there before are removed, files that are none of them stay.
    ///
    /// # Errors
    /// Refusals of the operating system; what was there before is kept then.
    pub fn finish(self) -> Result<()> {
        let target = &self.target;
        let at = |e| Error::io(target, e);
        if self.inside {
            return self.move_up().map_err(at);
        }
        if let Some(place) = foreign(self.temporary.path(), target).map_err(at)? {
            let new = self.temporary.keep();
            let problem = format!(
                "is a file of your own where a new result would be; it stays, and the new results are in {}",
                new.display()
            );
            return Err(Error::file(place, problem));
        }
        let old = target.is_dir().then(|| set_aside(target)).transpose();
        let old = old.map_err(at)?;
        if let Err(error) = std::fs::rename(self.temporary.path(), target) {
            return Err(match old.map(|old| put_back(old, target)) {
                Some(Err(left)) => {
                    let problem = format!("{error}; the results before are in {}", left.display());
                    Error::file(target, problem)
                }
                _ => at(error),
            });
        }
        // The folder has gone to its place: there is nothing left to remove.
        let _ = self.temporary.keep();
        match old {
            Some(old) => keep_others(old, target),
            None => Ok(()),
        }
    }

    fn move_up(&self) -> std::io::Result<()> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.temporary.path())? {
            names.push(entry?.file_name());
        }
        names.sort_by_key(|name| name == RECORD);
        for name in names {
            std::fs::rename(self.temporary.path().join(&name), self.target.join(&name))?;
        }
        Ok(())
    }
}

/// The name, in a temporary folder, of what was moved away from `target`.
const OLD: &str = "old";

fn set_aside(target: &Path) -> std::io::Result<TempDir> {
    let aside = temporary(MODE).tempdir_in(folder_of(target))?;
    std::fs::rename(target, aside.path().join(OLD))?;
    Ok(aside)
}

/// Brings what was in the folder beside the old results to the new ones.
fn keep_others(aside: TempDir, target: &Path) -> Result<()> {
    let old = aside.path().join(OLD);
    let moved = || -> std::io::Result<()> {
        let results = results(&old);
        for entry in std::fs::read_dir(&old)? {
            let name = entry?.file_name();
            let ours = results.iter().any(|result| name == result.as_str());
            let place = target.join(&name);
            if !ours && !place.exists() {
                std::fs::rename(old.join(&name), place)?;
            }
        }
        Ok(())
    };
    moved().map_err(|error| {
        let left = aside.keep().join(OLD);
        let problem = format!(
            "{error}; files that were here before are in {}",
            left.display()
        );
        Error::file(target, problem)
    })
}

/// A file in `target` that is none of its results, but called like one of the `new` ones.
fn foreign(new: &Path, target: &Path) -> std::io::Result<Option<PathBuf>> {
    let old = results(target);
    for entry in std::fs::read_dir(new)? {
        let name = entry?.file_name();
        let place = target.join(&name);
        if place.exists() && !old.iter().any(|result| name == result.as_str()) {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

/// The files that the record of a folder names, and the record.
fn results(folder: &Path) -> Vec<String> {
    let record = std::fs::read(folder.join(RECORD)).unwrap_or_default();
    let record: Value = serde_json::from_slice(&record).unwrap_or_default();
    let files = record["files"].as_array().into_iter().flatten();
    let names = files.filter_map(Value::as_str).chain([RECORD]);
    names.map(String::from).collect()
}

/// Undoes [`set_aside`]; where that fails, says where the folder stays.
fn put_back(aside: TempDir, target: &Path) -> std::result::Result<(), PathBuf> {
    let kept = aside.keep();
    let old = kept.join(OLD);
    std::fs::rename(&old, target).map_err(|_| old)?;
    // Empty by now; a hidden folder that stays does no harm.
    let _ = std::fs::remove_dir(kept);
    Ok(())
}

/// Whether `target` is free, or may be replaced.
fn check_free(target: &Path, force: bool) -> Result<()> {
    if !target.try_exists().map_err(|e| Error::io(target, e))? {
        return Ok(());
    }
    let problem = if !target.is_dir() {
        "is a file; name a folder for the results"
    } else if is_empty(target) || (force && target.join(RECORD).is_file()) {
        return Ok(());
    } else if force {
        "holds something else than results of hmorph (no run.json), which --force does not replace; choose another \
         folder with -o"
    } else {
        "exists; choose another folder with -o, or replace the results with --force"
    };
    Err(Error::file(target, problem))
}

/// The folder that takes the temporary one, and whether that is `target` itself.
fn home(target: &Path) -> (&Path, bool) {
    match target.is_dir() && is_empty(target) {
        true => (target, true),
        false => (folder_of(target), false),
    }
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut files| files.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_result_appears_at_the_end_and_a_failure_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("deep/out");
        let folder = ResultFolder::new(&target, false).unwrap();
        std::fs::write(folder.path(RECORD), "{}").unwrap();
        assert!(!target.exists());
        folder.finish().unwrap();
        assert_eq!(files(&target), [RECORD]);

        drop(ResultFolder::new(&target, true).unwrap());
        assert_eq!(files(&home.path().join("deep")), ["out"]);
    }

    #[test]
    fn only_results_are_replaced_and_only_with_force() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("out");
        std::fs::create_dir(&target).unwrap();
        // An empty folder is free, and stays the same folder: it may be a mount.
        let folder = ResultFolder::new(&target, false).unwrap();
        std::fs::write(folder.path(RECORD), "{}").unwrap();
        folder.finish().unwrap();
        assert_eq!(files(&target), [RECORD]);
        std::fs::remove_file(target.join(RECORD)).unwrap();
        std::fs::write(target.join("thesis.txt"), "years of work").unwrap();
        for force in [false, true] {
            assert!(ResultFolder::check(&target, force).is_err());
        }
        std::fs::write(target.join(RECORD), r#"{"files": ["old.txt"]}"#).unwrap();
        std::fs::write(target.join("old.txt"), "old").unwrap();
        let error = ResultFolder::new(&target, false).unwrap_err().to_string();
        assert!(error.contains("--force"), "{error}");
        let folder = ResultFolder::new(&target, true).unwrap();
        std::fs::write(folder.path("new.txt"), "new").unwrap();
        folder.finish().unwrap();
        assert_eq!(files(&target), ["new.txt", "thesis.txt"]);
        assert_eq!(files(home.path()), ["out"]);
    }
}
