//! What a setting takes, in the words of its user instead of the program's types.

/// serde's message with what was expected in plain words; `key` is the dotted name of the setting whose value is refused, or
/// nothing where it is not known.
pub(super) fn in_plain_words(message: &str, key: &str) -> String {
    let plain = message
        .rsplit_once("expected ")
        .and_then(|(start, expected)| {
            let plain = expectation(expected, key, start)?;
            Some(format!("{start}expected {plain}"))
        });
    plain.unwrap_or_else(|| message.to_string())
}

/// What was expected of a value, of which `start` says that it is wrong; `None` where serde's words do.
fn expectation(expected: &str, key: &str, start: &str) -> Option<String> {
    let value = value(start);
    Some(match expected {
        "usize" | "u8" | "u16" | "u32" | "u64" if start.starts_with("invalid value") => {
            "a whole number from 0".into()
        }
        "usize" | "u8" | "u16" | "u32" | "u64" | "isize" | "i8" | "i16" | "i32" | "i64" => {
            "a whole number".into()
        }
        "f32" | "f64" => "a number".into(),
        "a boolean" => "true or false".into(),
        "a sequence" if value.is_some_and(|value| value.contains(',')) => {
            "a list in brackets, such as [2, 2, 2]".into()
        }
        "a sequence" if key.ends_with("shape") || key.ends_with("spacing") => {
            let each = value.unwrap_or("2");
            format!("one number per axis, such as [{each}, {each}, {each}]")
        }
        "a sequence" => value.map_or("a list".into(), |value| {
            format!("a list, such as [{value}]")
        }),
        _ if expected.starts_with("internally tagged enum") => {
            "a table that names its kind, such as { kind = \"percentile\" }".into()
        }
        _ if expected.starts_with("struct ") => section(key, value),
        _ => return None,
    })
}

/// The value of which `` invalid type: integer `2`,  `` or `invalid type: string "a", ` speaks, as settings write it.
fn value(start: &str) -> Option<&str> {
    let value = start.trim_end_matches([',', ' ']);
    match value.split('`').nth(1) {
        Some(number) => Some(number),
        None => value.strip_prefix("invalid type: string "),
    }
}

/// Of settings that have settings of their own. A number in the place of a term of the loss is meant for its weight.
fn section(key: &str, value: Option<&str>) -> String {
    let number = value.filter(|value| value.parse::<f64>().is_ok());
    match number.filter(|_| key.starts_with("loss.")) {
        Some(weight) => format!("a section: write {key}.weight={weight}"),
        None if key.is_empty() => "a section of settings".into(),
        None => format!("a section: write {key}.NAME=VALUE"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_the_program_become_words() {
        for (message, key, expected) in [
            (
                "invalid type: string \"two\", expected usize",
                "train.epochs",
                "invalid type: string \"two\", expected a whole number",
            ),
            (
                "invalid value: integer `-1`, expected u64",
                "seed",
                "invalid value: integer `-1`, expected a whole number from 0",
            ),
            (
                "invalid type: string \"2,2,2\", expected a sequence",
                "data.spacing",
                "invalid type: string \"2,2,2\", expected a list in brackets, such as [2, 2, 2]",
            ),
            (
                "invalid type: string \"fast\", expected f64",
                "train.lr",
                "invalid type: string \"fast\", expected a number",
            ),
            (
                "invalid type: integer `2`, expected a sequence",
                "data.spacing",
                "invalid type: integer `2`, expected one number per axis, such as [2, 2, 2]",
            ),
            (
                "invalid type: map, expected a sequence",
                "synth_labels.shape",
                "invalid type: map, expected one number per axis, such as [2, 2, 2]",
            ),
            (
                "invalid type: string \"^flow\", expected a sequence",
                "train.freeze",
                "invalid type: string \"^flow\", expected a list, such as [\"^flow\"]",
            ),
            (
                "invalid type: integer `1`, expected struct Dice",
                "loss.dice",
                "invalid type: integer `1`, expected a section: write loss.dice.weight=1",
            ),
            (
                "invalid type: boolean `true`, expected struct SynthConfig",
                "synth",
                "invalid type: boolean `true`, expected a section: write synth.NAME=VALUE",
            ),
            (
                "invalid type: floating point `0.5`, expected struct Mse",
                "",
                "invalid type: floating point `0.5`, expected a section of settings",
            ),
        ] {
            assert_eq!(in_plain_words(message, key), expected);
        }
        let kind = in_plain_words(
            "invalid type: string \"min-max\", expected internally tagged enum X",
            "",
        );
        assert!(kind.ends_with("{ kind = \"percentile\" }"), "{kind}");
        let kept = "unknown field `lrr`, expected one of `lr`, `batch`";
        assert_eq!(in_plain_words(kept, "train.lrr"), kept);
    }
}
