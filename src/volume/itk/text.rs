//! Transforms as text, a header and four lines each.

use std::fmt::Write as _;

use super::super::format::{numbers, quoted};
use super::{COMPOSITE, Stored};

pub(in super::super) const START: &str = "#Insight Transform File";

pub(super) fn write(stored: &Stored) -> String {
    let mut text = format!("{START} V1.0\n#Transform 0\nTransform: {}\n", stored.class);
    for (name, values) in [
        ("Parameters", &stored.parameters),
        ("FixedParameters", &stored.fixed),
    ] {
        let values: Vec<String> = values.iter().map(f64::to_string).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}: {}", values.join(" "));
    }
    text
}

pub(super) fn read(text: &str) -> Result<Vec<Stored>, String> {
    if !text.starts_with(START) {
        return Err(format!("not an ITK transform: '{START}' is missing"));
    }
    let mut stored: Vec<Stored> = Vec::new();
    // How many of the three entries of the last transform were there.
    let mut entries = 3;
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
        match (key, stored.last_mut()) {
            ("Transform", _) if entries == 3 => {
                let class = value.trim().to_string();
                // A composite is this line alone.
                entries = if class.starts_with(COMPOSITE) { 2 } else { 0 };
                stored.push(Stored {
                    class,
                    parameters: Vec::new(),
                    fixed: Vec::new(),
                });
            }
            ("Parameters", Some(last)) => last.parameters = numbers(value)?,
            ("FixedParameters", Some(last)) => last.fixed = numbers(value)?,
            _ => {
                return Err(format!(
                    "{} is not expected there; the file is damaged",
                    quoted(line)
                ));
            }
        }
        entries += 1;
    }
    match entries {
        3 => Ok(stored),
        _ => Err("no 'FixedParameters' at its end; the file is cut off".into()),
    }
}
