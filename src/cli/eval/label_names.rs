//! Names of labels from a lookup table.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, Result};

/// Reads lines of a number and a name, with blanks or a comma between them: FreeSurfer's colour tables (whose colours do not
/// matter here), or CSV. Empty lines, those after `#`, and a first line of titles are passed over.
///
/// # Errors
/// An unreadable file, a line that begins with no number.
pub(super) fn read(path: &Path) -> Result<BTreeMap<i32, String>> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    let mut names = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let mut words = line
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|word| !word.is_empty());
        let (Some(label), Some(name)) = (words.next(), words.next()) else {
            continue;
        };
        match label.parse() {
            Ok(label) => {
                names.insert(label, name.to_string());
            }
            Err(_) if number == 0 => {}
            Err(_) => {
                let problem = format!(
                    "line {}: expected a label's number and its name, found '{label} {name}'",
                    number + 1
                );
                return Err(Error::file(path, problem));
            }
        }
    }
    match names.is_empty() {
        true => Err(Error::file(path, "no label is named in it")),
        false => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Result<BTreeMap<i32, String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lut.txt");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn tables_of_freesurfer_and_csv_are_read() {
        let expected = BTreeMap::from([
            (17, "Left-Hippocampus".to_string()),
            (53, "Right-Hippocampus".to_string()),
        ]);
        let freesurfer = "#No. Label Name: R G B A\n\n17  Left-Hippocampus   220 216 20 0\n53  Right-Hippocampus  220 216 20 0 # right\n";
        assert_eq!(table(freesurfer).unwrap(), expected);
        let csv = "label,name\n17,Left-Hippocampus\n53,Right-Hippocampus\n";
        assert_eq!(table(csv).unwrap(), expected);
    }

    #[test]
    fn other_files_are_refused() {
        for (text, part) in [
            ("17 Left\nthe right one\n", "line 2"),
            ("# nothing\n", "no label"),
        ] {
            let error = table(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
