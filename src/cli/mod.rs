//! The command line: one file a subcommand, each parse -> plan -> run.

mod common;

pub use common::Common;
