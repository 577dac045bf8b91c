//! The `hmorph` program: exit code 0 done, 1 failed, 2 wrong usage.

use std::process::ExitCode;

use clap::Parser;
use hmorph::cli::Cli;

/// Keeps freed memory for the next step: training allocates and frees the same large tensors again and again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hmorph: {error:#}");
            ExitCode::FAILURE
        }
    }
}
