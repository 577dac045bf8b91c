//! The table of pairs that `hmorph eval` and `hmorph register` read.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::dataset::stem;
use crate::error::{Error, Result};

/// Missing files that a message names at most.
const NAMED: usize = 5;

/// What pairs are listed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be judged: by labels and landmarks of both images.
    Evaluate,
    /// To be registered: labels and landmarks of the moving image alone are moved; there is no transform yet.
    Register,
}

/// One row; paths are complete.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub id: String,
    pub fixed: PathBuf,
    pub moving: PathBuf,
    /// Of the fixed and the moving image, as are landmarks and masks.
    pub labels: [Option<PathBuf>; 2],
    pub points: [Option<PathBuf>; 2],
    pub masks: [Option<PathBuf>; 2],
    pub transform: Option<PathBuf>,
}

/// The columns that a table may have, as the fields of [`Line`].
const COLUMNS: [&str; 10] = [
    "fixed",
    "moving",
    "fixed_labels",
    "moving_labels",
    "fixed_points",
    "moving_points",
    "fixed_mask",
    "moving_mask",
    "id",
    "transform",
];

#[derive(serde::Deserialize)]
struct Line {
    fixed: String,
    moving: String,
    fixed_labels: Option<String>,
    moving_labels: Option<String>,
    fixed_points: Option<String>,
    moving_points: Option<String>,
    fixed_mask: Option<String>,
    moving_mask: Option<String>,
    id: Option<String>,
    transform: Option<String>,
}

/// Reads the table and looks whether every file is there.
///
/// # Errors
/// A file that is not such a table; labels or landmarks of one image alone, a transform, where they are of no use for the
/// purpose; two rows of one id; files that are missing.
pub fn read(path: &Path, purpose: Purpose) -> Result<Vec<Row>> {
    let wrong = |error| Error::csv(path, error);
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_path(path)
        .map_err(wrong)?;
    check_columns(path, reader.headers().map_err(wrong)?)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut rows: Vec<Row> = Vec::new();
    let mut ids = HashSet::new();
    for line in reader.deserialize::<Line>() {
        let row = row(line.map_err(wrong)?, folder);
        let row = row.and_then(|row| row.check(purpose).map(|()| row));
        let row = row.map_err(|problem| Error::file(path, problem))?;
        if !ids.insert(row.id.clone()) {
            let problem = format!("two pairs are called '{}'; give each an id", row.id);
            return Err(Error::file(path, problem));
        }
        rows.push(row);
    }
    if rows.is_empty() {
        return Err(Error::file(path, "no pair is listed"));
    }
    check_files(path, &rows)?;
    Ok(rows)
}

fn check_columns(path: &Path, header: &csv::StringRecord) -> Result<()> {
    let lacks = |needed: &&str| !header.iter().any(|name| name == *needed);
    if let Some(needed) = ["fixed", "moving"].into_iter().find(lacks) {
        let found = Vec::from_iter(header).join(",");
        let problem =
            format!("no column {needed}; expected a line such as fixed,moving, found {found}");
        return Err(Error::file(path, problem));
    }
    match header.iter().find(|name| !COLUMNS.contains(name)) {
        None => Ok(()),
        Some(name) => {
            let known = COLUMNS.join(", ");
            let problem = format!("column {name} is unknown; known are {known}");
            Err(Error::file(path, problem))
        }
    }
}

/// Refuses rows of the table at `path` that name files which are not there, all of them at once.
fn check_files(path: &Path, rows: &[Row]) -> Result<()> {
    let files = rows.iter().flat_map(Row::files);
    let missing: Vec<&PathBuf> = files.filter(|file| !file.exists()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let named = missing.iter().take(NAMED);
    let mut named: Vec<String> = named.map(|file| file.display().to_string()).collect();
    if missing.len() > NAMED {
        named.push(format!("{} more", missing.len() - NAMED));
    }
    let problem = format!("no such file: {}", named.join(", "));
    Err(Error::file(path, problem))
}

impl Row {
    /// All that it names.
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let more = [&self.labels, &self.points, &self.masks].into_iter();
        let more = more.flatten().chain([&self.transform]).flatten();
        [&self.fixed, &self.moving].into_iter().chain(more)
    }

    /// Refuses what the purpose has no use for.
    fn check(&self, purpose: Purpose) -> Result<(), String> {
        let id = &self.id;
        for (files, what) in [(&self.labels, "labels"), (&self.points, "landmarks")] {
            match (files, purpose) {
                ([Some(_), None], _) | ([None, Some(_)], Purpose::Evaluate) => {
                    return Err(alone(id, what, purpose));
                }
                ([Some(_), Some(_)] | [None, None], _) | ([None, Some(_)], Purpose::Register) => {}
            }
        }
        match (purpose, &self.transform) {
            (Purpose::Register, Some(_)) => Err(format!(
                "pair {id} has a transform, which register would not use but make; leave the column out"
            )),
            _ => Ok(()),
        }
    }
}

/// Labels or landmarks of one image where those of the other are wanted.
fn alone(id: &str, what: &str, purpose: Purpose) -> String {
    match purpose {
        Purpose::Evaluate => format!("pair {id}: {what} of one image alone; give both or none"),
        Purpose::Register => format!(
            "pair {id}: {what} of the fixed image alone, with which nothing is compared; give those of the moving image too, \
             or none"
        ),
    }
}

/// The files of both images, where both have one.
pub fn of_both([fixed, moving]: &[Option<PathBuf>; 2]) -> Option<[PathBuf; 2]> {
    Some([fixed.clone()?, moving.clone()?])
}

fn row(line: Line, folder: &Path) -> Result<Row, String> {
    if line.fixed.is_empty() || line.moving.is_empty() {
        return Err("a row without a fixed or a moving image".into());
    }
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let place = |text: Option<String>| given(text).map(|text| folder.join(text));
    let [fixed, moving] = [&line.fixed, &line.moving].map(|text| folder.join(text));
    let named = || format!("{}_to_{}", stem(&moving), stem(&fixed));
    Ok(Row {
        id: given(line.id).unwrap_or_else(named),
        labels: [line.fixed_labels, line.moving_labels].map(place),
        points: [line.fixed_points, line.moving_points].map(place),
        masks: [line.fixed_mask, line.moving_mask].map(place),
        transform: place(line.transform),
        fixed,
        moving,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str, purpose: Purpose) -> Result<Vec<Row>> {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.nii.gz", "b.nii.gz", "la.nii", "lb.nii"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let path = folder.path().join("pairs.csv");
        std::fs::write(&path, text).unwrap();
        read(&path, purpose)
    }

    #[test]
    fn rows_are_complete_or_refused() {
        let rows = table(
            "fixed,moving,fixed_labels,moving_labels,moving_mask,id\na.nii.gz,b.nii.gz,la.nii,lb.nii,,\nb.nii.gz,a.nii.gz,,,la.nii,back\n",
            Purpose::Evaluate,
        )
        .unwrap();
        assert_eq!(
            (rows[0].id.as_str(), rows[1].id.as_str()),
            ("b_to_a", "back")
        );
        assert!(of_both(&rows[0].labels).unwrap()[1].ends_with("lb.nii"));
        assert_eq!(rows[1].labels, [None, None]);
        assert_eq!(rows[0].masks, [None, None]);
        let [fixed, moving] = &rows[1].masks;
        assert!(fixed.is_none() && moving.as_ref().unwrap().ends_with("la.nii"));
        for (text, part) in [
            ("fixed,moving\na.nii.gz,c.nii.gz\n", "no such file"),
            (
                "fixed,moving\na.nii.gz,b.nii.gz\na.nii.gz,b.nii.gz\n",
                "give each an id",
            ),
            (
                "fixed,moving,group\na.nii.gz,b.nii.gz,x\n",
                "column group is unknown; known are fixed, moving, fixed_labels, ",
            ),
            ("fixed,moving\na.nii.gz,\n", "without a fixed or a moving"),
            ("fixed,moving\n", "no pair"),
            ("fixed;moving\na.nii.gz;b.nii.gz\n", "no column fixed"),
        ] {
            for purpose in [Purpose::Evaluate, Purpose::Register] {
                let error = table(text, purpose).unwrap_err().to_string();
                assert!(error.contains(part), "{error}");
            }
        }
    }

    #[test]
    fn what_the_moving_image_alone_has_can_be_moved_but_not_judged() {
        let list = |column: &str| format!("fixed,moving,{column}\na.nii.gz,b.nii.gz,la.nii\n");
        for what in ["labels", "points"] {
            let [fixed, moving] = ["fixed", "moving"].map(|side| list(&format!("{side}_{what}")));
            for (text, purpose) in [
                (&fixed, Purpose::Evaluate),
                (&fixed, Purpose::Register),
                (&moving, Purpose::Evaluate),
            ] {
                let error = table(text, purpose).unwrap_err().to_string();
                assert!(error.contains("image alone"), "{error}");
            }
            let row = &table(&moving, Purpose::Register).unwrap()[0];
            let [labels, points] = [&row.labels, &row.points].map(|files| files[1].is_some());
            assert_eq!([labels, points], [what == "labels", what == "points"]);
        }
    }

    #[test]
    fn a_transform_is_for_evaluations() {
        // There is no such file yet: register is told first that it would not use it.
        let text = "fixed,moving,transform\na.nii.gz,b.nii.gz,new.nii.gz\n";
        for (purpose, part) in [
            (Purpose::Register, "leave the column out"),
            (Purpose::Evaluate, "no such file"),
        ] {
            let error = table(text, purpose).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
