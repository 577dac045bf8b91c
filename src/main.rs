//! The `hmorph` program: exit code 0 done, 1 failed, 2 wrong usage.

use std::io::Write;
use std::process::ExitCode;

use hmorph::cli::Cli;

/// Keeps freed memory for the next step: training allocates and frees the same large tensors again and again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::of_arguments().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be a file on the disk that is full.
            let _ = writeln!(std::io::stderr(), "hmorph: {error:#}");
            ExitCode::FAILURE
        }
    }
}
