//! The table of images: one row per image, read from a CSV file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::problems::Problems;
use super::split::Split;
use crate::error::{Error, Result};

/// One image of the study before it is read.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Short name, unique in the study: the manifest's, or else the file's stem, or its path as written where stems repeat.
    pub id: String,
    pub image: PathBuf,
    pub label: Option<PathBuf>,
    /// The person (or specimen): all images of one subject stay in one split.
    pub subject: String,
    /// The split the manifest gives, if it does.
    pub split: Option<Split>,
    /// CSV `x,y,z,name`, LPS millimetres.
    pub landmarks: Option<PathBuf>,
}

impl Entry {
    /// Whether its image is the file of this canonical path, however it is spelt here.
    pub(super) fn is_file(&self, canonical: &Path) -> bool {
        self.image
            .canonicalize()
            .is_ok_and(|image| image == canonical)
    }
}

/// A row as it is written in the file; the names are those of the columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestRow {
    pub image: String,
    pub label: Option<String>,
    pub subject: String,
    pub split: Option<String>,
    pub landmarks: Option<String>,
    /// By which lists of pairs and tables of results name the image, wherever the manifest lies.
    pub id: Option<String>,
}

/// Reads `image,label,subject,split,landmarks,id`; paths are relative to the manifest's folder.
///
/// # Errors
/// Only where the file as a whole cannot be used; rows that are wrong go to `problems`.
pub(super) fn read(path: &Path, problems: &mut Problems) -> Result<Vec<Entry>> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_path(path)
        .map_err(|error| Error::csv(path, error))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let headers = reader.headers().map_err(|error| Error::csv(path, error))?;
    check_headers(path, headers)?;
    let has_ids = headers.iter().any(|name| name == "id");
    let mut entries = Vec::new();
    for row in reader.deserialize::<ManifestRow>() {
        let row = row.map_err(|error| Error::csv(path, error))?;
        let place = format!("{}: {}", path.display(), row.image);
        if row.image.is_empty() {
            problems.push(format!("{}: a row without an image", path.display()));
            continue;
        }
        if has_ids && row.id.is_none() {
            problems.push(format!(
                "{place}: the id is empty; fill the column for all or leave it out"
            ));
        }
        if let Some(entry) = entry(row, folder, &place, problems) {
            entries.push(entry);
        }
    }
    if entries.is_empty() && problems.is_empty() {
        problems.push(format!("{}: no images are listed", path.display()));
    }
    if has_ids {
        report_repeated_ids(path, &entries, problems);
    } else {
        shorten_ids(&mut entries);
    }
    Ok(entries)
}

fn report_repeated_ids(path: &Path, entries: &[Entry], problems: &mut Problems) {
    let mut first: HashMap<&str, &Entry> = HashMap::new();
    for entry in entries {
        if let Some(other) = first.insert(&entry.id, entry) {
            problems.push(format!(
                "{}: the id {} is given twice ({} and {}); give each image one of its own",
                path.display(),
                entry.id,
                other.image.display(),
                entry.image.display()
            ));
        }
    }
}

fn check_headers(path: &Path, headers: &csv::StringRecord) -> Result<()> {
    const COLUMNS: [&str; 6] = ["image", "label", "subject", "split", "landmarks", "id"];
    if let Some(unknown) = headers.iter().find(|name| !COLUMNS.contains(name)) {
        return Err(Error::file(
            path,
            format!(
                "unknown column `{unknown}`; a manifest has {}",
                COLUMNS.join(",")
            ),
        ));
    }
    for needed in ["image", "subject"] {
        if !headers.iter().any(|name| name == needed) {
            return Err(Error::file(
                path,
                format!(
                    "column `{needed}` is missing; a manifest has {} (label, split, landmarks and id may be left out)",
                    COLUMNS.join(",")
                ),
            ));
        }
    }
    Ok(())
}

fn entry(row: ManifestRow, folder: &Path, place: &str, problems: &mut Problems) -> Option<Entry> {
    let split = match row.split.map(|text| text.parse::<Split>()) {
        None => None,
        Some(Ok(split)) => Some(split),
        Some(Err(problem)) => {
            problems.push(format!("{place}: {problem}"));
            return None;
        }
    };
    if row.subject.is_empty() {
        problems.push(format!(
            "{place}: the subject is empty; name the person, so that a split never tears one apart"
        ));
        return None;
    }
    Some(Entry {
        image: folder.join(&row.image),
        label: row.label.map(|path| folder.join(path)),
        landmarks: row.landmarks.map(|path| folder.join(path)),
        id: row.id.unwrap_or(row.image),
        subject: row.subject,
        split,
    })
}

/// Replaces paths by file stems where the stems tell the images apart.
pub(super) fn shorten_ids(entries: &mut [Entry]) {
    let mut seen = HashMap::new();
    for entry in entries.iter() {
        *seen.entry(stem(&entry.image)).or_insert(0) += 1;
    }
    if seen.values().all(|&count| count == 1) {
        for entry in entries {
            entry.id = stem(&entry.image);
        }
    }
}

/// File name without the endings of image files, which may be double (`.nii.gz`).
pub fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem.to_string(),
        _ => name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> (Result<Vec<Entry>>, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("study.csv");
        std::fs::write(&path, text).unwrap();
        let mut problems = Problems::default();
        let entries = read(&path, &mut problems);
        (
            entries,
            problems
                .into_result()
                .err()
                .map(|e| e.to_string())
                .unwrap_or_default(),
        )
    }

    #[test]
    fn rows_become_entries_with_paths_beside_the_manifest() {
        let (entries, problems) = manifest(
            "image,label,subject,split,landmarks\na/x.nii.gz,b/x.nii.gz,s1,train,\na/y.nii,,s2,test,y.csv\n",
        );
        let entries = entries.unwrap();
        assert_eq!(problems, "");
        assert_eq!(entries[0].id, "x");
        assert!(entries[0].label.as_ref().unwrap().ends_with("b/x.nii.gz"));
        assert!(entries[0].image.is_absolute());
        assert_eq!(entries[1].label, None);
        assert_eq!(entries[1].split, Some(Split::Test));
    }

    #[test]
    fn repeated_stems_keep_their_paths_as_ids() {
        let (entries, _) = manifest("image,subject\n1/mri/norm.mgz,1\n2/mri/norm.mgz,2\n");
        assert_eq!(entries.unwrap()[1].id, "2/mri/norm.mgz");
    }

    #[test]
    fn given_ids_are_used_as_they_are() {
        let rows = "image,subject,id\n/far/1/norm.mgz,1,1/norm.mgz\n/far/b.nii,2,the other\n";
        let (entries, problems) = manifest(rows);
        assert_eq!(problems, "");
        let ids: Vec<String> = entries.unwrap().into_iter().map(|e| e.id).collect();
        assert_eq!(ids, ["1/norm.mgz", "the other"]);
    }

    #[test]
    fn ids_that_name_no_image_or_two_are_reported() {
        let (_, problems) = manifest("image,subject,id\na.nii,1,x\nb.nii,2,\nc.nii,3,x\n");
        for part in [
            "2 problems",
            "b.nii: the id is empty",
            "the id x is given twice",
            "a.nii and ",
            "c.nii)",
        ] {
            assert!(problems.contains(part), "{part} not in {problems}");
        }
    }

    #[test]
    fn bad_rows_are_all_reported_and_bad_files_refused() {
        let (entries, problems) =
            manifest("image,subject,split\nx.nii,,train\ny.nii,1,training\n,2,\nz.nii,3,val\n");
        assert_eq!(entries.unwrap().len(), 1);
        for part in [
            "3 problems",
            "x.nii: the subject is empty",
            "`training`",
            "without an image",
        ] {
            assert!(problems.contains(part), "{part} not in {problems}");
        }
        for (text, reason) in [
            ("image,lable,subject\n", "unknown column `lable`"),
            ("image\nx.nii\n", "column `subject` is missing"),
            ("image,subject\nx.nii\n", "fields"),
        ] {
            let error = manifest(text).0.unwrap_err().to_string();
            assert!(
                error.contains(reason) && error.contains("study.csv"),
                "{error}"
            );
        }
    }
}
