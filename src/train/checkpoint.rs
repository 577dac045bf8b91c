//! Checkpoints: everything a run needs to continue as if it had never stopped.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

use super::folder::remove_leftovers;
use super::{Adam, Ending, RunState, TrainConfig};
use crate::error::{Error, Result};
use crate::model::WeightsFile;
use crate::volume::{write_atomically, write_text};

/// Checkpoints that are kept beside the one of the best weights.
const KEPT: usize = 2;
/// Start of the name of a checkpoint that is being written.
const UNFINISHED: &str = ".writing-";

const WEIGHTS: &str = "weights.safetensors";
const MOMENTS: &str = "optimizer.safetensors";
/// TOML, which gives back every bit of a number.
const STATE: &str = "state.toml";

/// A checkpoint read back.
pub struct Checkpoint {
    pub weights: WeightsFile,
    /// The optimiser's state by name.
    pub moments: BTreeMap<String, Vec<f32>>,
    pub state: RunState,
}

/// The checkpoints of a run, `step-N` each, in one folder.
pub struct Checkpoints {
    folder: PathBuf,
    /// Step of the last one written or read.
    saved: Option<u64>,
}

impl Checkpoints {
    /// The checkpoints of the run folder `run`, continuing from the one of step `saved`.
    ///
    /// Removes what a killed run left half-written.
    pub fn open(run: &Path, saved: Option<u64>) -> Result<Self> {
        let folder = run.join("checkpoints");
        fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
        remove_leftovers(&folder, UNFINISHED)?;
        Ok(Self { folder, saved })
    }

    /// Writes `step-N` under a temporary name, renames it, and removes the older ones that are not kept.
    pub fn save(&mut self, weights: &WeightsFile, adam: &Adam, state: &RunState) -> Result<()> {
        let target = self.folder.join(format!("step-{}", state.step));
        if self.saved == Some(state.step) {
            // The same step of the same run: only what was measured since is new.
            write_state(&target.join(STATE), state)?;
            return self.prune(state);
        }
        let temporary = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempdir_in(&self.folder)
            .map_err(|e| Error::io(&self.folder, e))?;
        weights.write(&temporary.path().join(WEIGHTS))?;
        write_moments(&temporary.path().join(MOMENTS), adam)?;
        write_state(&temporary.path().join(STATE), state)?;
        for name in [WEIGHTS, MOMENTS, STATE] {
            reach_the_disk(&temporary.path().join(name))?;
        }
        if target.exists() {
            fs::remove_dir_all(&target).map_err(|e| Error::io(&target, e))?;
        }
        fs::rename(temporary.path(), &target).map_err(|e| Error::io(&target, e))?;
        // The folder has gone to its place: there is nothing left to remove.
        let _ = temporary.keep();
        self.saved = Some(state.step);
        self.prune(state)
    }

    fn prune(&self, state: &RunState) -> Result<()> {
        for old in steps(&self.folder)?.into_iter().rev().skip(KEPT) {
            if state.best.is_none() || old != state.best_step {
                let path = self.folder.join(format!("step-{old}"));
                fs::remove_dir_all(&path).map_err(|e| Error::io(&path, e))?;
            }
        }
        Ok(())
    }
}

/// The last checkpoint of the run folder `run`, if there is one.
///
/// # Errors
/// A checkpoint that cannot be read.
pub fn load_last(run: &Path) -> Result<Option<Checkpoint>> {
    let Some(step) = last_step(run)? else {
        return Ok(None);
    };
    let path = run.join("checkpoints").join(format!("step-{step}"));
    let checkpoint = Checkpoint::read(&path).map_err(|e| {
        let path = path.display();
        Error::invalid(format!(
            "{e}; remove {path} to continue from the checkpoint before it"
        ))
    })?;
    Ok(Some(checkpoint))
}

/// The step of the last checkpoint of a run folder, if there is one.
///
/// # Errors
/// A folder that cannot be read.
pub(super) fn last_step(run: &Path) -> Result<Option<u64>> {
    Ok(steps(&run.join("checkpoints"))?.last().copied())
}

impl Checkpoint {
    /// How the run ended whose last checkpoint this is, if it has.
    pub fn ending(&self, config: &TrainConfig) -> Option<Ending> {
        // A run that validates does so before its first step.
        let validates = self.state.validated.is_some();
        self.state.ending(config, validates)
    }

    fn read(path: &Path) -> Result<Self> {
        let state_path = path.join(STATE);
        let text = fs::read_to_string(&state_path).map_err(|e| Error::io(&state_path, e))?;
        let state = toml::from_str(&text);
        Ok(Self {
            weights: WeightsFile::read(&path.join(WEIGHTS))?,
            moments: read_moments(&path.join(MOMENTS))?,
            state: state.map_err(|e| Error::file(&state_path, e.message().to_string()))?,
        })
    }
}

/// Steps of the complete checkpoints, ascending.
fn steps(folder: &Path) -> Result<Vec<u64>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io(folder, e)),
    };
    let mut steps: Vec<u64> = entries
        .filter_map(|entry| {
            let name: PathBuf = entry.ok()?.file_name().into();
            name.to_str()?.strip_prefix("step-")?.parse().ok()
        })
        .collect();
    steps.sort_unstable();
    Ok(steps)
}

/// Waits until a file is on the disk: some file systems report only now that they are full.
fn reach_the_disk(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|e| Error::io(path, e))
}

fn write_state(path: &Path, state: &RunState) -> Result<()> {
    let text = toml::to_string(state).map_err(|e| Error::file(path, e.to_string()))?;
    write_text(path, &text)
}

fn write_moments(path: &Path, adam: &Adam) -> Result<()> {
    let bytes: Vec<(String, usize, Vec<u8>)> = adam
        .state()
        .into_iter()
        .map(|(name, values)| {
            let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            (name, values.len(), bytes)
        })
        .collect();
    let views = bytes.iter().map(|(name, length, data)| {
        let view = TensorView::new(Dtype::F32, vec![*length], data).expect("as long as it says");
        (name.as_str(), view)
    });
    let content = serialize(views, None::<HashMap<String, String>>)
        .map_err(|e| Error::file(path, e.to_string()))?;
    write_atomically(path, |file| file.write_all(&content))
}

fn read_moments(path: &Path) -> Result<BTreeMap<String, Vec<f32>>> {
    let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
    let file =
        SafeTensors::deserialize(&bytes).map_err(|e| Error::file(path, format!("broken: {e}")))?;
    Ok(file
        .iter()
        .map(|(name, view)| {
            let (chunks, _) = view.data().as_chunks::<4>();
            let values = chunks.iter().map(|b| f32::from_le_bytes(*b)).collect();
            (name.to_string(), values)
        })
        .collect())
}
