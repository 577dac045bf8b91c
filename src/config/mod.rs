//! Settings of a run: TOML structures, presets, overrides.

mod expected;
mod load;
mod message;
mod overrides;
mod preset;
mod run;

pub use load::{load, text_of};
pub use message::explained;
pub use overrides::overridden;
pub use preset::{PRESETS, STUDIES, all as presets, find, summary};
pub use run::{LabelOrigin, RunConfig, SynthLabels};
