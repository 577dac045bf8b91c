//! Checkpoints: everything a run needs to continue as if it had never stopped.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::{Deserialize, Serialize};

use super::Adam;
use crate::error::{Error, Result};
use crate::model::WeightsFile;

/// Checkpoints that are kept beside the best weights.
const KEPT: usize = 2;

/// Where a run stands. The sampler's whole state is the number of the next batch, which is the step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// Optimiser steps done.
    pub step: u64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Best validation score so far, larger is better.
    pub best: Option<f64>,
    pub best_step: u64,
    /// Validations since then.
    pub since_best: usize,
}

impl RunState {
    /// Notes a validation score; whether it is the best so far.
    pub fn record(&mut self, score: f64) -> bool {
        let best = self.best.is_none_or(|b| score > b);
        if best {
            self.best = Some(score);
            self.best_step = self.step;
            self.since_best = 0;
        } else {
            self.since_best += 1;
        }
        best
    }
}

/// A checkpoint read back.
pub struct Checkpoint {
    pub weights: WeightsFile,
    pub moments: BTreeMap<String, Vec<f32>>,
    pub state: RunState,
}

/// Writes `checkpoints/step-N` under a temporary name, renames it, and removes the ones before the last two.
pub fn save(folder: &Path, weights: &WeightsFile, adam: &Adam, state: &RunState) -> Result<()> {
    let parent = folder.join("checkpoints");
    std::fs::create_dir_all(&parent).map_err(|e| Error::io(&parent, e))?;
    let temporary = tempfile::Builder::new()
        .prefix(".writing-")
        .tempdir_in(&parent)
        .map_err(|e| Error::io(&parent, e))?;
    weights.write(&temporary.path().join("weights.safetensors"))?;
    write_moments(&temporary.path().join("optimizer.safetensors"), adam)?;
    let json = serde_json::to_string_pretty(state).expect("plain numbers");
    let state_path = temporary.path().join("state.json");
    std::fs::write(&state_path, json).map_err(|e| Error::io(&state_path, e))?;

    let target = parent.join(format!("step-{}", state.step));
    if target.exists() {
        std::fs::remove_dir_all(&target).map_err(|e| Error::io(&target, e))?;
    }
    let written = temporary.keep();
    std::fs::rename(&written, &target).map_err(|e| Error::io(&target, e))?;
    for old in steps(folder)?.into_iter().rev().skip(KEPT) {
        let path = parent.join(format!("step-{old}"));
        std::fs::remove_dir_all(&path).map_err(|e| Error::io(&path, e))?;
    }
    Ok(())
}

/// The last checkpoint of a run folder, if there is one.
pub fn load_last(folder: &Path) -> Result<Option<Checkpoint>> {
    let Some(step) = steps(folder)?.last().copied() else {
        return Ok(None);
    };
    let path = folder.join("checkpoints").join(format!("step-{step}"));
    let state_path = path.join("state.json");
    let json = std::fs::read_to_string(&state_path).map_err(|e| Error::io(&state_path, e))?;
    Ok(Some(Checkpoint {
        weights: WeightsFile::read(&path.join("weights.safetensors"))?,
        moments: read_moments(&path.join("optimizer.safetensors"))?,
        state: serde_json::from_str(&json).map_err(|e| Error::file(&state_path, e.to_string()))?,
    }))
}

impl Checkpoint {
    /// Puts the optimiser where it was.
    pub fn restore(&self, adam: &mut Adam, device: &Device) {
        adam.restore(self.state.step, &self.moments, device);
    }
}

/// Steps of the complete checkpoints, ascending.
fn steps(folder: &Path) -> Result<Vec<u64>> {
    let parent = folder.join("checkpoints");
    let entries = match std::fs::read_dir(&parent) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io(&parent, e)),
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
    std::fs::write(path, content).map_err(|e| Error::io(path, e))
}

fn read_moments(path: &Path) -> Result<BTreeMap<String, Vec<f32>>> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
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
