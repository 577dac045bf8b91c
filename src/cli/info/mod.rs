//! `hmorph info`: what a file or folder holds, and the devices there are.

mod devices;

use std::path::{Path, PathBuf};

use anyhow::bail;
use serde_json::{Map, Value, json};

use super::Common;
use super::common::print;
use super::record::{self, grid, plain};
use crate::error::{Error, Result};
use crate::interop;
use crate::metric::folding;
use crate::register::RECORD;
use crate::volume::{
    DisplacementField, FileInfo, Kind, Step, WorldAffine, folder_of, probe, read_affine,
    read_field, read_transform,
};

/// Of every transform in a file.
const DIRECTION: &str = "maps places of the reference to places of the image (RAS mm)";

/// Describe images, transforms, weights files and run folders; without any, list the devices
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hmorph info scan.nii.gz
  hmorph info --json scan.nii.gz | jq .spacing
  hmorph info runs/brains runs/brains/best.safetensors patient_to_atlas/forward.nii.gz
  hmorph info                              the devices that --device can name here

Images: shape, voxel type, voxel size (mm), orientation, voxel-to-world matrix (RAS mm), and
minimum, maximum and sum of the finite voxels after the file's intensity scaling; a note where a
NIfTI header states no orientation or two that differ. Displacement fields, also of .h5 files:
lengths in mm, folds and the least Jacobian determinant, of result folders with their affine (those
of run.json, qc.png and report.html are without it). Devices: the name that --device takes, the
kind, the memory (of the CPU what is free) and the adapter, and which of them auto takes. With
--json one line per file or device, each a JSON object.")]
pub struct InfoArgs {
    /// Files and run folders; the devices if there is none
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// One JSON object per line and file, or device
    #[arg(long)]
    pub json: bool,
}

/// Runs `hmorph info`; prints also with `--quiet`, since printing is the work.
///
/// # Errors
/// Names the files that cannot be read, after the others have been described.
pub fn run(args: &InfoArgs, _common: &Common) -> anyhow::Result<()> {
    if args.files.is_empty() {
        devices::run(args.json);
        return Ok(());
    }
    let mut problems = Vec::new();
    for path in &args.files {
        match describe(path) {
            Ok(facts) if args.json => print(facts.to_string()),
            Ok(facts) => print(text(path, &facts)),
            Err(error) => problems.push(error.to_string()),
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        // The program puts its name before the first line alone.
        false => bail!(problems.join("\nhmorph: ")),
    }
}

fn describe(path: &Path) -> Result<Value> {
    // Before anything is said about the name.
    std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
    if path.is_dir() {
        return folder(path);
    }
    if path.file_name().is_some_and(|name| name == RECORD) {
        return folder(folder_of(path));
    }
    let suffix = path
        .extension()
        .and_then(|s| s.to_str())
        .unwrap_or_default()
        .to_lowercase();
    match suffix.as_str() {
        "safetensors" | "pt" | "pth" | "ckpt" | "tar" | "keras" => weights(path),
        "h5" | "hdf5" if interop::is_foreign(path)? => weights(path),
        "tfm" | "h5" | "hdf5" => transform(path),
        "mat" | "txt" | "lta" => affine(path),
        _ => image(path),
    }
}

fn image(path: &Path) -> Result<Value> {
    let info: FileInfo = probe(path)?;
    let kind = info.kind;
    let mut facts = serde_json::to_value(info).map_err(|e| Error::file(path, e.to_string()))?;
    if let (Kind::DisplacementField, Value::Object(facts)) = (kind, &mut facts) {
        match read_field(path).and_then(|field| lengths(&field)) {
            Ok(more) => facts.extend(more),
            // Vectors of its shape that mean something else.
            Err(problem) => {
                facts.insert("kind".into(), json!(Kind::VectorImage));
                facts.insert("note".into(), json!(problem.to_string()));
            }
        }
    }
    Ok(facts)
}

/// Lengths in millimetres, and folds.
fn lengths(field: &DisplacementField) -> Result<Map<String, Value>> {
    let linear = field.geometry.affine.linear();
    let (mut longest, mut sum) = (0.0_f64, 0.0);
    for vector in field.data.lanes(ndarray::Axis(0)) {
        let mut u = nalgebra::Vector3::zeros();
        for (component, &value) in vector.iter().enumerate() {
            u[component] = f64::from(value);
        }
        let length = (linear * u).norm();
        longest = longest.max(length);
        sum += length;
    }
    let folds = folding(field, None)?;
    let facts = json!({
        "longest_mm": longest, "mean_length_mm": sum / field.geometry.voxels() as f64,
        "folded_voxels": folds.folded, "folded_percent": folds.percent(),
        "least_jacobian": folds.least,
    });
    match facts {
        Value::Object(facts) => Ok(facts),
        _ => unreachable!("the macro makes an object"),
    }
}

fn affine(path: &Path) -> Result<Value> {
    let affine = read_affine(path)?;
    Ok(json!({
        "path": record::shown(path), "kind": "affine", "direction": DIRECTION,
        "matrix": rows(&affine), "determinant": affine.0.determinant(),
    }))
}

/// The transforms of a composite, in the order in which a point goes through them.
fn transform(path: &Path) -> Result<Value> {
    let step = |step: Step| match step {
        Step::Affine { affine, .. } => Ok(
            json!({ "kind": "affine", "matrix": rows(&affine), "determinant": affine.0.determinant() }),
        ),
        Step::Field(field) => {
            let mut facts = lengths(&field)?;
            facts.insert("kind".into(), json!("displacement-field"));
            facts.insert("grid".into(), grid(&field.geometry));
            Ok(Value::Object(facts))
        }
    };
    let steps = read_transform(path)?.into_iter().map(step);
    Ok(json!({
        "path": record::shown(path), "kind": "transform", "direction": DIRECTION,
        "steps": steps.collect::<Result<Vec<Value>>>()?,
    }))
}

fn rows(affine: &WorldAffine) -> Vec<Vec<f64>> {
    affine
        .0
        .row_iter()
        .map(|row| row.iter().copied().collect())
        .collect()
}

fn weights(path: &Path) -> Result<Value> {
    let file = interop::read_weights(path)?;
    let mut facts = json!({
        "path": record::shown(path), "kind": "weights", "parameters": file.parameters(),
        "tensors": file.tensors.len(),
    });
    let card = serde_json::to_value(&file.card).map_err(|e| Error::file(path, e.to_string()))?;
    if let (Value::Object(facts), Value::Object(card)) = (&mut facts, card) {
        facts.extend(card);
    }
    Ok(facts)
}

fn folder(path: &Path) -> Result<Value> {
    let record = path.join(RECORD);
    if !record.is_file() {
        return Err(Error::file(
            path,
            format!("a folder without {RECORD}: no run of hmorph"),
        ));
    }
    let text = std::fs::read(&record).map_err(|e| Error::io(&record, e))?;
    let run: Value =
        serde_json::from_slice(&text).map_err(|e| Error::file(&record, e.to_string()))?;
    let entries = std::fs::read_dir(path).map_err(|e| Error::io(path, e))?;
    let mut files: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    files.sort();
    Ok(json!({ "path": record::shown(path), "kind": "run", "files": files, "run": run }))
}

/// The same facts to read: one a line, matrices by rows.
fn text(path: &Path, facts: &Value) -> String {
    let mut lines = vec![path.display().to_string()];
    let mut facts = facts.clone();
    if let Value::Object(facts) = &mut facts
        && facts.remove("orientation_assumed") == Some(json!(true))
        && let Some(Value::String(orientation)) = facts.get_mut("orientation")
    {
        orientation.push_str(" (assumed)");
    }
    lines_of(&facts, 1, &mut lines);
    lines.join("\n")
}

fn lines_of(facts: &Value, depth: usize, lines: &mut Vec<String>) {
    let Value::Object(facts) = facts else { return };
    let indent = "  ".repeat(depth);
    for (key, value) in facts
        .iter()
        .filter(|(key, value)| *key != "path" && !value.is_null())
    {
        match value {
            Value::Object(_) => {
                lines.push(format!("{indent}{key}"));
                lines_of(value, depth + 1, lines);
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                for (n, item) in items.iter().enumerate() {
                    lines.push(format!("{indent}{key} {}", n + 1));
                    lines_of(item, depth + 1, lines);
                }
            }
            Value::Array(rows) if rows.iter().any(Value::is_array) => {
                lines.push(format!("{indent}{key}"));
                lines.extend(rows.iter().map(|row| format!("{indent}  {}", plain(row))));
            }
            _ => lines.push(format!("{indent}{key:<14} {}", plain(value))),
        }
    }
}
