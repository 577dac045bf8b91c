//! `hmorph study`: a grid of trainings, each a run folder, measured on the same held-out pairs.

mod cells;
mod measure;
mod prepare;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, ensure};

use super::common::print;
use super::{Common, shell, signals};
use crate::config;
use crate::study::{CellFacts, Job, Pretraining, StudyConfig, StudyRow, collect, plan, report};
use crate::volume::write_table;

/// Train on many mixtures of real and synthetic images and compare them on held-out pairs
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hmorph study --config hybridmorph-study --set run.data.manifest=scans.csv -o study
  hmorph study --config my-study.toml -o study                   again: skips what is done
  hmorph study --config my-study.toml -o study --list            a command and name per cell
  hmorph study --config my-study.toml -o study --list | parallel -j 4
  hmorph study --config my-study.toml -o study --cell $SLURM_ARRAY_TASK_ID
  hmorph study --config my-study.toml -o study --summary         tables of finished cells

A cell is a way of training (real, synthetic, few-shot, transfer, weighted), a number of real
subjects, an alpha, a seed and a fold. All have the same number of steps. Cells that share a
pretraining on synthetic images use it once: with --list the pretrainings come first, and cells that
run side by side wait for the one they need. After cells that ran side by side, --summary brings all
together.

Results in DIR:
  cells/NAME/           run folder of each cell, as of hmorph train or finetune; pretrainings too
  folds/                manifests of the cross-validation
  grid.toml             the grid of every cell, which holds all images
  results/NAME.csv      measures of each cell; NAME.cost.csv what it cost
  study.csv             all of them: a row per cell, condition, held-out pair and measure
  cells.csv             steps, parameters and operations of each cell
  summary.csv .md .tex  means with 95 % intervals over subjects and seeds; tests.csv differences
  plots/                measures over the number of subjects, and over alpha")]
pub struct StudyArgs {
    /// Preset name (see `hmorph config`) or TOML file of the study
    #[arg(long, value_name = "NAME|FILE")]
    pub config: String,
    /// Override one setting, such as seeds=[0] or run.train.epochs=20; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Folder of the study
    #[arg(short, long, value_name = "DIR")]
    pub out: PathBuf,
    /// Print a command per cell instead of running them
    #[arg(long, conflicts_with_all = ["cell", "summary"])]
    pub list: bool,
    /// Run this cell alone, counted from 0 in the order of --list
    #[arg(long, value_name = "K")]
    pub cell: Option<usize>,
    /// Write tables and figures of the cells that are finished, and run none
    #[arg(long, conflicts_with = "cell")]
    pub summary: bool,
}

/// Runs `hmorph study`.
///
/// # Errors
/// Settings or images that cannot be used, a cell that fails, an interruption.
pub fn run(args: &StudyArgs, common: &Common) -> anyhow::Result<()> {
    ensure!(
        common.seed.is_none(),
        "--seed: a study has seeds of its own; use --set seeds=[..]"
    );
    let settings: StudyConfig = config::load(&args.config, &args.overrides)?;
    let (pretrainings, jobs) = plan(&settings, &args.out)?;
    let mut study = Study {
        args,
        common,
        settings,
        pretrainings,
        jobs,
    };
    let count = study.count();
    if args.list {
        (0..count).for_each(|number| print(study.listed(number)));
        return Ok(());
    }
    if let Some(number) = args.cell {
        ensure!(
            number < count,
            "--cell {number}: the study has {count} cells, counted from 0"
        );
    }
    study.prepare()?;
    if args.summary {
        return study.summarise();
    }
    let stop = signals::stop_flag()?;
    match args.cell {
        Some(number) => study.job(number, &stop),
        None => {
            let ran = (0..count).try_for_each(|number| study.job(number, &stop));
            // What is finished is worth its tables, whatever became of the rest.
            let told = study.summarise();
            ran.and(told)
        }
    }
}

struct Study<'a> {
    args: &'a StudyArgs,
    common: &'a Common,
    settings: StudyConfig,
    pretrainings: Vec<Pretraining>,
    jobs: Vec<Job>,
}

impl Study<'_> {
    fn count(&self) -> usize {
        self.pretrainings.len() + self.jobs.len()
    }

    fn name(&self, number: usize) -> &str {
        match number.checked_sub(self.pretrainings.len()) {
            None => &self.pretrainings[number].name,
            Some(place) => &self.jobs[place].name,
        }
    }

    /// The command that runs one cell, with the name of the cell as a comment, which shells skip.
    fn listed(&self, number: usize) -> String {
        format!("{}  # {}", self.command(number), self.name(number))
    }

    /// The command that runs one cell, for a shell.
    fn command(&self, number: usize) -> String {
        let mut words = vec!["hmorph".to_string()];
        words.extend(self.common.options());
        words.extend(["study".into(), "--config".into()]);
        words.push(shell::quoted(&self.args.config));
        for change in &self.args.overrides {
            words.extend(["--set".into(), shell::quoted(change)]);
        }
        words.extend([
            "-o".into(),
            shell::quoted(&self.args.out.display().to_string()),
        ]);
        words.extend(["--cell".into(), number.to_string()]);
        words.join(" ")
    }

    fn job(&self, number: usize, stop: &Arc<AtomicBool>) -> anyhow::Result<()> {
        let name = self.name(number);
        self.common
            .say(format!("cell {number} of {}: {name}", self.count()));
        match number.checked_sub(self.pretrainings.len()) {
            None => self
                .pretrain(&self.pretrainings[number], self.common.force, stop)
                .map(drop),
            Some(place) => self
                .cell(&self.jobs[place], stop)
                .with_context(|| format!("cell {number} ({name})")),
        }
    }

    /// Brings together what is finished.
    fn summarise(&self) -> anyhow::Result<()> {
        let of = |which: usize| {
            self.jobs
                .iter()
                .map(move |job| self.results(job)[which].clone())
        };
        let (rows, cells): (Vec<StudyRow>, Vec<CellFacts>) = (collect(of(0))?, collect(of(1))?);
        ensure!(
            !rows.is_empty(),
            "{}: no cell is finished yet",
            self.args.out.display()
        );
        let out = &self.args.out;
        write_table(out.join("study.csv"), &rows)?;
        write_table(out.join("cells.csv"), &cells)?;
        report::write(out, &rows, &cells)?;
        let (done, all) = (cells.len(), self.jobs.len());
        self.common.say(format!(
            "{done} of {all} cells in {}",
            out.join("summary.md").display()
        ));
        Ok(())
    }
}
