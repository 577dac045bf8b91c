//! Names of labels from a lookup table.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, Result};

/// Reads lines of a number and a name: FreeSurfer's colour tables and ITK-SNAP's label descriptions (whose colours do not matter
/// here), or CSV. Empty lines, those after `#`, and a first line of titles are passed over. Labels of one name get their number
/// behind it.
///
/// # Errors
/// An unreadable file, a line that begins with no number.
pub(super) fn read(path: &Path) -> Result<BTreeMap<i32, String>> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    // Windows puts a mark of the encoding first.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut names = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let Some((label, name)) = parts(without_comment(line).trim()) else {
            continue;
        };
        let titles = number == 0 && !label.contains(|c: char| c.is_ascii_digit());
        match label.parse() {
            Ok(label) => {
                names.insert(label, name);
            }
            Err(_) if titles => {}
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

/// Within quotes `#` is a part of the name.
fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let comment = line.find(|c: char| {
        quoted ^= c == '"';
        c == '#' && !quoted
    });
    &line[..comment.unwrap_or(line.len())]
}

/// The first word of a line, and the name after it, without quotes and without colours.
fn parts(line: &str) -> Option<(&str, String)> {
    let end = line.find(|c: char| c == ',' || c.is_whitespace())?;
    let (label, rest) = (&line[..end], line[end..].trim_start());
    let name = match (rest.strip_prefix(','), rest.split_once('"')) {
        (Some(fields), _) => first_field(fields.trim_start()),
        // ITK-SNAP: colour, opacity and visibility come before the name.
        (None, Some((_, name))) => name
            .split('"')
            .next()
            .unwrap_or_default()
            .trim()
            .to_string(),
        (None, None) => without_colour(rest),
    };
    (!name.is_empty()).then_some((label, name))
}

/// FreeSurfer: red, green, blue and transparency come after the name, which may end in a number itself.
fn without_colour(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let name = match words.split_last_chunk::<4>() {
        Some((name, colour)) if colour.iter().all(|word| word.parse::<u8>().is_ok()) => name,
        _ => words.as_slice(),
    };
    name.join(" ")
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
    fn names_may_end_in_numbers() {
        let expected = BTreeMap::from([(2, "Area 44".to_string()), (3, "Area 45".to_string())]);
        for text in [
            "2 Area 44 1 2 3 0\n3 Area 45 255 0 0 255\n",
            "2 Area 44\n3 Area 45 1 2 3 0\n",
        ] {
            assert_eq!(table(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_mark_of_the_encoding_is_no_part_of_the_first_label() {
        for text in [
            "\u{feff}1 Left-Thalamus 0 118 14 0\n",
            "\u{feff}1,Left-Thalamus\n",
        ] {
            assert_eq!(table(text).unwrap()[&1], "Left-Thalamus", "{text}");
        }
    }

    #[test]
    fn descriptions_of_itk_snap_have_their_names_in_quotes() {
        let text = "####\n# ITK-SnAP Label Description File\n####\n\
                    0     0    0    0        0  0  0    \"Clear Label\"\n\
                    1   255    0    0        1  1  1    \"Gyrus #2, left\"\n";
        let expected = [(0, "Clear Label"), (1, "Gyrus #2, left")];
        let expected = expected.map(|(label, name)| (label, name.to_string()));
        assert_eq!(table(text).unwrap(), BTreeMap::from(expected));
    }

    #[test]
    fn other_files_are_refused() {
        for (text, part) in [
            ("17 Left\nthe right one\n", "line 2"),
            ("1x Left\n2 Right\n", "line 1"),
            ("# nothing\n", "no label"),
        ] {
            let error = table(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
