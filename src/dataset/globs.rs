//! Finds images by patterns such as `subjects/{subject}/mri/norm.mgz`.
//!
//! `*` and `?` match inside one folder name, `**` matches any number of folders, and `{name}` matches
//! like `*` (as few characters as possible) and keeps what it matched. `{subject}` is required,
//! `{split}` has its meaning, other names only carry over to the label pattern.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::manifest::{Entry, shorten_ids};
use super::problems::Problems;
use crate::error::{Error, Result};

/// Images that match `images`, each with the label that `labels` names for the same captures.
pub(super) fn find(
    images: &str,
    labels: Option<&str>,
    problems: &mut Problems,
) -> Result<Vec<Entry>> {
    let pattern = Pattern::parse(images)?;
    if !pattern.names().any(|name| name == "subject") {
        return Err(Error::invalid(format!(
            "images = \"{images}\": no {{subject}} in the pattern; write it where the path names the person, so that a split never tears one apart"
        )));
    }
    let mut entries = Vec::new();
    for (image, captures) in pattern.matches()? {
        let split = match captures.get("split").map(|text| text.parse()).transpose() {
            Ok(split) => split,
            Err(problem) => {
                problems.push(format!("{}: {problem}", image.display()));
                continue;
            }
        };
        entries.push(Entry {
            id: image.display().to_string(),
            label: labels.map(|labels| fill(labels, &captures)).transpose()?,
            subject: captures["subject"].clone(),
            split,
            landmarks: None,
            image,
        });
    }
    if entries.is_empty() && problems.is_empty() {
        problems.push(format!("images = \"{images}\": no file matches"));
    }
    shorten_ids(&mut entries);
    Ok(entries)
}

/// Captured text by name.
type Captures = BTreeMap<String, String>;

#[derive(Debug, PartialEq)]
enum Part {
    Literal(String),
    One,
    Any,
    AnyFolders,
    Capture(String),
}

struct Pattern {
    text: String,
    parts: Vec<Part>,
}

impl Pattern {
    fn parse(text: &str) -> Result<Self> {
        let mut parts = Vec::new();
        // The glob crate gives paths without a leading "./".
        let mut rest = text.strip_prefix("./").unwrap_or(text);
        while let Some(first) = rest.chars().next() {
            let (part, used) = if rest.starts_with("**/") {
                (Part::AnyFolders, 3)
            } else if first == '*' {
                (Part::Any, 1)
            } else if first == '?' {
                (Part::One, 1)
            } else if first == '{' {
                let (name, used) = capture_name(text, rest)?;
                (Part::Capture(name), used)
            } else {
                let end = rest.find(['*', '?', '{']).unwrap_or(rest.len());
                (Part::Literal(rest[..end].to_string()), end)
            };
            parts.push(part);
            rest = &rest[used..];
        }
        Ok(Self {
            text: text.to_string(),
            parts,
        })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Capture(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Files that match, in sorted order, with what the captures took.
    fn matches(&self) -> Result<Vec<(PathBuf, Captures)>> {
        let regex = self.regex()?;
        let paths = glob::glob(&self.glob())
            .map_err(|error| Error::invalid(format!("images = \"{}\": {error}", self.text)))?;
        let mut found = Vec::new();
        for path in paths {
            let path = path.map_err(|error| {
                let folder = error.path().to_path_buf();
                Error::io(folder, error.into())
            })?;
            if let Some(captures) = self.captures(&regex, &path) {
                found.push((path, captures));
            }
        }
        Ok(found)
    }

    fn glob(&self) -> String {
        let text = self.parts.iter().map(|part| match part {
            Part::Literal(text) => glob::Pattern::escape(text),
            Part::One => "?".into(),
            Part::Any | Part::Capture(_) => "*".into(),
            Part::AnyFolders => "**/".into(),
        });
        text.collect()
    }

    fn regex(&self) -> Result<regex::Regex> {
        let mut captures = 0;
        let text: String = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Literal(text) => regex::escape(text),
                Part::One => "[^/]".into(),
                Part::Any => "[^/]*".into(),
                Part::AnyFolders => "(?:.*/)?".into(),
                Part::Capture(_) => {
                    captures += 1;
                    "([^/]+?)".into()
                }
            })
            .collect();
        regex::Regex::new(&format!("^{text}$"))
            .map_err(|error| Error::invalid(format!("images = \"{}\": {error}", self.text)))
    }

    /// `None` where the path does not match or one name would mean two different things.
    fn captures(&self, regex: &regex::Regex, path: &Path) -> Option<Captures> {
        let text = path.to_str()?.replace('\\', "/");
        let found = regex.captures(&text)?;
        let mut captures = Captures::new();
        for (name, value) in self.names().zip(found.iter().skip(1)) {
            let value = value?.as_str().to_string();
            if captures
                .insert(name.to_string(), value.clone())
                .is_some_and(|old| old != value)
            {
                return None;
            }
        }
        Some(captures)
    }
}

/// The name in `{name}` at the start of `rest` and how many bytes it takes with its braces.
fn capture_name(pattern: &str, rest: &str) -> Result<(String, usize)> {
    let name = rest[1..].split_once('}').map(|(name, _)| name);
    match name {
        Some(name) if !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_') => {
            Ok((name.to_string(), name.len() + 2))
        }
        _ => Err(Error::invalid(format!(
            "pattern \"{pattern}\": expected {{name}} with letters, digits and underscores"
        ))),
    }
}

/// The path that a label pattern names for the captures of an image.
fn fill(labels: &str, captures: &Captures) -> Result<PathBuf> {
    let mut path = String::new();
    for part in Pattern::parse(labels)?.parts {
        match part {
            Part::Literal(text) => path.push_str(&text),
            Part::Capture(name) => path.push_str(captures.get(&name).ok_or_else(|| {
                Error::invalid(format!(
                    "labels = \"{labels}\": {{{name}}} is not captured by the pattern of the images"
                ))
            })?),
            Part::One | Part::Any | Part::AnyFolders => {
                return Err(Error::invalid(format!(
                    "labels = \"{labels}\": the path must follow from the image's captures alone; replace * and ? by {{name}} in both patterns"
                )));
            }
        }
    }
    Ok(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        folder
    }

    fn found(folder: &tempfile::TempDir, images: &str, labels: Option<&str>) -> Result<Vec<Entry>> {
        let inside = |pattern: &str| format!("{}/{pattern}", folder.path().display());
        let mut problems = Problems::default();
        let entries = find(
            &inside(images),
            labels.map(inside).as_deref(),
            &mut problems,
        )?;
        problems.into_result()?;
        Ok(entries)
    }

    #[test]
    fn captures_name_subjects_and_labels() {
        let folder = folder(&[
            "sub-01/mri/norm.mgz",
            "sub-02/mri/norm.mgz",
            "sub-02/mri/T1.mgz",
        ]);
        let entries = found(
            &folder,
            "{subject}/mri/norm.mgz",
            Some("{subject}/mri/aseg.mgz"),
        )
        .unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[1].subject, "sub-02");
        assert!(
            entries[1]
                .label
                .as_ref()
                .unwrap()
                .ends_with("sub-02/mri/aseg.mgz")
        );
    }

    #[test]
    fn captures_are_short_and_repeat() {
        let folder = folder(&[
            "train/p1_ED_x.nii.gz",
            "train/p1_ES.nii.gz",
            "test/p2/p2.nii",
            "test/p2/p3.nii",
        ]);
        let entries = found(&folder, "{split}/{subject}_{phase}.nii.gz", None).unwrap();
        assert_eq!(
            entries
                .iter()
                .map(|e| e.subject.as_str())
                .collect::<Vec<_>>(),
            ["p1", "p1"]
        );
        assert_eq!(entries[0].split, Some(super::super::split::Split::Train));
        let entries = found(&folder, "**/{subject}/{subject}.nii", None).unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].id, "p2");
    }

    #[test]
    fn patterns_that_cannot_work_say_why() {
        let folder = folder(&["a.nii"]);
        for (images, labels, reason) in [
            ("*.nii", None, "no {subject}"),
            ("{subject.nii", None, "{name}"),
            ("{subject}.nii.gz", None, "no file matches"),
            ("{subject}.nii", Some("{id}.nii"), "{id} is not captured"),
            ("{subject}.nii", Some("*.nii"), "replace *"),
        ] {
            let error = found(&folder, images, labels).unwrap_err().to_string();
            assert!(error.contains(reason), "{images}: {error}");
        }
    }
}
