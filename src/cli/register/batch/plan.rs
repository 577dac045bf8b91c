//! What there is to do, checked before the first pair is registered.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::table::Outcome;
use crate::cli::pairs::{self, Purpose, Row};
use crate::cli::register::RegisterArgs;
use crate::cli::register::inputs::{PairFiles, check_spacing};
use crate::cli::register::pair::Method;
use crate::error::{Error, Result};
use crate::register::{RECORD, ResultFolder};

/// A pair of the list.
#[derive(Default)]
pub struct Task {
    pub id: String,
    pub files: PairFiles,
    /// Its folder of results.
    pub out: PathBuf,
    /// Whether earlier results of the same request are there, but not all of them: they are replaced.
    pub incomplete: bool,
}

/// The pairs of the list, or of the part of it that `--shard` names, with folders below `out`; a part may have none.
///
/// # Errors
/// Those of [`pairs::read`]; an id that is no name of a folder; a size of pixels that no pair needs.
pub fn tasks(
    args: &RegisterArgs,
    list: &Path,
    out: &Path,
    frames: [Option<usize>; 2],
) -> Result<Vec<Task>> {
    let rows = pairs::read(list, Purpose::Register)?;
    rows.iter().try_for_each(|row| check_id(list, &row.id))?;
    let all: Vec<Task> = rows.into_iter().map(|row| task(row, out, frames)).collect();
    // Of all pairs, so that every part of the list is refused, or none.
    check_spacing(&args.reading, all.iter().map(|task| &task.files))?;
    let here = |number: &usize| args.batch.shard.is_none_or(|shard| shard.has(*number));
    let tasks = (0..).zip(all).filter(|(number, _)| here(number));
    Ok(tasks.map(|(_, task)| task).collect())
}

fn task(row: Row, out: &Path, frames: [Option<usize>; 2]) -> Task {
    let [fixed_labels, moving_labels] = row.labels;
    let [fixed_points, moving_points] = row.points;
    let [fixed_mask, moving_mask] = row.masks;
    Task {
        out: out.join(&row.id),
        id: row.id,
        files: PairFiles {
            fixed: row.fixed,
            moving: row.moving,
            frames,
            fixed_labels,
            moving_labels,
            fixed_points,
            moving_points,
            fixed_mask,
            moving_mask,
            ..PairFiles::default()
        },
        ..Task::default()
    }
}

/// An id becomes a folder beside the others, and nothing else.
fn check_id(list: &Path, id: &str) -> Result<()> {
    if id.starts_with('.') || id.contains(['/', '\\']) {
        let problem = format!(
            "id '{id}': expected the name of a folder, without / and not starting with a dot"
        );
        return Err(Error::file(list, problem));
    }
    Ok(())
}

/// Which pairs are done already, in the order of `tasks`; those of which files are missing are marked.
///
/// # Errors
/// A folder that holds something else, where `force` does not replace it.
pub fn done(tasks: &mut [Task], method: &Method, force: bool) -> Result<Vec<Option<Outcome>>> {
    let earlier = |task: &mut Task| match recorded(&task.out) {
        Some(record) if !force => {
            let request = method.request(&task.files);
            compared(task, record, &request)
        }
        _ => ResultFolder::check(&task.out, force).map(|()| None),
    };
    tasks.iter_mut().map(earlier).collect()
}

/// What the record in the folder of a task says of the same request; nothing where it has to be done anew.
fn compared(task: &mut Task, record: Value, request: &Value) -> Result<Option<Outcome>> {
    let missing = missing(&task.out, &record);
    if let Some(part) = difference(&record, request) {
        let lacks = missing.map_or(String::new(), |file| {
            format!("lacks {file}, which its {RECORD} names, and ")
        });
        let problem = format!(
            "{lacks}holds the result of other {part}; replace the results with --force, or choose another folder with -o"
        );
        return Err(Error::file(&task.out, problem));
    }
    if missing.is_none() {
        return Ok(Some(Outcome::Done(record)));
    }
    ResultFolder::check(&task.out, true)?;
    task.incomplete = true;
    Ok(None)
}

/// The record in a folder of results.
fn recorded(folder: &Path) -> Option<Value> {
    let text = std::fs::read(folder.join(RECORD)).ok()?;
    let record: Value = serde_json::from_slice(&text).ok()?;
    record["files"].is_array().then_some(record)
}

/// The first file that a record names and its folder does not hold.
fn missing<'a>(folder: &Path, record: &'a Value) -> Option<&'a str> {
    let files = record["files"].as_array().into_iter().flatten();
    let mut names = files.filter_map(Value::as_str);
    names.find(|name| !folder.join(name).is_file())
}

/// The first part of a request that a record does not agree with.
fn difference(record: &Value, request: &Value) -> Option<&'static str> {
    // As a reader of the file sees it: numbers go through their text.
    let request: Value = serde_json::from_str(&request.to_string()).ok()?;
    let mut record = record.clone();
    for image in ["fixed", "moving"] {
        if let Some(facts) = record["inputs"][image].as_object_mut() {
            facts.remove("grid");
        }
    }
    ["inputs", "model", "settings"]
        .into_iter()
        .find(|part| record[part] != request[part])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_record_agrees_with_the_request_that_made_it() {
        let request = json!({
            "inputs": { "fixed": { "file": "a", "bytes": 3 }, "moving": { "file": "b" } },
            "model": { "source": "m" }, "settings": { "spacing": [0.1_f32, 1.0 / 3.0] },
        });
        let mut record = request.clone();
        record["inputs"]["fixed"]["grid"] = json!({ "shape": [1, 2, 3] });
        let record: Value = serde_json::from_str(&record.to_string()).unwrap();
        assert_eq!(difference(&record, &request), None);
        for (part, pointer) in [
            ("inputs", "/inputs/fixed/bytes"),
            ("model", "/model/source"),
            ("settings", "/settings/spacing/1"),
        ] {
            let mut other = request.clone();
            *other.pointer_mut(pointer).unwrap() = json!(0.5);
            assert_eq!(difference(&record, &other), Some(part));
        }
    }

    #[test]
    fn what_lacks_files_is_done_anew_if_it_is_of_the_same_request() {
        let folder = tempfile::tempdir().unwrap();
        let mut task = Task {
            out: folder.path().join("pair"),
            ..Task::default()
        };
        assert!(recorded(&task.out).is_none());
        std::fs::create_dir(&task.out).unwrap();
        let request = |settings: i32| json!({ "inputs": { "fixed": {}, "moving": {} }, "model": "m", "settings": settings });
        let mut record = request(1);
        record["files"] = json!(["moved.nii.gz", RECORD]);
        std::fs::write(task.out.join(RECORD), record.to_string()).unwrap();
        let mut state = |settings| {
            task.incomplete = false;
            let record = recorded(&task.out).unwrap();
            let outcome = compared(&mut task, record, &request(settings));
            (outcome.map_err(|e| e.to_string()), task.incomplete)
        };
        assert_eq!(state(1), (Ok(None), true));
        let error = state(2).0.unwrap_err();
        assert!(
            error.contains("lacks moved.nii.gz") && error.contains("other settings"),
            "{error}"
        );
        std::fs::write(folder.path().join("pair/moved.nii.gz"), "").unwrap();
        assert_eq!(state(1), (Ok(Some(Outcome::Done(record))), false));
    }
}
