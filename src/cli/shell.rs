//! Words of a command line for a shell.

/// A word as a shell takes it back.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_string(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Quoted words with blanks between them.
pub fn joined(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    quoted.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        let words = ["a/b.csv", "b c", "it's", "", "x=1", "n=[5, 15]"].map(String::from);
        assert_eq!(
            joined(&words),
            r"a/b.csv 'b c' 'it'\''s' '' x=1 'n=[5, 15]'"
        );
    }
}
