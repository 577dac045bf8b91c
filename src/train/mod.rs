//! Training: the loop, its settings, its checkpoints and its logs.

mod checkpoint;
mod config;
mod folder;
mod gradients;
mod logs;
mod metrics;
mod objective;
mod one_hot;
mod optimizer;
mod outcome;
mod parallel;
mod plots;
mod precision;
mod run;
mod session;
mod slabs;
mod state;
mod step;
mod synthesis;
mod tensors;
mod validate;

pub use checkpoint::{Checkpoint, load_last};
pub use config::{Schedule, SynthesisPlace, TrainConfig};
pub use folder::RunFolder;
pub use gradients::{Activations, gradients};
pub use metrics::Means;
pub use objective::{ItemWeights, objective};
pub use optimizer::Adam;
pub use outcome::{Objective, Outcome, TermMean};
pub use run::{Ending, Watch, train};
pub use session::Session;
pub use state::RunState;
pub use step::time_steps;
pub use synthesis::Synthesis;
pub use tensors::BatchTensors;
pub use validate::{Validation, validate};
