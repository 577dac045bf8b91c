//! From a preset's name or a file, and `--set`, to settings that hold together.

use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Table;

use super::message::{explained, located};
use super::overrides::Override;
use super::preset;
use crate::error::{Error, Result};

/// Settings of type `T` from a preset or TOML file, with `KEY.PATH=VALUE` overrides in order.
///
/// # Errors
/// An unknown name, TOML that cannot be read (with line and column), unknown keys (with the nearest
/// known one), values of the wrong type; for an override, which one.
pub fn load<T: DeserializeOwned>(name: &str, overrides: &[String]) -> Result<T> {
    let text = text_of(name)?;
    let settings = toml::from_str(&text).map_err(|error| located(name, &text, &error))?;
    if overrides.is_empty() {
        return Ok(settings);
    }
    let mut table: Table = toml::from_str(&text).map_err(|error| located(name, &text, &error))?;
    let overrides: Vec<Override> = overrides
        .iter()
        .map(|text| Override::parse(text))
        .collect::<Result<_>>()?;
    let before = table.clone();
    for change in &overrides {
        change.apply(&mut table)?;
    }
    table
        .try_into()
        .map_err(|error| blame::<T>(before, &overrides, &error))
}

/// The text of a preset or of a file.
pub fn text_of(name: &str) -> Result<String> {
    if let Some(text) = preset::find(name) {
        return Ok(text.to_string());
    }
    match std::fs::read_to_string(name) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(preset::unknown(name)),
        Err(error) => Err(Error::io(Path::new(name), error)),
    }
}

/// Names the override that made the settings unusable: the first one after which they are.
fn blame<T: DeserializeOwned>(
    mut table: Table,
    overrides: &[Override],
    error: &toml::de::Error,
) -> Error {
    for change in overrides {
        let outcome = change
            .apply(&mut table)
            .map(|()| table.clone().try_into::<T>());
        if let Ok(Err(error)) = outcome {
            let problem = explained(error.message(), &change.key());
            return Error::invalid(format!("--set {}: {problem}", change.text()));
        }
    }
    Error::invalid(explained(error.message(), ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Align, DataConfig};

    fn load_text(text: &str, overrides: &[&str]) -> Result<DataConfig> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        std::fs::write(&path, text).unwrap();
        let overrides: Vec<String> = overrides.iter().map(|s| s.to_string()).collect();
        load(path.to_str().unwrap(), &overrides)
    }

    #[test]
    fn overrides_go_before_the_file() {
        let config = load_text("align = 'header'\nn_train = 5\n", &["align=centre"]).unwrap();
        assert_eq!((config.align, config.n_train), (Align::Centre, Some(5)));
    }

    #[test]
    fn mistakes_say_where_and_what_was_meant() {
        let message =
            |text, overrides: &[&str]| load_text(text, overrides).unwrap_err().to_string();
        let in_file = message("split_seed = 3\nalgin = 'centre'\n", &[]);
        assert!(
            in_file.contains("a.toml:2:1: unknown field `algin`"),
            "{in_file}"
        );
        assert!(in_file.ends_with("did you mean `align`?"), "{in_file}");
        let wrong_type = message("split_seed = 'x'\n", &[]);
        assert!(wrong_type.contains("a.toml:1:14:"), "{wrong_type}");
        let syntax = message("split_seed = \n", &[]);
        assert!(syntax.contains("a.toml:1:1"), "{syntax}");
        let overridden = message("", &["n_train=5", "shpe=[4, 4]", "align=header"]);
        assert!(
            overridden.starts_with("--set shpe=[4, 4]: unknown field"),
            "{overridden}"
        );
        assert!(
            overridden.ends_with("did you mean `shape`?"),
            "{overridden}"
        );
        let plain = message("shape = 4\n", &[]);
        assert!(
            plain.ends_with("a.toml:1:9: invalid type: integer `4`, expected one number per axis, such as [4, 4, 4]"),
            "{plain}"
        );
        let plain = message("", &["n_train=two"]);
        assert!(plain.ends_with("expected a whole number"), "{plain}");
        let variant = message("", &["align=center"]);
        assert!(variant.ends_with("did you mean `centre`?"), "{variant}");
    }

    #[test]
    fn an_unknown_name_lists_the_presets() {
        let error = text_of("hybridmorph-fewshoot").unwrap_err().to_string();
        assert!(
            error.contains("did you mean `hybridmorph-fewshot`?"),
            "{error}"
        );
        assert!(
            text_of("no-such-folder/a.toml")
                .unwrap_err()
                .to_string()
                .contains("quickstart")
        );
    }
}
