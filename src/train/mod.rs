//! Training: the loop, its settings, its checkpoints and its log.

mod config;
mod objective;
mod optimizer;

pub use config::{Schedule, TrainConfig};
pub use objective::{BatchTensors, Objective, objective};
pub use optimizer::{Adam, StepReport};
