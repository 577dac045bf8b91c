//! Training: the loop, its settings, its checkpoints and its log.

mod config;
mod optimizer;

pub use config::{Schedule, TrainConfig};
pub use optimizer::{Adam, StepReport};
