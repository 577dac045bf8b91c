//! Real and synthetic training pairs: studies, splits by subject, the mixture, loader threads.
//!
//! A [`Dataset`] holds a verified study in memory, a [`Sampler`] draws pairs of it and of synthesis, a
//! [`Loader`] makes batches ahead of the trainer. Sample `n` of a seed is always the same.

mod batch;
mod config;
mod globs;
mod grid;
mod loader;
mod manifest;
mod mixture;
mod pairing;
mod pending;
mod preprocess;
mod problems;
mod sampler;
mod slice;
mod split;
mod store;
mod verify;

pub use batch::{Batch, Kind, Sample};
pub use config::{Align, DataConfig, Pairs};
pub use loader::Loader;
pub use mixture::{Alpha, MixtureConfig, Mode, Ramp};
pub use sampler::{MakeSynthetic, Sampler};
pub use slice::{Plane, Slice};
pub use split::Split;
pub use store::{Dataset, Item};
