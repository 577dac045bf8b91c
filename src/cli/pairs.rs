//! The table of pairs that `hmorph eval` and `hmorph register` read.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::dataset::stem;
use crate::error::{Error, Result};

/// Missing files that a message names at most.
const NAMED: usize = 5;

/// One row; paths are complete.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub id: String,
    pub fixed: PathBuf,
    pub moving: PathBuf,
    pub labels: Option<[PathBuf; 2]>,
    pub points: Option<[PathBuf; 2]>,
    /// Of the fixed and the moving image.
    pub masks: [Option<PathBuf>; 2],
    pub transform: Option<PathBuf>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
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
/// A file that is not such a table; labels or landmarks of one image alone; two rows of one id; files that are missing.
pub fn read(path: &Path) -> Result<Vec<Row>> {
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
        let row = row(line.map_err(wrong)?, folder).map_err(|e| Error::file(path, e))?;
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
    let Some(needed) = ["fixed", "moving"].into_iter().find(lacks) else {
        return Ok(());
    };
    let found = Vec::from_iter(header).join(",");
    let problem =
        format!("no column {needed}; expected a line such as fixed,moving, found {found}");
    Err(Error::file(path, problem))
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
        let pairs = [&self.labels, &self.points].into_iter().flatten().flatten();
        let single = self.masks.iter().chain([&self.transform]).flatten();
        [&self.fixed, &self.moving]
            .into_iter()
            .chain(pairs)
            .chain(single)
    }
}

fn row(line: Line, folder: &Path) -> Result<Row, String> {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let place = |text: String| folder.join(text);
    if line.fixed.is_empty() || line.moving.is_empty() {
        return Err("a row without a fixed or a moving image".into());
    }
    let (fixed, moving) = (place(line.fixed), place(line.moving));
    let id = given(line.id).unwrap_or_else(|| format!("{}_to_{}", stem(&moving), stem(&fixed)));
    let two = |a: Option<String>, b: Option<String>, what: &str| match (given(a), given(b)) {
        (Some(a), Some(b)) => Ok(Some([place(a), place(b)])),
        (None, None) => Ok(None),
        _ => Err(format!(
            "pair {id}: {what} of one image alone; give both or none"
        )),
    };
    Ok(Row {
        labels: two(line.fixed_labels, line.moving_labels, "labels")?,
        points: two(line.fixed_points, line.moving_points, "landmarks")?,
        masks: [line.fixed_mask, line.moving_mask].map(|mask| given(mask).map(place)),
        transform: given(line.transform).map(place),
        id,
        fixed,
        moving,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Result<Vec<Row>> {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.nii.gz", "b.nii.gz", "la.nii", "lb.nii"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let path = folder.path().join("pairs.csv");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn rows_are_complete_or_refused() {
        let rows = table(
            "fixed,moving,fixed_labels,moving_labels,moving_mask,id\na.nii.gz,b.nii.gz,la.nii,lb.nii,,\nb.nii.gz,a.nii.gz,,,la.nii,back\n",
        )
        .unwrap();
        assert_eq!(
            (rows[0].id.as_str(), rows[1].id.as_str()),
            ("b_to_a", "back")
        );
        assert!(rows[0].labels.as_ref().unwrap()[1].ends_with("lb.nii"));
        assert_eq!(rows[1].labels, None);
        assert_eq!(rows[0].masks, [None, None]);
        let [fixed, moving] = &rows[1].masks;
        assert!(fixed.is_none() && moving.as_ref().unwrap().ends_with("la.nii"));
        for (text, part) in [
            ("fixed,moving\na.nii.gz,c.nii.gz\n", "no such file"),
            (
                "fixed,moving,fixed_labels\na.nii.gz,b.nii.gz,la.nii\n",
                "of one image alone",
            ),
            (
                "fixed,moving\na.nii.gz,b.nii.gz\na.nii.gz,b.nii.gz\n",
                "give each an id",
            ),
            (
                "fixed,moving,labels\na.nii.gz,b.nii.gz,la.nii\n",
                "unknown field `labels`",
            ),
            ("fixed,moving\n", "no pair"),
            ("fixed;moving\na.nii.gz;b.nii.gz\n", "no column fixed"),
        ] {
            let error = table(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
