//! Settings of a run: TOML structures, presets, overrides.

mod load;
mod message;
mod overrides;
mod preset;
mod run;

pub use load::{load, text_of};
pub use preset::{PRESETS, STUDIES, all as presets, find, summary};
pub use run::{LabelOrigin, RunConfig, SynthLabels};
