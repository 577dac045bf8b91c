//! Error messages of settings: where in the file, and what was probably meant.

use std::path::Path;

use crate::error::Error;

/// `FILE:LINE:COLUMN: problem` for a mistake in TOML text.
pub(super) fn located(name: &str, text: &str, error: &toml::de::Error) -> Error {
    let problem = with_suggestion(error.message());
    match error.span() {
        Some(span) => {
            let before = &text[..span.start.min(text.len())];
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
            Error::file(Path::new(&format!("{name}:{line}:{column}")), problem)
        }
        None => Error::file(Path::new(name), problem),
    }
}

/// serde's message in one line, with the nearest name where it says what it expected instead.
pub(super) fn with_suggestion(message: &str) -> String {
    let message = message.trim().replace('\n', "; ");
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
}
