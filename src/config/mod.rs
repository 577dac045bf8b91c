//! Settings of a run: TOML structures, presets, overrides.

mod load;
mod message;
mod overrides;
mod preset;

pub use load::{load, text_of};
pub use preset::{PRESETS, find, summary};
