//! The folder of a run: whether a run may use it, and the settings and split that it keeps.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::checkpoint::{Checkpoint, last_step, load_last};
use super::same_settings::check_settings;
use super::{Session, logs};
use crate::config::{self, RunConfig};
use crate::error::{Error, Result};
use crate::model::WeightsFile;
use crate::volume::{TEMPORARY, write_text};

const CONFIG: &str = "config.toml";
/// Name of the table of a run that says which image trains, validates and tests: a manifest.
pub const SPLIT: &str = "split.csv";
const LOCK: &str = ".lock";
/// Many times as long as [`RunFolder::check_idle`] holds the lock.
const LOOK: Duration = Duration::from_millis(50);

/// Everything that a run writes, which `--force` removes.
const RESULTS: [&str; 9] = [
    CONFIG,
    SPLIT,
    logs::METRICS,
    logs::VALIDATION,
    "run.json",
    "best.safetensors",
    "last.safetensors",
    "checkpoints",
    "plots",
];

/// The folder of a run under way, locked against other runs.
pub struct RunFolder {
    path: PathBuf,
    /// The operating system lets go of it when the process ends, however it ends.
    _lock: Option<File>,
}

impl RunFolder {
    /// The checkpoint that a run of these settings would continue from in the folder `path`; writes nothing.
    ///
    /// # Errors
    /// A folder that holds something else, a run of other settings or other starting weights (unless `force` is to
    /// replace it), or a checkpoint that cannot be read.
    pub fn find(
        path: &Path,
        settings: &RunConfig,
        start: Option<&WeightsFile>,
        force: bool,
    ) -> Result<Option<Checkpoint>> {
        let stored = path.join(CONFIG);
        if !stored.is_file() {
            return match is_free(path)? {
                true => Ok(None),
                false => Err(Error::file(
                    path,
                    "the folder is not empty and holds no run; choose another with -o",
                )),
            };
        }
        let before = config::load(&stored.display().to_string(), &[]);
        if force {
            // Another program's folder may hold a config.toml and a folder of checkpoints too.
            let ours = before.is_ok() || path.join(LOCK).is_file();
            return match ours {
                true => Ok(None),
                false => Err(Error::file(
                    path,
                    "holds something else than a run of hmorph, which --force does not replace; choose another folder \
                     with -o",
                )),
            };
        }
        check_settings(path, &before?, settings)?;
        let last = load_last(path)?;
        if let Some(checkpoint) = &last {
            check_start(path, checkpoint.state.start, start)?;
        }
        Ok(last)
    }

    /// Refuses a folder in which another process trains, before anything is read for a run in it; writes nothing. Only
    /// [`Self::open`] takes the folder.
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub fn check_idle(path: &Path) -> Result<()> {
        let Ok(file) = File::open(path.join(LOCK)) else {
            return Ok(());
        };
        // Shared, so that of several that look none is taken for a run; by one that comes to train neither (see `lock`).
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Err(Error::Busy {
                path: path.to_path_buf(),
            }),
            Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
        }
    }

    /// Takes the folder for a run: writes its settings and its split.
    ///
    /// # Errors
    /// Another run in the folder, images that changed since the run began that goes on at step `from`, a full disk.
    pub fn open(path: &Path, session: &Session, from: Option<u64>, force: bool) -> Result<Self> {
        fs::create_dir_all(path).map_err(|e| Error::io(path, e))?;
        let lock = lock(path)?;
        if force {
            remove_results(path)?;
        } else if last_step(path)? != from {
            return Err(Error::file(
                path,
                "another hmorph trained in this folder in the meantime; the same command goes on from there",
            ));
        }
        remove_leftovers(path, TEMPORARY)?;
        let split = path.join(SPLIT);
        if from.is_some() && split.exists() {
            check_split(&split, session)?;
        }
        let text = toml::to_string(&session.config)
            .map_err(|e| Error::file(path.join(CONFIG), e.to_string()))?;
        write_text(path.join(CONFIG), &text)?;
        if let Some(dataset) = &session.dataset {
            dataset.write_split(&split)?;
        }
        Ok(Self {
            path: path.to_path_buf(),
            _lock: lock,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Removes what a killed run left half-written: everything whose name starts with `prefix`.
pub(super) fn remove_leftovers(folder: &Path, prefix: &str) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let path = entry.map_err(|e| Error::io(folder, e))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(prefix) {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Whether nothing is there but what a run leaves that was killed before it wrote its settings.
fn is_free(path: &Path) -> Result<bool> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(true),
        Err(e) => return Err(Error::io(path, e)),
    };
    for entry in entries {
        let name = entry.map_err(|e| Error::io(path, e))?.file_name();
        let name = name.to_string_lossy();
        if name != LOCK && !name.starts_with(TEMPORARY) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn lock(folder: &Path) -> Result<Option<File>> {
    let path = folder.join(LOCK);
    let file = File::create(&path).map_err(|e| Error::io(&path, e))?;
    match try_twice(&file, || thread::sleep(LOOK)) {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(Error::Busy {
            path: folder.to_path_buf(),
        }),
        // Some network file systems have no locks.
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Locks again after `wait` what another process holds: it may only be looking, which is over at once.
fn try_twice(file: &File, wait: impl FnOnce()) -> std::result::Result<(), TryLockError> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            wait();
            file.try_lock()
        }
        tried => tried,
    }
}

fn remove_results(path: &Path) -> Result<()> {
    RESULTS.iter().try_for_each(|name| remove(&path.join(name)))
}

fn remove(path: &Path) -> Result<()> {
    let removed = match path.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    match removed {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io(path, e)),
        _ => Ok(()),
    }
}

fn check_start(path: &Path, before: Option<u32>, start: Option<&WeightsFile>) -> Result<()> {
    let problem = match (before, start.map(WeightsFile::checksum)) {
        (before, now) if before == now => return Ok(()),
        (None, Some(_)) => "the run in it started from scratch: continue it with hmorph train",
        (Some(_), None) => {
            "the run in it started from weights: continue it with hmorph finetune --weights"
        }
        _ => "the run in it started from other weights",
    };
    Err(Error::file(
        path,
        format!("{problem}; or choose another folder, or --force to start anew"),
    ))
}

fn check_split(split: &Path, session: &Session) -> Result<()> {
    let Some(dataset) = &session.dataset else {
        return Ok(());
    };
    let folder = tempfile::tempdir().map_err(|e| Error::io(std::env::temp_dir(), e))?;
    let now = folder.path().join(SPLIT);
    dataset.write_split(&now)?;
    let read = |path: &Path| fs::read(path).map_err(|e| Error::io(path, e));
    if read(split)? == read(&now)? {
        return Ok(());
    }
    Err(Error::file(
        split,
        "the images or their split have changed since this run began; restore them, choose another folder, or --force \
         to start anew",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_once() {
        let folder = tempfile::tempdir().unwrap();
        let idle = || RunFolder::check_idle(folder.path());
        idle().unwrap();
        assert!(is_free(folder.path()).unwrap(), "a look left something");
        let held = lock(folder.path()).unwrap();
        assert!(held.is_some());
        let error = lock(folder.path()).unwrap_err().to_string();
        assert!(error.contains("another hmorph"), "{error}");
        assert!(matches!(idle(), Err(Error::Busy { .. })));
        drop(held);
        idle().unwrap();
        assert!(lock(folder.path()).unwrap().is_some());
        assert!(is_free(folder.path()).unwrap());
    }

    #[test]
    fn who_only_looks_keeps_nobody_from_training() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOCK);
        let ours = File::create(&path).unwrap();
        let looks = File::open(&path).unwrap();
        looks.try_lock_shared().unwrap();
        try_twice(&ours, || drop(looks)).unwrap();
        let other = File::open(&path).unwrap();
        let tried = try_twice(&other, || ());
        assert!(matches!(tried, Err(TryLockError::WouldBlock)));
    }
}
