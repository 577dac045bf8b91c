//! Error messages of settings: where in the file, and what was probably meant.

use std::path::Path;

use super::expected::in_plain_words;
use crate::error::Error;

/// `FILE:LINE:COLUMN: problem` for a mistake in TOML text.
pub(super) fn located(name: &str, text: &str, error: &toml::de::Error) -> Error {
    let start = error.span().map(|span| span.start.min(text.len()));
    let key = start.map_or(String::new(), |start| key_at(text, start));
    let problem = explained(error.message(), &key);
    match start {
        Some(start) => {
            let before = &text[..start];
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
            Error::file(Path::new(&format!("{name}:{line}:{column}")), problem)
        }
        None => Error::file(Path::new(name), problem),
    }
}

/// The dotted name of the setting whose value begins at byte `start`, where it stands on the line of its name.
fn key_at(text: &str, start: usize) -> String {
    let before = &text[..start];
    let (above, line) = before.rsplit_once('\n').unwrap_or(("", before));
    // Within a table on one line the name is not the first.
    let Some((name, _)) = line
        .split_once('=')
        .filter(|(_, value)| !value.contains('{'))
    else {
        return String::new();
    };
    let mut above = above.lines().rev();
    let section = above.find_map(|line| line.trim().strip_prefix('[')?.split(']').next());
    let parts = [section, Some(name.trim())];
    parts.into_iter().flatten().collect::<Vec<_>>().join(".")
}

/// serde's message about the setting `key` (nothing where it is not known) in one line and in plain words, with the nearest name
/// where it says what it expected instead.
pub fn explained(message: &str, key: &str) -> String {
    let message = message.trim().replace('\n', "; ");
    let message = in_plain_words(&message, key);
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = message.starts_with("unknown field") || message.starts_with("unknown variant");
    match quoted
        .next()
        .filter(|_| unknown)
        .and_then(|found| nearest(found, quoted))
    {
        Some(name) => format!("{message}; did you mean `{name}`?"),
        None => message,
    }
}

/// The candidate with the fewest edits from `word`, if these are at most a third of its length (or 2).
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(2);
    let ranked = candidates.into_iter().map(|name| (edits(word, name), name));
    ranked
        .min()
        .filter(|(edits, _)| *edits <= limit)
        .map(|(_, name)| name)
}

/// Levenshtein distance: insertions, deletions and replacements from `a` to `b`.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        // The textbook examples.
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("flaw", "lawn"), 2);
    }

    #[test]
    fn only_close_names_are_suggested() {
        assert_eq!(nearest("algin", ["align", "atlas"]), Some("align"));
        assert_eq!(nearest("colour", ["align", "atlas"]), None);
    }

    #[test]
    fn the_place_is_line_and_column() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code)]
        struct Settings {
            rate: f64,
        }
        let text = "# first\nrat = 1\n";
        let error = toml::from_str::<Settings>(text).unwrap_err();
        let message = located("a.toml", text, &error).to_string();
        assert_eq!(
            message,
            "a.toml:2:1: unknown field `rat`, expected `rate`; did you mean `rate`?"
        );
    }

    #[test]
    fn the_name_of_a_setting_is_that_of_its_line_and_section() {
        let text = "seed = 1\n# [not.this]\n[loss]\nmse = {}\ndice = 1\n";
        let at = |part: &str| key_at(text, text.find(part).unwrap());
        assert_eq!(at("1\n#"), "seed");
        assert_eq!(key_at(text, text.len() - 2), "loss.dice");
        assert_eq!(at("mse"), "");
    }
}
