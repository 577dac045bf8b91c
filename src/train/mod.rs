//! Training: the loop, its settings, its checkpoints and its log.

mod checkpoint;
mod config;
mod metrics;
mod objective;
mod optimizer;
mod run;
mod session;
mod validate;

pub use checkpoint::{Checkpoint, RunState, load_last};
pub use config::{Schedule, TrainConfig};
pub use metrics::Means;
pub use objective::{BatchTensors, Objective, objective};
pub use optimizer::{Adam, StepReport};
pub use run::{Ending, Watch, time_steps, train};
pub use session::Session;
pub use validate::Validation;
