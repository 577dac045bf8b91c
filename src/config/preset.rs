//! The settings that come inside the program, from `configs/`.

use super::message::nearest;
use crate::error::Error;

/// Declares presets from one list of names.
macro_rules! presets {
    ($(#[$doc:meta])* $list:ident: $($name:literal),* $(,)?) => {
        $(#[$doc])*
        pub const $list: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../configs/", $name, ".toml")))),*];
    };
}

presets!(
    /// Name and TOML text of every preset of a training run.
    PRESETS:
    "quickstart",
    "voxelmorph-2d",
    "voxelmorph-3d",
    "synthmorph-shapes-2d",
    "synthmorph-shapes-3d",
    "hybridmorph-fewshot",
    "hybridmorph-transfer",
    "hybridmorph-weighted",
    "hybridmorph-best",
);

presets!(
    /// Name and TOML text of every preset of a study, which spans many runs.
    STUDIES: "hybridmorph-study", "hybridmorph-study-small",
);

/// All presets.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    PRESETS.iter().chain(STUDIES).copied()
}

/// The text of the preset of that name.
pub fn find(name: &str) -> Option<&'static str> {
    all()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| text)
}

/// What a preset is for: its first comment line.
pub fn summary(text: &str) -> &str {
    text.lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches('#')
        .trim()
}

/// Neither a preset nor a file.
pub(super) fn unknown(name: &str) -> Error {
    let names = || all().map(|(name, _)| name);
    let hint = match nearest(name, names()) {
        Some(near) => format!("did you mean `{near}`? The"),
        None => "the".into(),
    };
    Error::invalid(format!(
        "{name}: no such file and no preset of that name; {hint} presets are {}",
        names().collect::<Vec<_>>().join(", ")
    ))
}
