//! `hmorph config`: the presets inside the program.

use super::common::print;
use crate::config::{presets, summary, text_of};

/// List the presets, or print one to start from
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hmorph config                                     every preset with what it is for
  hmorph config voxelmorph-3d > my.toml             a commented file to change
  hmorph train --config my.toml -o runs/mine

Settings that a file leaves out have defaults; config.toml in a run folder states all of them.")]
pub struct ConfigArgs {
    /// Preset to print
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// Runs `hmorph config`.
///
/// # Errors
/// An unknown name.
pub fn run(args: &ConfigArgs) -> anyhow::Result<()> {
    match &args.name {
        Some(name) => print(text_of(name)?.trim_end()),
        None => {
            let longest = presets().map(|(name, _)| name.len()).max().unwrap_or(0);
            for (name, text) in presets() {
                print(format!("{name:longest$}  {}", summary(text)));
            }
        }
    }
    Ok(())
}
