//! `--set key.path=value`: one setting on the command line over the one in the file.

use toml::{Table, Value};

use crate::error::{Error, Result};

/// One `key.path=value`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Override {
    keys: Vec<String>,
    value: Value,
    text: String,
}

/// The keys of a setting and the text of its value.
fn split(text: &str) -> Option<(Vec<String>, &str)> {
    let (path, value) = text.split_once('=')?;
    let keys = path.split('.').map(|key| key.trim().to_string());
    Some((keys.collect(), value.trim()))
}

/// The dotted name of the setting that `key.path=value` changes; nothing where it is not of this form.
pub fn overridden(text: &str) -> String {
    split(text).map_or(String::new(), |(keys, _)| keys.join("."))
}

impl Override {
    /// Parses `key.path=value`; the value is TOML, or a string without its quotes.
    pub fn parse(text: &str) -> Result<Self> {
        let Some((keys, value)) =
            split(text).filter(|(keys, _)| keys.iter().all(|k| !k.is_empty()))
        else {
            return Err(Error::invalid(format!(
                "--set {text}: expected KEY.PATH=VALUE, such as train.epochs=50"
            )));
        };
        let value = toml_value(value).map_err(|problem| {
            Error::invalid(format!(
                "--set {text}: {}",
                problem.trim().replace('\n', "; ")
            ))
        })?;
        Ok(Self {
            keys,
            value,
            text: text.to_string(),
        })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The setting that a single value is for; nothing of a list or table, of which a part may be wrong.
    pub fn key(&self) -> String {
        match self.value {
            Value::Array(_) | Value::Table(_) => String::new(),
            _ => self.keys.join("."),
        }
    }

    /// Puts the value in its place, making the tables on the way.
    ///
    /// A number in the path is a place in a list, from 0.
    pub fn apply(&self, table: &mut Table) -> Result<()> {
        let Some((last, path)) = self.keys.split_last() else {
            return Ok(());
        };
        let Some((first, rest)) = path.split_first() else {
            table.insert(last.clone(), self.value.clone());
            return Ok(());
        };
        let empty = || Value::Table(Table::new());
        let mut at = table.entry(first).or_insert_with(empty);
        for key in rest {
            at = match at {
                Value::Table(table) => table.entry(key).or_insert_with(empty),
                Value::Array(list) => self.element(list, key)?,
                _ => return Err(self.not_a_table(key)),
            };
        }
        match at {
            Value::Table(table) => {
                table.insert(last.clone(), self.value.clone());
            }
            Value::Array(list) => *self.element(list, last)? = self.value.clone(),
            _ => return Err(self.not_a_table(last)),
        }
        Ok(())
    }

    fn element<'a>(&self, list: &'a mut [Value], key: &str) -> Result<&'a mut Value> {
        let length = list.len();
        let index = key.parse::<usize>().ok().filter(|&index| index < length);
        index.and_then(|index| list.get_mut(index)).ok_or_else(|| {
            Error::invalid(format!(
                "--set {}: expected a place from 0 to {} in the list, found `{key}`",
                self.text,
                length.saturating_sub(1)
            ))
        })
    }

    fn not_a_table(&self, key: &str) -> Error {
        Error::invalid(format!(
            "--set {}: what comes before `{key}` is a value, not a section",
            self.text
        ))
    }
}

/// `text` as a TOML value; what is no TOML but cannot be meant as such is a string.
fn toml_value(text: &str) -> Result<Value, String> {
    match toml::from_str::<Table>(&format!("value = {text}")) {
        Ok(mut table) if table.len() == 1 => {
            Ok(table.remove("value").unwrap_or(Value::Boolean(false)))
        }
        Ok(_) => Ok(Value::String(text.to_string())),
        Err(error)
            if text.is_empty() || text.starts_with(['"', '\'', '[', '{']) && !is_pattern(text) =>
        {
            Err(format!("the value is not valid TOML: {}", error.message()))
        }
        Err(_) => Ok(Value::String(text.to_string())),
    }
}

/// Whether braces are closed before the end of the text, such as those of `{subject}/t1.nii.gz`: no table of TOML goes on.
fn is_pattern(text: &str) -> bool {
    let mut open = 0;
    let closed = text.find(|c| {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        open == 0
    });
    text.starts_with('{') && closed.is_some_and(|end| end + 1 < text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(base: &str, overrides: &[&str]) -> Result<Table> {
        let mut table: Table = toml::from_str(base).unwrap();
        for text in overrides {
            Override::parse(text)?.apply(&mut table)?;
        }
        Ok(table)
    }

    #[test]
    fn values_are_typed_and_land_in_their_place() {
        let base =
            "seed = 1\n[data]\nalign = 'header'\n[[loss]]\nweight = 1.0\n[[loss]]\nweight = 2.0\n";
        let overrides = [
            "seed=7",
            "data.align=centre",
            "data.shape=[48, 64, 48]",
            "loss.1.weight=0.5",
            "synth.shapes.labels = 5",
            "data.manifest=/a/b=c.csv",
            "data.images='x y'",
            "data.labels={subject}/{visit}/seg.nii.gz",
            "data.image={a = {b = 1}}",
        ];
        let expected = "seed = 7\n[data]\nalign = 'centre'\nshape = [48, 64, 48]\nmanifest = '/a/b=c.csv'\nimages = 'x y'\nlabels = '{subject}/{visit}/seg.nii.gz'\nimage = {a = {b = 1}}\n[[loss]]\nweight = 1.0\n[[loss]]\nweight = 0.5\n[synth.shapes]\nlabels = 5\n";
        assert_eq!(
            applied(base, &overrides).unwrap(),
            toml::from_str(expected).unwrap()
        );
    }

    #[test]
    fn mistakes_are_named() {
        for (text, reason) in [
            ("seed", "KEY.PATH=VALUE"),
            ("a..b=1", "KEY.PATH=VALUE"),
            ("seed=", "not valid TOML"),
            ("seed=[1, 2", "not valid TOML"),
            ("seed={a = {b = 1}, c = 2", "not valid TOML"),
            ("seed={subject}", "not valid TOML"),
            ("seed.x=1", "not a section"),
            ("loss.2.weight=1", "from 0 to 0"),
        ] {
            let error = applied("seed = 1\n[[loss]]\nweight = 1.0\n", &[text])
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(&format!("--set {text}")), "{error}");
            assert!(error.contains(reason), "{error}");
        }
    }
}
