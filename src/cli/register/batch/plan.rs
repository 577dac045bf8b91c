//! What there is to do, checked before the first pair is registered.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::BatchArgs;
use super::table::Outcome;
use crate::cli::pairs::{self, Row};
use crate::cli::register::inputs::PairFiles;
use crate::cli::register::pair::Method;
use crate::error::{Error, Result};
use crate::register::{RECORD, ResultFolder};

/// A pair of the list.
pub struct Task {
    pub id: String,
    pub files: PairFiles,
    /// Its folder of results.
    pub out: PathBuf,
}

/// The pairs of the list, or of the part of it that `--shard` names, with folders below `out`; a part may have none.
///
/// # Errors
/// Those of [`pairs::read`]; an id that is no name of a folder; a transform, which is for `hmorph eval`.
pub fn tasks(
    args: &BatchArgs,
    list: &Path,
    out: &Path,
    frames: [Option<usize>; 2],
) -> Result<Vec<Task>> {
    let rows = pairs::read(list)?;
    let mut tasks = Vec::new();
    for (number, row) in rows.into_iter().enumerate() {
        check_id(list, &row.id)?;
        if row.transform.is_some() {
            let problem = format!(
                "pair {} has a transform, which register would not use but make; leave the column out",
                row.id
            );
            return Err(Error::file(list, problem));
        }
        if args.shard.is_none_or(|shard| shard.has(number)) {
            tasks.push(task(row, out, frames));
        }
    }
    Ok(tasks)
}

fn task(row: Row, out: &Path, frames: [Option<usize>; 2]) -> Task {
    let [fixed_labels, moving_labels] = both(row.labels);
    let [fixed_points, moving_points] = both(row.points);
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
    }
}

fn both(files: Option<[PathBuf; 2]>) -> [Option<PathBuf>; 2] {
    files.map_or([None, None], |files| files.map(Some))
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

/// Which pairs are done already, in the order of `tasks`.
///
/// # Errors
/// A folder that holds something else, where `force` does not replace it.
pub fn done(tasks: &[Task], method: &Method, force: bool) -> Result<Vec<Option<Outcome>>> {
    let mut found = Vec::new();
    for task in tasks {
        let record = (!force).then(|| complete(&task.out)).flatten();
        let Some(record) = record else {
            ResultFolder::check(&task.out, force)?;
            found.push(None);
            continue;
        };
        if let Some(part) = difference(&record, &method.request(&task.files)) {
            let problem = format!(
                "holds the result of other {part}; replace the results with --force, or choose another folder with -o"
            );
            return Err(Error::file(&task.out, problem));
        }
        found.push(Some(Outcome::Done(record)));
    }
    Ok(found)
}

/// The record of a folder that holds every file that its record names.
fn complete(folder: &Path) -> Option<Value> {
    let text = std::fs::read(folder.join(RECORD)).ok()?;
    let record: Value = serde_json::from_slice(&text).ok()?;
    let mut files = record["files"].as_array()?.iter();
    let there = files.all(|file| {
        file.as_str()
            .is_some_and(|name| folder.join(name).is_file())
    });
    there.then_some(record)
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
    fn only_a_folder_with_all_its_files_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        assert!(complete(folder.path()).is_none());
        std::fs::write(
            folder.path().join(RECORD),
            r#"{"files": ["moved.nii.gz", "run.json"]}"#,
        )
        .unwrap();
        assert!(complete(folder.path()).is_none());
        std::fs::write(folder.path().join("moved.nii.gz"), "").unwrap();
        assert!(complete(folder.path()).is_some());
    }
}
