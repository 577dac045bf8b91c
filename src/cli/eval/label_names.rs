//! Names of labels from a lookup table.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, Result};

/// Reads lines of a number and a name: FreeSurfer's colour tables (whose colours do not matter here), or CSV. Empty lines,
/// those after `#`, and a first line of titles are passed over. Labels of one name get their number behind it.
///
/// # Errors
/// An unreadable file, a line that begins with no number.
pub(super) fn read(path: &Path) -> Result<BTreeMap<i32, String>> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    let mut names = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some((label, name)) = parts(line) else {
            continue;
        };
        match label.parse() {
            Ok(label) => {
                names.insert(label, name);
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
        false => Ok(told_apart(names)),
    }
}

/// The first word of a line, and the name after it, without quotes and without the colour behind it.
fn parts(line: &str) -> Option<(&str, String)> {
    let (label, rest) = line.split_once(|c: char| c == ',' || c.is_whitespace())?;
    let rest = rest.trim();
    let name = match line.contains(',') {
        true => first_field(rest),
        false => {
            let words: Vec<&str> = rest.split_whitespace().collect();
            let colours = words.iter().rev().take_while(|w| w.parse::<f64>().is_ok());
            words[..words.len() - colours.count()].join(" ")
        }
    };
    (!name.is_empty()).then_some((label, name))
}

/// Of CSV, which may be quoted.
fn first_field(text: &str) -> String {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let record = reader.records().next().and_then(Result::ok);
    let field = record.and_then(|record| record.get(0).map(String::from));
    field.unwrap_or_default()
}

fn told_apart(names: BTreeMap<i32, String>) -> BTreeMap<i32, String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for name in names.values() {
        *counts.entry(name.clone()).or_default() += 1;
    }
    let unique = |(label, name): (i32, String)| match counts[&name] {
        1 => (label, name),
        _ => (label, format!("{name} ({label})")),
    };
    names.into_iter().map(unique).collect()
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
        let csv = "label,name\n17,Left-Hippocampus\n53,\"Right-Hippocampus\",220\n";
        assert_eq!(table(csv).unwrap(), expected);
    }

    #[test]
    fn names_of_several_words_stay_whole_and_apart() {
        let expected = BTreeMap::from([
            (21, "Left SFG".to_string()),
            (22, "Right SFG (22)".to_string()),
            (23, "Right SFG (23)".to_string()),
        ]);
        for text in [
            "21,Left SFG\n22,\"Right SFG\"\n23, Right SFG\n",
            "21 Left SFG 1 2 3 0\n22\tRight SFG 4 5 6 0\n23 Right  SFG\n",
        ] {
            assert_eq!(table(text).unwrap(), expected, "{text}");
        }
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
