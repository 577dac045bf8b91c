//! What the report of a pair says.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::inputs::Inputs;
use super::landmarks::LandmarkErrors;
use super::pair::{Method, Registered};
use crate::cli::{record, shell};
use crate::dataset::stem;
use crate::error::Result;
use crate::metric::{Better, overlaps};
use crate::plot::report::{Change, Fact, ReportText, Section};
use crate::register::pull_labels;

/// Measures, settings and inputs of a pair in words and numbers.
///
/// # Errors
/// Labels on different grids.
pub fn text(pair: &Registered, method: &Method) -> Result<ReportText> {
    let (fixed, moving) = (&pair.inputs.fixed.path, &pair.inputs.moving.path);
    let request = method.request(&pair.inputs.files);
    Ok(ReportText {
        fixed: stem(fixed),
        moving: stem(moving),
        highlights: highlights(pair),
        measures: measures(pair),
        structures: structures(pair, method)?,
        landmarks: landmarks(pair),
        landmarks_note: pair
            .errors
            .as_ref()
            .map_or_else(String::new, LandmarkErrors::explanation),
        sections: vec![
            section("Inputs", &inputs(&pair.inputs)),
            section("Settings", &request["settings"]),
            section("Model", &request["model"]),
            section("Run", &run(pair)),
        ],
        command: shell::joined(&record::command()),
    })
}

/// Similarity and, where they are known, overlap and landmarks.
fn highlights(pair: &Registered) -> Vec<Change> {
    let quality = &pair.judged.quality;
    let (before, after) = (&quality.before, &quality.after);
    let dice = Change::new("Dice", "", before.dice, after.dice, 3, Better::Higher);
    let ncc = Change::new(
        "NCC",
        "",
        Some(before.ncc),
        Some(after.ncc),
        3,
        Better::Higher,
    );
    let tre = pair.errors.as_ref().map(|errors| {
        let [before, after] = errors.spreads().map(|spread| Some(spread.mean));
        Change::new("TRE", "mm", before, after, 2, Better::Lower)
    });
    let dice = after.dice.is_some().then_some(dice);
    dice.into_iter().chain(tre).chain([ncc]).collect()
}

fn measures(pair: &Registered) -> Vec<Change> {
    let quality = &pair.judged.quality;
    let (before, after) = (&quality.before, &quality.after);
    let mut rows = Vec::new();
    if after.dice.is_some() {
        let name = format!("Dice, mean of {} labels", quality.structures);
        rows.push(Change::new(
            name,
            "",
            before.dice,
            after.dice,
            4,
            Better::Higher,
        ));
    }
    if let Some(errors) = &pair.errors {
        let [before, after] = errors.spreads();
        for (name, before, after) in [
            ("mean", before.mean, after.mean),
            ("median", before.median, after.median),
            ("largest", before.max, after.max),
        ] {
            let name = format!("TRE, {name} of {} landmarks", errors.count());
            rows.push(Change::new(
                name,
                "mm",
                Some(before),
                Some(after),
                3,
                Better::Lower,
            ));
        }
    }
    let ncc = [before.ncc, after.ncc].map(Some);
    rows.push(Change::new("NCC", "", ncc[0], ncc[1], 4, Better::Higher));
    let mse = [before.mse, after.mse].map(Some);
    let name = "MSE of normalised intensities";
    rows.push(Change::new(name, "", mse[0], mse[1], 5, Better::Lower));
    for (name, value) in [
        (
            "Inverse consistency, mean",
            quality.inverse_error_mean_voxels,
        ),
        (
            "Inverse consistency, largest",
            quality.inverse_error_max_voxels,
        ),
    ] {
        rows.push(Change::new(
            name,
            "voxels",
            None,
            Some(value),
            3,
            Better::Lower,
        ));
    }
    rows
}

/// Dice of each label of the fixed scan.
fn structures(pair: &Registered, method: &Method) -> Result<Vec<Change>> {
    let inputs = &pair.inputs;
    let (Some(fixed), Some(moving), Some([_, moved])) = (
        &inputs.fixed_labels,
        &inputs.moving_labels,
        &pair.judged.labels,
    ) else {
        return Ok(Vec::new());
    };
    let start = pull_labels(
        moving,
        &fixed.geometry,
        &pair.registration.initial_transform(),
        method.output.label_interpolation.into(),
    )?;
    let before = overlaps(&fixed.data, &start.data, None)?;
    let after = overlaps(&fixed.data, &moved.data, None)?;
    let rows = before.iter().zip(&after).map(|(before, after)| {
        let name = before.label.to_string();
        let dice = [before, after].map(|overlap| Some(overlap.dice()));
        Change::new(name, "", dice[0], dice[1], 3, Better::Higher)
    });
    Ok(rows.collect())
}

fn landmarks(pair: &Registered) -> Vec<Change> {
    let errors = pair.errors.iter().flat_map(|errors| errors.each());
    errors
        .enumerate()
        .map(|(number, (name, before, after))| {
            let name = match name {
                "" => (number + 1).to_string(),
                name => name.to_string(),
            };
            Change::new(name, "", Some(before), Some(after), 2, Better::Lower)
        })
        .collect()
}

/// The files, with the grids of the images.
fn inputs(inputs: &Inputs) -> Value {
    let files = &inputs.files;
    let shown = |path: &Option<PathBuf>| path.as_deref().map(record::shown);
    let mut facts = json!({
        "fixed": inputs.fixed.describe(), "moving": inputs.moving.describe(),
        "fixed labels": shown(&files.fixed_labels), "moving labels": shown(&files.moving_labels),
        "fixed mask": shown(&files.fixed_mask), "moving mask": shown(&files.moving_mask),
        "fixed landmarks": shown(&files.fixed_points), "moving landmarks": shown(&files.moving_points),
    });
    for (number, channel) in files.channels.iter().enumerate() {
        facts[format!("channel {}", number + 1)] = json!(channel.to_string());
    }
    facts
}

/// Version, machine and time.
fn run(pair: &Registered) -> Value {
    use std::env::consts::{ARCH, OS};
    json!({
        "program": record::PROGRAM, "system": format!("{OS} {ARCH}"), "threads": rayon::current_num_threads(),
        "seconds of registration": format!("{:.2}", pair.seconds_register),
    })
}

/// The facts of an object, those of objects in it under their full names (`preprocessing.spacing`).
fn section(title: &str, facts: &Value) -> Section {
    let mut all = Vec::new();
    collect("", facts, &mut all);
    Section {
        title: title.into(),
        facts: all,
    }
}

fn collect(name: &str, value: &Value, all: &mut Vec<Fact>) {
    match value {
        Value::Null => {}
        Value::Object(facts) => {
            for (key, value) in facts {
                let name = match name {
                    "" => key.clone(),
                    _ => format!("{name}.{key}"),
                };
                collect(&name, value, all);
            }
        }
        _ => all.push(Fact {
            name: name.into(),
            value: record::plain(value),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_in_facts_get_their_full_name() {
        let found = section(
            "x",
            &json!({ "a": { "b": [1.5, 2], "none": null }, "c": "text" }),
        );
        let pairs: Vec<(&str, &str)> = found
            .facts
            .iter()
            .map(|fact| (fact.name.as_str(), fact.value.as_str()))
            .collect();
        assert_eq!(pairs, [("a.b", "1.5 2"), ("c", "text")]);
    }
}
