//! A folder of results that appears whole or not at all.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::error::{Error, Result};
use crate::volume::{TEMPORARY, folder_of, temporary};

/// The usual permissions of a new folder.
const MODE: u32 = 0o777;
/// The file that marks a folder as a result that `--force` may replace.
pub const RECORD: &str = "run.json";
/// Behind [`TEMPORARY`], how the folders go on that hold results which new ones are replacing.
const ASIDE: &str = "before-";

/// Results in a temporary folder, until [`ResultFolder::finish`] brings them to their place.
///
/// Where nothing is yet, the temporary folder lies beside that place and is renamed. A folder that is there already may
/// be a mount, a link, the working folder, or the only one that the user may write to, and so cannot be renamed: then
/// the temporary folder lies inside it, and the files are renamed at the end, the record last.
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

    /// What is removed from `target` when new results take its place.
    pub fn replaced(target: &Path) -> Vec<String> {
        let left = interrupted(target);
        let folders = std::iter::once(target).chain(left.iter().map(PathBuf::as_path));
        folders.flat_map(results).collect()
    }

    /// Where to write the file `name`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.temporary.path().join(name)
    }

    /// What has been written so far, for the record of the folder.
    ///
    /// # Errors
    /// Refusals of the operating system.
    pub fn names(&self) -> Result<Vec<String>> {
        let folder = self.temporary.path();
        let entries = entries(folder).map_err(|e| Error::io(folder, e))?;
        let text = |name: &OsString| name.to_string_lossy().into_owned();
        let mut names: Vec<String> = entries.iter().map(text).collect();
        names.sort();
        Ok(names)
    }

    /// Brings the results to their place; those that were there before are removed, files that are none of them stay.
    ///
    /// # Errors
    /// Refusals of the operating system, a file of the user's own in the way. What was there before is kept then, and so
    /// are the new results, in a folder that the error names.
    pub fn finish(self) -> Result<()> {
        // From here on an error must not remove what may have taken hours.
        let new = self.temporary.keep();
        let placed = match self.inside {
            true => replace(&new, &self.target),
            false => std::fs::rename(&new, &self.target).map_err(|e| Error::io(&self.target, e)),
        };
        placed.map_err(|error| {
            Error::invalid(format!("{error}; the new results are in {}", new.display()))
        })?;
        // Renamed, or empty by now; an empty hidden folder that stays does no harm.
        let _ = std::fs::remove_dir(new);
        Ok(())
    }
}

/// Puts what lies in `new` in the place of the results in `target`.
fn replace(new: &Path, target: &Path) -> Result<()> {
    let at = |e| Error::io(target, e);
    // `new` has a record, too, whose names say nothing of what is there.
    let mut left = interrupted(target);
    left.retain(|folder| folder.file_name() != new.file_name());
    let mut names = entries(new).map_err(at)?;
    let mut old = entries(target).map_err(at)?;
    let taken = |name: &OsString| target.join(name).symlink_metadata().is_ok();
    let folders = std::iter::once(target).chain(left.iter().map(PathBuf::as_path));
    let results: Vec<String> = folders.flat_map(results).collect();
    old.retain(|name| results.iter().any(|result| name == result.as_str()));
    if let Some(own) = names.iter().find(|name| taken(name) && !old.contains(name)) {
        let problem = "is a file of your own where a new result would be, and stays";
        return Err(Error::file(target.join(own), problem));
    }
    // Where a record stands, its results stand too: the old one goes first, the new one comes last.
    old.sort_by_key(|name| name != RECORD);
    names.sort_by_key(|name| name == RECORD);
    swap(&old, target, &names, new)?;
    // Results of before, like those that were still in their place.
    for folder in left.iter().filter(|folder| begins(folder, &aside())) {
        let _ = std::fs::remove_dir_all(folder);
    }
    Ok(())
}

/// The folders with a record that a run left in `target` when it was killed while it replaced results: those of before, and
/// what was not in its place yet. None where `target` has a record, for then all its results stand.
fn interrupted(target: &Path) -> Vec<PathBuf> {
    if target.join(RECORD).is_file() {
        return Vec::new();
    }
    let all = entries(target).unwrap_or_default().into_iter();
    let recorded = |folder: &PathBuf| begins(folder, TEMPORARY) && folder.join(RECORD).is_file();
    let found: Vec<PathBuf> = all.map(|name| target.join(name)).filter(recorded).collect();
    match found.iter().any(|folder| begins(folder, &aside())) {
        true => found,
        false => Vec::new(),
    }
}

fn aside() -> String {
    format!("{TEMPORARY}{ASIDE}")
}

fn begins(path: &Path, start: &str) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().starts_with(start)
}

/// Removes `old` from `target` and moves `names` there from the folder `new`; after an error all is as it was before.
fn swap(old: &[OsString], target: &Path, names: &[OsString], new: &Path) -> Result<()> {
    let at = |e| Error::io(target, e);
    let prefix = aside();
    let aside = temporary(MODE).prefix(&prefix).tempdir_in(target);
    let aside = aside.map_err(at)?;
    let swapped = move_all(old, target, aside.path()).and_then(|()| {
        let moved = move_all(names, new, target);
        moved.inspect_err(|_| move_back(old, target, aside.path()))
    });
    match swapped {
        Ok(()) => Ok(()),
        Err(error) if entries(aside.path()).is_ok_and(|left| left.is_empty()) => Err(at(error)),
        Err(error) => {
            let left = aside.keep();
            let problem = format!("{error}; the results before are in {}", left.display());
            Err(Error::file(target, problem))
        }
    }
}

/// Moves `names` from one folder to another; where one cannot be moved, those before it go back.
fn move_all(names: &[OsString], from: &Path, to: &Path) -> std::io::Result<()> {
    for (moved, name) in names.iter().enumerate() {
        if let Err(error) = std::fs::rename(from.join(name), to.join(name)) {
            move_back(&names[..moved], from, to);
            return Err(error);
        }
    }
    Ok(())
}

/// Undoes [`move_all`], the last first, as far as it goes: the error to report is the one before.
fn move_back(names: &[OsString], from: &Path, to: &Path) {
    let back = |name: &OsString| std::fs::rename(to.join(name), from.join(name));
    let _ = names.iter().rev().try_for_each(back);
}

/// The files that the record of a folder names, and the record.
fn results(folder: &Path) -> Vec<String> {
    let record = std::fs::read(folder.join(RECORD)).unwrap_or_default();
    let record: Value = serde_json::from_slice(&record).unwrap_or_default();
    let files = record["files"].as_array().into_iter().flatten();
    let names = files.filter_map(Value::as_str).chain([RECORD]);
    names.map(String::from).collect()
}

/// Whether `target` is free, or may be replaced.
fn check_free(target: &Path, force: bool) -> Result<()> {
    if !target.try_exists().map_err(|e| Error::io(target, e))? {
        return match target.is_symlink() {
            true => Err(Error::file(
                target,
                "is a link to a folder that does not exist; create that folder, or choose another with -o",
            )),
            false => Ok(()),
        };
    }
    let problem = if !target.is_dir() {
        "is a file; name a folder for the results"
    } else if may_be_filled(target, force) {
        return Ok(());
    } else if force {
        "holds something else than results of hmorph (no run.json), which --force does not replace; choose another \
         folder with -o"
    } else {
        "exists; choose another folder with -o, or replace the results with --force"
    };
    Err(Error::file(target, problem))
}

/// Whether results, be they set aside, are to be replaced, or nothing is in a folder.
fn may_be_filled(target: &Path, force: bool) -> bool {
    match target.join(RECORD).is_file() || !interrupted(target).is_empty() {
        true => force,
        false => is_empty(target),
    }
}

/// The folder that takes the temporary one, and whether that is `target` itself.
fn home(target: &Path) -> (&Path, bool) {
    match target.is_dir() {
        true => (target, true),
        false => (folder_of(target), false),
    }
}

/// Whether nothing is in a folder but what runs that ended early left there.
fn is_empty(folder: &Path) -> bool {
    let leftover = |name: &OsString| name.to_string_lossy().starts_with(TEMPORARY);
    entries(folder).is_ok_and(|names| names.iter().all(leftover))
}

fn entries(folder: &Path) -> std::io::Result<Vec<OsString>> {
    let entries = std::fs::read_dir(folder)?;
    entries.map(|entry| Ok(entry?.file_name())).collect()
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
        assert_eq!(files(&target), [RECORD]);
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

    #[test]
    fn a_file_of_ones_own_is_not_replaced_and_the_new_results_are_kept() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("out");
        std::fs::create_dir(&target).unwrap();
        std::fs::write(target.join(RECORD), "{}").unwrap();
        std::fs::write(target.join("labels.txt"), "mine").unwrap();
        let folder = ResultFolder::new(&target, true).unwrap();
        std::fs::write(folder.path("labels.txt"), "new").unwrap();
        let error = folder.finish().unwrap_err().to_string();
        let kept = error.rsplit(" are in ").next().unwrap();
        let text = |folder: &Path| std::fs::read_to_string(folder.join("labels.txt")).unwrap();
        assert_eq!(
            (text(&target), text(Path::new(kept))),
            ("mine".into(), "new".into())
        );
    }

    /// A folder of results: a record and the one file that it names.
    fn replaceable(folder: &Path) {
        std::fs::create_dir(folder).unwrap();
        std::fs::write(folder.join(RECORD), r#"{"files": ["old.txt"]}"#).unwrap();
        std::fs::write(folder.join("old.txt"), "old").unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_is_there_stays_the_same_folder() {
        use std::os::unix::fs::{MetadataExt, symlink};

        let home = tempfile::tempdir().unwrap();
        let [disk, target] = ["disk", "out"].map(|name| home.path().join(name));
        replaceable(&disk);
        symlink(&disk, &target).unwrap();
        let before = disk.metadata().unwrap().ino();
        let folder = ResultFolder::new(&target, true).unwrap();
        std::fs::write(folder.path("new.txt"), "new").unwrap();
        std::fs::write(folder.path(RECORD), "{}").unwrap();
        folder.finish().unwrap();
        assert!(target.is_symlink());
        assert_eq!(disk.metadata().unwrap().ino(), before);
        assert_eq!(files(&disk), ["new.txt", RECORD]);

        std::fs::rename(&disk, home.path().join("elsewhere")).unwrap();
        let error = ResultFolder::check(&target, true).unwrap_err().to_string();
        assert!(error.contains("link to a folder"), "{error}");
    }

    #[test]
    fn results_that_cannot_get_to_their_place_are_kept() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("out");
        let folder = ResultFolder::new(&target, false).unwrap();
        std::fs::write(folder.path("new.txt"), "new").unwrap();
        // Another program was faster.
        std::fs::create_dir(&target).unwrap();
        std::fs::write(target.join("mine.txt"), "mine").unwrap();
        let error = folder.finish().unwrap_err().to_string();
        let kept = error.rsplit(" are in ").next().unwrap();
        assert_eq!(files(Path::new(kept)), ["new.txt"]);
        assert_eq!(files(&target), ["mine.txt"]);
    }

    #[test]
    fn an_exchange_that_fails_leaves_everything_as_it_was() {
        let home = tempfile::tempdir().unwrap();
        let [target, new] = ["out", "new"].map(|name| home.path().join(name));
        replaceable(&target);
        std::fs::create_dir(&new).unwrap();
        std::fs::write(new.join("new.txt"), "new").unwrap();
        let [old, names] =
            [[RECORD, "old.txt"], ["new.txt", "none.txt"]].map(|names| names.map(OsString::from));
        assert!(swap(&old, &target, &names, &new).is_err());
        assert_eq!(files(&target), ["old.txt", RECORD]);
        assert_eq!(files(&new), ["new.txt"]);
    }

    #[test]
    fn a_run_that_was_killed_at_the_exchange_does_not_keep_others_from_it() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("out");
        replaceable(&target);
        let [before, rest] = [aside(), TEMPORARY.into()].map(|begin| {
            let folder = target.join(begin + "1");
            std::fs::create_dir(&folder).unwrap();
            folder
        });
        // The record and one file of before are set aside, one new file is in its place.
        std::fs::rename(target.join(RECORD), before.join(RECORD)).unwrap();
        std::fs::write(rest.join(RECORD), r#"{"files": ["new.txt"]}"#).unwrap();
        for name in ["new.txt", "thesis.txt"] {
            std::fs::write(target.join(name), "").unwrap();
        }
        assert!(ResultFolder::check(&target, false).is_err());
        let folder = ResultFolder::new(&target, true).unwrap();
        std::fs::write(folder.path("newer.txt"), "").unwrap();
        std::fs::write(folder.path(RECORD), r#"{"files": ["newer.txt"]}"#).unwrap();
        folder.finish().unwrap();
        let left = files(&target).into_iter();
        let left: Vec<String> = left.filter(|name| !name.starts_with(TEMPORARY)).collect();
        assert_eq!(left, ["newer.txt", RECORD, "thesis.txt"]);
        assert!(!before.exists());
    }

    #[test]
    fn what_an_earlier_run_left_is_nobodys_result() {
        let home = tempfile::tempdir().unwrap();
        let left = home.path().join(format!("{TEMPORARY}1"));
        std::fs::create_dir(&left).unwrap();
        let folder = ResultFolder::new(home.path(), false).unwrap();
        std::fs::write(folder.path(RECORD), "{}").unwrap();
        folder.finish().unwrap();
        assert_eq!(
            files(home.path()),
            [format!("{TEMPORARY}1").as_str(), RECORD]
        );
    }
}
