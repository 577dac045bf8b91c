//! Tiny training runs for the tests of the command line: 2-D, 32 x 32 voxels, a network of 3246 parameters.
#![allow(dead_code)] // Each test program uses a part.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;

/// Settings of a run on synthetic shapes; `log_every` is no divisor of the epoch, so that means cross checkpoints.
pub const TINY: &str = r#"
seed = 1
[mixture]
alpha = 0.0
[synth_labels]
shape = [32, 32]
[synth.contrast]
pair = "shared"
[synth.shapes]
labels = 5
[model]
dimension = "2d"
encoder = "strided"
encoder_features = [8, 8]
decoder_features = [8, 8, 8]
int_steps = 5
[loss.mse]
[loss.diffusion]
weight = 0.02
[train]
epochs = 3
steps_per_epoch = 4
batch = 2
lr = 1e-3
clip_norm = 0.05
validation_pairs = 2
validate_every = 1
checkpoint_every = 1
log_every = 3
"#;

/// A folder with `tiny.toml` in it.
pub struct Bench {
    pub folder: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tiny.toml"), TINY).unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `hmorph COMMAND --config tiny.toml -o OUT --set ..`, in the folder.
    pub fn run(&self, command: &str, out: &str, overrides: &[&str]) -> Command {
        let mut run = self.hmorph();
        run.args([command, "--config", "tiny.toml", "-o", out]);
        for change in overrides {
            run.args(["--set", change]);
        }
        run
    }

    pub fn train(&self, out: &str, overrides: &[&str]) -> Command {
        self.run("train", out, overrides)
    }

    pub fn hmorph(&self) -> Command {
        self.hmorph_on("cpu")
    }

    pub fn hmorph_on(&self, devices: &str) -> Command {
        let mut command = Command::cargo_bin("hmorph").unwrap();
        command.current_dir(self.folder.path());
        command.args(["--threads", "1", "--device", devices]);
        command
    }

    /// Every name under the folder, sorted.
    pub fn names(&self) -> Vec<String> {
        names(self.folder.path())
    }
}

pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The one line on stderr of a command that must fail with this exit code.
pub fn failure(command: &mut Command, code: i32) -> String {
    one_line(&command.output().unwrap(), code)
}

pub fn one_line(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

/// The rows of a CSV file, by column; empty cells are left out.
pub fn rows(path: &Path) -> Vec<BTreeMap<String, f64>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    let cells = |row: csv::StringRecord| -> BTreeMap<String, f64> {
        let named = header.iter().zip(row.iter());
        named
            .filter(|(_, cell)| !cell.is_empty())
            .map(|(name, cell)| (name.to_string(), cell.parse().unwrap()))
            .collect()
    };
    reader.records().map(|row| cells(row.unwrap())).collect()
}

/// Rows without what a clock or the system's memory says.
pub fn repeatable(path: &Path) -> Vec<BTreeMap<String, f64>> {
    let mut rows = rows(path);
    for row in &mut rows {
        for measured in ["seconds", "seconds_per_step", "peak_memory_mb"] {
            row.remove(measured);
        }
    }
    rows
}

/// Fails unless two runs came to the same bits.
pub fn assert_same_run(one: &Path, other: &Path) {
    for name in ["last.safetensors", "best.safetensors"] {
        let read = |folder: &Path| fs::read(folder.join(name)).unwrap();
        assert!(read(one) == read(other), "{name} differs");
    }
    for name in ["metrics.csv", "validation.csv"] {
        let (one, other) = (repeatable(&one.join(name)), repeatable(&other.join(name)));
        assert!(!one.is_empty());
        assert_eq!(one, other, "{name}");
    }
    assert_eq!(
        names(&one.join("checkpoints")),
        names(&other.join("checkpoints"))
    );
}
