//! The files of a result folder, and what is said of them.

use std::path::Path;

use rayon::prelude::*;
use serde_json::Value;

use super::page;
use super::pair::{Method, Registered};
use crate::cli::Common;
use crate::cli::output::as_held;
use crate::dataset::stem;
use crate::error::Result;
use crate::plot::Picture;
use crate::plot::qc::{QcInput, QcLabels, QcOptions, qc_page};
use crate::plot::report::report_page;
use crate::register::ResultFolder;
use crate::volume::{
    Format, Series, WorldAffine, write_affine, write_field, write_labels, write_series, write_text,
};

/// Writes one file at the path given.
type Write<'a> = &'a (dyn Fn(&Path) -> Result<()> + Sync);

/// Writes images, transforms, landmarks and the picture, side by side since compressing takes long; the names of the
/// files.
pub fn write_files(
    folder: &ResultFolder,
    pair: &Registered,
    method: &Method,
) -> Result<Vec<&'static str>> {
    let (inputs, registration) = (&pair.inputs, &pair.registration);
    let moved = |path: &Path| write_moved(path, pair, method);
    let forward = |path: &Path| {
        let note = "hmorph: pull on the fixed grid, fixed to moving, LPS mm";
        write_field(path, &registration.forward, note)
    };
    let inverse = |path: &Path| {
        let note = "hmorph: pull on the moving grid, moving to fixed, LPS mm";
        write_field(path, &registration.inverse, note)
    };
    let affine = |path: &Path| {
        let linear = WorldAffine(registration.linear);
        let (fixed, moving) = (inputs.fixed.geometry(), inputs.moving.geometry());
        write_affine(path, &linear, fixed, moving)
    };
    let qc = |path: &Path| picture(pair)?.write_png(path);
    let report = |path: &Path| {
        let page = report_page(&qc_input(pair), &page::text(pair, method)?)?;
        write_text(path, &page)
    };
    let labels = |path: &Path| write_moved_labels(path, pair, method);
    let points = |path: &Path| match &inputs.landmarks {
        Some(landmarks) => landmarks.write_moved(path, registration),
        None => Ok(()),
    };

    let mut files: Vec<(&str, Write)> = vec![
        ("moved.nii.gz", &moved),
        ("forward.nii.gz", &forward),
        ("inverse.nii.gz", &inverse),
        ("affine.mat", &affine),
        ("qc.png", &qc),
    ];
    if Format::of(&inputs.moving.path)? == Format::Png {
        files.push(("moved.png", &moved));
    }
    if method.report {
        files.push(("report.html", &report));
    }
    if inputs.moving_labels.is_some() {
        files.push(("moved_labels.nii.gz", &labels));
    }
    if inputs.landmarks.is_some() {
        files.push(("moved_points.csv", &points));
    }
    files
        .par_iter()
        .try_for_each(|(name, write)| write(&folder.path(name)))?;
    Ok(files.into_iter().map(|(name, _)| name).collect())
}

/// Writes the moving image, moved.
///
/// The colours of a PNG go to a PNG; the NIfTI beside it, which has a place for the size of pixels, gets their luminance.
fn write_moved(path: &Path, pair: &Registered, method: &Method) -> Result<()> {
    let (moving, output) = (&pair.inputs.moving, &method.output);
    let (volumes, kind) = moving.content();
    let moved = volumes
        .iter()
        .map(|volume| pair.registration.moved(volume, output.fill));
    let moved = Series {
        volumes: moved.collect::<Result<_>>()?,
        kind,
    };
    let moved = as_held(moved, &moving.path, path)?;
    let encoding = output.encoding(&moved.kind, path, moving.encoding)?;
    write_series(
        path,
        &moved,
        encoding,
        "hmorph: moving image on the fixed grid",
    )
}

/// Writes the moving labels, moved; nothing where there are none.
fn write_moved_labels(path: &Path, pair: &Registered, method: &Method) -> Result<()> {
    let note = "hmorph: moving labels on the fixed grid";
    match (&pair.judged.labels, &pair.inputs.moving_labels) {
        (Some([_, moved]), _) => write_labels(path, moved, note),
        (None, Some(labels)) => {
            let between = method.output.label_interpolation.into();
            let moved = pair.registration.moved_labels(labels, between)?;
            write_labels(path, &moved, note)
        }
        (None, None) => Ok(()),
    }
}

/// The page to judge the registration by.
fn picture(pair: &Registered) -> Result<Picture> {
    let quality = &pair.judged.quality;
    let states = [&quality.before, &quality.linear, &quality.after];
    let dice = states.map(|state| state.dice);
    let options = QcOptions {
        fixed_name: stem(&pair.inputs.fixed.path),
        moving_name: stem(&pair.inputs.moving.path),
        dice: dice
            .iter()
            .all(Option::is_some)
            .then(|| dice.map(Option::unwrap_or_default)),
        ncc: Some(states.map(|state| state.ncc)),
    };
    qc_page(&qc_input(pair), &options)
}

/// The registration as pictures show it.
fn qc_input(pair: &Registered) -> QcInput<'_> {
    let judged = &pair.judged;
    let labels = judged
        .labels
        .as_ref()
        .zip(pair.inputs.fixed_labels.as_ref());
    QcInput {
        fixed: &judged.fixed,
        moving: &judged.moving,
        moved: &judged.moved,
        field: &pair.registration.deformation,
        labels: labels.map(|([moving, moved], fixed)| QcLabels {
            fixed,
            moving,
            moved,
        }),
    }
}

/// Prints the measures.
pub fn say(pair: &Registered, record: &Value, common: &Common) {
    let quality = &pair.judged.quality;
    let states = [&quality.before, &quality.linear, &quality.after];
    let row = |name: &str, [before, linear, after]: [f64; 3], note: &str| {
        common.say(format!(
            "{name:<8} {before:.4} -> {linear:.4} -> {after:.4}{note}"
        ));
    };
    if let Some(by) = &pair.optimised {
        common.say(format!("metric   {}", by.similarity.name()));
    }
    common.say("         before -> linear -> all");
    if let [Some(before), Some(linear), Some(after)] = states.map(|measures| measures.dice) {
        let note = format!("  (mean over {} labels)", quality.structures);
        row("Dice", [before, linear, after], &note);
    }
    row("NCC", states.map(|measures| measures.ncc), "");
    let note = "  (of normalised intensities)";
    row("MSE", states.map(|measures| measures.mse), note);
    if let Some(errors) = &pair.errors {
        let [before, after] = errors.spreads();
        common.say(format!(
            "TRE      {:.2} -> {:.2} mm mean, {:.2} -> {:.2} median, {:.2} -> {:.2} largest of {} landmarks  (of \
             FIXED, carried forward to MOVING and compared there)",
            before.mean, after.mean, before.median, after.median, before.max, after.max, errors.count()
        ));
        if let Some(note) = &errors.note {
            common.say(note);
        }
    }
    common.say(format!(
        "folds    {} of {} voxels ({:.4} %)",
        quality.folded_voxels, quality.voxels, quality.folded_percent
    ));
    common.say(format!(
        "inverse  error {:.2} voxels mean, {:.2} max",
        quality.inverse_error_mean_voxels, quality.inverse_error_max_voxels
    ));
    if let Some(note) = pair.note() {
        common.say(note);
    }
    let memory = record["peak_memory_bytes"].as_f64();
    let memory = memory.map_or(String::new(), |bytes| {
        format!(", at most {:.2} GB of memory", bytes / 1e9)
    });
    let seconds = record["seconds"]["all"].as_f64().unwrap_or_default();
    common.say(format!("time     {seconds:.1} s{memory}"));
}
