//! A registration model: a network, its settings, and how its output becomes a transform.

mod builtin;
mod config;
mod cost;
mod network;
mod weights;

pub use crate::nn::Joint;
pub use builtin::builtin;
pub use config::{ModelConfig, TransformKind};
pub use network::{Model, Prediction};
pub use weights::{ModelCard, WeightsFile};
