//! Real and synthetic training pairs: studies, splits by subject, the mixture, loader threads.
//!
//! A [`Dataset`] holds a verified study in memory, a [`Sampler`] draws pairs of it and of synthesis, a
//! [`Loader`] makes batches ahead of the trainer. Sample `n` of a seed is always the same.

mod align;
mod batch;
mod census;
mod config;
mod globs;
mod grid;
mod item;
mod landmarks;
mod listing;
mod loader;
mod manifest;
mod meeting;
mod mixture;
mod pairing;
mod preprocess;
mod problems;
mod regrid;
mod sample;
mod sampler;
mod slice;
mod split;
mod store;
mod verify;

pub use batch::Batch;
pub use census::HeldOutPairs;
pub use config::{Align, DataConfig, Pairs};
pub use item::Item;
pub use landmarks::{
    Correspondence, Landmark, Markups, PointTable, SharedLandmarks, corresponding, read_landmarks,
};
pub use loader::Loader;
pub use manifest::{ManifestRow, stem};
pub use mixture::{Alpha, MixtureConfig, Mode, Ramp};
pub use preprocess::{Prepared, Preprocessing, check_labels};
pub use sample::{Entry, Kind, Sample, synthetic_id};
pub use sampler::{MakeSynthetic, Sampler};
pub use slice::{Plane, Slice};
pub use split::Split;
pub use store::Dataset;
