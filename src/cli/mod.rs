//! The command line: one file a subcommand, each parse -> plan -> run.

mod apply;
mod common;
mod config;
mod dry_run;
mod eval;
mod import;
mod info;
mod linear;
mod options;
mod output;
mod pairs;
mod points;
mod progress;
mod reading;
mod record;
mod refine;
mod register;
mod registrar;
mod scan;
mod shell;
mod signals;
mod spacing;
mod study;
mod synth;
mod train;
mod transform;
mod transforms;

pub use common::Common;

use std::io::{IsTerminal, stdout};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::device;
use crate::ops;

/// Trains and runs learning-based registration of medical images. For research use, not for diagnosis.
#[derive(Debug, Parser)]
#[command(name = "hmorph", version, max_term_width = COLUMNS)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Command {
    Synth(synth::SynthArgs),
    Train(train::TrainArgs),
    Finetune(train::FinetuneArgs),
    Register(Box<register::RegisterArgs>),
    Apply(Box<apply::ApplyArgs>),
    Transform(transform::TransformArgs),
    Eval(Box<eval::EvalArgs>),
    Study(study::StudyArgs),
    Info(info::InfoArgs),
    Import(import::ImportArgs),
    Export(import::ExportArgs),
    Config(config::ConfigArgs),
}

/// Columns of the help at most, and where no terminal says how many it has; its texts are broken to fit.
const COLUMNS: usize = 100;

impl Cli {
    /// What the arguments of the process ask for; ends the process where they ask for help or nothing sensible.
    pub fn of_arguments() -> Self {
        let mut command = Self::command();
        if !stdout().is_terminal() {
            command = command.term_width(COLUMNS);
        }
        let matches = command.get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// Runs the subcommand.
    ///
    /// # Errors
    /// The one line the user sees.
    pub fn run(&self) -> anyhow::Result<()> {
        self.common.start_threads()?;
        ops::use_reference(self.common.reference_ops);
        device::guard(&self.common.device, || self.execute())??;
        common::check_printed()
    }

    fn execute(&self) -> anyhow::Result<()> {
        match &self.command {
            Command::Synth(args) => synth::run(args, &self.common),
            Command::Train(args) => train::run(args, &self.common),
            Command::Finetune(args) => train::run_finetune(args, &self.common),
            Command::Register(args) => register::run(args, &self.common),
            Command::Apply(args) => apply::run(args, &self.common),
            Command::Transform(args) => transform::run(args, &self.common),
            Command::Eval(args) => eval::run(args, &self.common),
            Command::Study(args) => study::run(args, &self.common),
            Command::Info(args) => info::run(args, &self.common),
            Command::Import(args) => import::run(args, &self.common),
            Command::Export(args) => import::run_export(args, &self.common),
            Command::Config(args) => config::run(args),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_help_fit_its_columns() {
        for command in Cli::command().get_subcommands() {
            let text = command.get_after_help().map(ToString::to_string);
            for line in text.unwrap_or_default().lines() {
                let (name, columns) = (command.get_name(), line.chars().count());
                assert!(columns <= COLUMNS, "{name}, {columns} columns: {line}");
            }
        }
    }

    #[test]
    fn options_of_all_commands_stand_apart() {
        let mut command = Cli::command();
        command.build();
        let register = command.find_subcommand("register").unwrap();
        let heading = |name: &str| {
            let mut options = register.get_arguments();
            let found = options.find(|option| option.get_long() == Some(name));
            found.and_then(clap::Arg::get_help_heading)
        };
        for (name, expected) in [
            ("threads", options::GENERAL),
            ("force", options::GENERAL),
            ("out", options::OUTPUT),
            ("dtype", options::OUTPUT),
            ("search", options::LINEAR),
            ("no-network", options::NETWORK),
            ("smoothness", options::OPTIMISATION),
            ("fixed-mask", options::INPUTS),
            ("jobs", options::MANY_PAIRS),
        ] {
            assert_eq!(heading(name), Some(expected), "--{name}");
        }
    }
}
