//! Numbers against those of other programs and of slower forms of the same.

#[path = "../support/golden.rs"]
mod golden;
#[path = "../support/models.rs"]
mod models;
#[path = "../support/operations.rs"]
mod operations;
#[path = "../support/pairs.rs"]
mod pairs;

mod activations;
mod cost;
mod interop;
mod kernels;
mod losses;
mod metrics;
mod networks;
mod ops;
mod protocols;
mod synthesis;
