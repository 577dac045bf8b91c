//! `hmorph register --pairs`: many pairs with one model.

mod index;
mod plan;
mod shard;
mod table;
mod work;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};

use super::RegisterArgs;
use crate::cli::scan::ScanFile;
use crate::cli::{Common, signals};
use crate::error::{Error, Result};
use crate::volume::Dimension;
use plan::Task;
use shard::Shard;
use table::Outcome;
use work::{Batch, Finished};

/// Pairs of a list.
#[derive(Debug, Clone, clap::Args)]
pub struct BatchArgs {
    /// CSV of pairs: fixed,moving and, where known, fixed_labels,moving_labels,fixed_points,moving_points,id; paths are
    /// relative to it. Each pair gets the folder DIR/ID
    #[arg(long, value_name = "FILE", requires = "out")]
    #[arg(conflicts_with_all = ["fixed_image", "moving_image", "fixed", "moving"])]
    #[arg(conflicts_with_all = ["fixed_labels", "moving_labels", "fixed_points", "moving_points"])]
    pub pairs: Option<PathBuf>,
    /// Pairs at the same time; they share the threads, each takes its own memory
    #[arg(long, value_name = "N", default_value = "1", requires = "pairs")]
    #[arg(conflicts_with_all = ["fixed_image", "fixed"])]
    pub jobs: NonZeroUsize,
    /// Part K of N of the list, counted from 1: every N-th row, always the same ones
    #[arg(long, value_name = "K/N", requires = "pairs")]
    #[arg(conflicts_with_all = ["fixed_image", "fixed"])]
    pub shard: Option<Shard>,
}

impl BatchArgs {
    /// Name of a file over all pairs: a part has its own, so that no two jobs write to one file.
    fn file(&self, stem: &str, suffix: &str) -> String {
        match self.shard {
            None => format!("{stem}.{suffix}"),
            Some(shard) => format!("{stem}-{shard}.{suffix}"),
        }
    }
}

/// Registers the pairs of `list`.
///
/// # Errors
/// A list that cannot be used, folders of results that hold something else; in the end, pairs that failed.
pub fn run(args: &RegisterArgs, list: &Path, common: &Common) -> anyhow::Result<()> {
    let out = args
        .out
        .as_deref()
        .context("name the folder of results by -o")?;
    let tasks = plan::tasks(
        &args.batch,
        list,
        out,
        [args.fixed_frame, args.moving_frame],
    )?;
    if tasks.is_empty() {
        common.say(format!("pairs    none in this part of {}", list.display()));
        return Ok(());
    }
    let method = args.method(dimension(&tasks)?, common)?;
    common.say(format!("model    {}", method.registrar.describe()));
    let outcomes = plan::done(&tasks, &method, common.force)?;
    std::fs::create_dir_all(out).map_err(|e| Error::io(out, e))?;
    let mut results = Results {
        path: out.join(args.batch.file("results", "csv")),
        outcomes,
    };
    // Before the first pair: a folder that cannot be written shows now.
    results.write(&tasks)?;
    let waiting = results.waiting();
    common.say(format!(
        "pairs    {} in {}, {} of them done before{}",
        tasks.len(),
        list.display(),
        tasks.len() - waiting.len(),
        if common.force {
            ""
        } else {
            " and skipped (--force registers them again)"
        }
    ));
    let batch = Arc::new(Batch::new(
        tasks,
        method,
        common.clone(),
        signals::stop_flag()?,
    ));
    let jobs = args.batch.jobs.get().min(waiting.len());
    let total = waiting.len();
    let mut ended = 0;
    for finished in batch.start(waiting, jobs) {
        ended += 1;
        say(
            &batch.tasks[finished.task],
            &finished,
            [ended, total],
            common,
        );
        results.outcomes[finished.task] = Some(finished.outcome);
        results.write(&batch.tasks)?;
    }
    let index = out.join(args.batch.file("index", "html"));
    index::write(
        &index,
        &list.display().to_string(),
        &results.ended(&batch.tasks),
    )?;
    let (table, index) = (results.path.display(), index.display());
    common.say(format!("written  {table} {index}"));
    results.check(&batch.tasks)
}

/// Of the first image that can be read; a pair of the other dimension fails later, alone.
fn dimension(tasks: &[Task]) -> Result<Dimension> {
    let mut problem = None;
    for task in tasks {
        match ScanFile::read(&task.files.fixed, task.files.frames[0]) {
            Ok(scan) => return Ok(scan.geometry().dimension),
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    Err(problem.unwrap_or_else(|| Error::invalid("no pair is listed")))
}

/// A line about a pair that has come to an end; errors go to standard error.
fn say(task: &Task, finished: &Finished, [ended, total]: [usize; 2], common: &Common) {
    let id = &task.id;
    match &finished.outcome {
        Outcome::Failed(error) => eprintln!("hmorph: pair {id}: {error}"),
        Outcome::Done(record) | Outcome::Skipped(record) => {
            let measures = &record["measures"];
            let change = |name: &str, key: &str, unit: &str| {
                let [before, after] = ["before", "after"].map(|side| measures[side][key].as_f64());
                match before.zip(after) {
                    Some((before, after)) => format!("  {name} {before:.3} -> {after:.3}{unit}"),
                    None => String::new(),
                }
            };
            common.say(format!(
                "{ended:>4} of {total}  {id}  {:.1} s{}{}{}  folds {}",
                record["seconds"]["all"].as_f64().unwrap_or_default(),
                change("Dice", "dice", ""),
                change("TRE", "tre_mean_mm", " mm"),
                change("NCC", "ncc", ""),
                measures["folded_voxels"],
            ));
        }
    }
}

/// The table as it grows.
struct Results {
    path: PathBuf,
    /// Of every task, in their order; nothing where it waits.
    outcomes: Vec<Option<Outcome>>,
}

impl Results {
    fn write(&self, tasks: &[Task]) -> Result<()> {
        table::write(&self.path, &self.ended(tasks))
    }

    /// The tasks that have come to an end.
    fn ended<'a>(&'a self, tasks: &'a [Task]) -> Vec<(&'a Task, &'a Outcome)> {
        let all = tasks.iter().zip(&self.outcomes);
        all.filter_map(|(task, outcome)| Some((task, outcome.as_ref()?)))
            .collect()
    }

    /// Numbers of the tasks that are still to do.
    fn waiting(&self) -> Vec<usize> {
        let tasks = 0..self.outcomes.len();
        tasks
            .filter(|&task| self.outcomes[task].is_none())
            .collect()
    }

    /// An error unless every pair is registered.
    fn check(&self, tasks: &[Task]) -> anyhow::Result<()> {
        let (waiting, all) = (self.waiting().len(), tasks.len());
        if waiting > 0 {
            bail!(
                "stopped; {waiting} of {all} pairs are left, and the same command goes on with them"
            );
        }
        let ended = self.ended(tasks);
        let failed: Vec<&str> = ended
            .iter()
            .filter(|(_, outcome)| matches!(outcome, Outcome::Failed(_)))
            .map(|(task, _)| task.id.as_str())
            .collect();
        match failed[..] {
            [] => Ok(()),
            [first, ..] => bail!(
                "{} of {all} pairs failed ({first} first); {} says why, and the same command tries them again",
                failed.len(),
                self.path.display()
            ),
        }
    }
}
