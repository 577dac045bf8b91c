//! `hmorph register --pairs` and `--all-frames`: many pairs with one model.

mod frames;
mod index;
mod own;
mod plan;
mod results;
mod shard;
mod table;
mod work;

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;

use super::RegisterArgs;
use super::inputs::{Inputs, check_spacing};
use super::pair::Method;
use crate::cli::options::MANY_PAIRS;
use crate::cli::reading::ReadArgs;
use crate::cli::scan::ScanFile;
use crate::cli::{Common, signals};
use crate::error::{Error, Result};
use crate::volume::Dimension;
use frames::Frames;
use plan::Task;
use results::Results;
use shard::Shard;
use table::Outcome;
use work::{Batch, Finished};

/// Pairs of a list, or the volumes of an image.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = MANY_PAIRS)]
pub struct BatchArgs {
    /// CSV of pairs: fixed,moving and, where known, fixed_labels,moving_labels,fixed_points,moving_points,fixed_mask,
    /// moving_mask,id; paths are relative to it. Each pair gets the folder DIR/ID
    #[arg(long, value_name = "FILE", requires = "out", group = "many")]
    #[arg(conflicts_with_all = ["fixed_image", "moving_image", "fixed", "moving"])]
    #[arg(conflicts_with_all = ["fixed_labels", "moving_labels", "fixed_points", "moving_points"])]
    #[arg(conflicts_with_all = ["fixed_mask", "moving_mask"])]
    pub pairs: Option<PathBuf>,
    /// Register every volume of a 4-D MOVING to FIXED: a folder DIR/frame-NNNN for each, counted from 0, and all of them
    /// moved in DIR/moved.nii.gz. Of a 4-D FIXED, which may be MOVING itself, --fixed-frame is the reference
    /// [default: the middle volume]
    #[arg(long, group = "many", conflicts_with = "moving_frame")]
    pub all_frames: bool,
    /// Pairs (or volumes) at the same time; they share the threads, each takes its own memory
    #[arg(long, value_name = "N", default_value = "1", requires = "many")]
    pub jobs: NonZeroUsize,
    /// Part K of N of the list (or the volumes), counted from 1: every N-th row, always the same ones
    #[arg(long, value_name = "K/N", requires = "many")]
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
pub fn run_list(args: &RegisterArgs, list: &Path, common: &Common) -> anyhow::Result<()> {
    let out = args
        .out
        .as_deref()
        .context("name the folder of results by -o")?;
    let frames = [args.fixed_frame, args.moving_frame];
    let tasks = plan::tasks(args, list, out, frames)?;
    if tasks.is_empty() {
        common.say(format!("pairs    none in this part of {}", list.display()));
        return Ok(());
    }
    let method = args.method(dimension(&tasks, &args.reading)?, common)?;
    register_all(args, tasks, list, out, method, common)
}

/// Registers every volume of the moving image.
///
/// # Errors
/// Images that cannot be used, folders of results that hold something else; in the end, volumes that failed.
pub fn run_frames(args: &RegisterArgs, common: &Common) -> anyhow::Result<()> {
    let frames = Frames::new(args.files()?)?;
    let (files, out) = (&frames.files, args.out_of(&frames.files));
    check_spacing(&args.reading, std::iter::once(files))?;
    let tasks = frames.tasks(args.batch.shard, &out);
    let Some(first) = tasks.first() else {
        common.say(format!(
            "frames   none in this part of {}",
            files.moving.display()
        ));
        return Ok(());
    };
    if args.batch.shard.is_none() {
        let series = out.join(frames::MOVED);
        own::check(&series, own::is_series, files.paths(), common.force)?;
    }
    // What is wrong with all of them is said once, and before anything is written.
    let inputs = Inputs::read(&first.files, &args.reading, args.points_space)?;
    common.say(format!("fixed    {}", inputs.fixed.describe()));
    if let Some(frame) = files.frames[0] {
        common.say(format!("         its volume {frame}, counted from 0"));
    }
    common.say(format!("moving   {}", inputs.moving.describe()));
    let method = args.method(inputs.fixed.geometry().dimension, common)?;
    register_all(args, tasks, &files.moving, &out, method, common)?;
    if args.batch.shard.is_none() {
        frames.gather(&out, &args.output)?;
        common.say(format!("written  {}", out.join(frames::MOVED).display()));
    }
    Ok(())
}

/// Registers pairs by one method, those of `source`, with folders in `out`.
fn register_all(
    args: &RegisterArgs,
    mut tasks: Vec<Task>,
    source: &Path,
    out: &Path,
    method: Method,
    common: &Common,
) -> anyhow::Result<()> {
    common.say(format!("model    {}", method.registrar.describe()));
    let path = out.join(args.batch.file("results", "csv"));
    let index = out.join(args.batch.file("index", "html"));
    let listed = || tasks.iter().flat_map(|task| task.files.paths());
    let inputs = || listed().chain([source]);
    own::check(&path, own::is_table, inputs(), common.force)?;
    own::check(&index, own::is_page, inputs(), common.force)?;
    let outcomes = plan::done(&mut tasks, &method, common.force)?;
    std::fs::create_dir_all(out).map_err(|e| Error::io(out, e))?;
    let mut results = Results { path, outcomes };
    // Before the first pair: a folder that cannot be written shows now.
    results.write(&tasks)?;
    let waiting = results.waiting();
    say_plan(source, [tasks.len(), waiting.len()], common);
    let stop = signals::stop_flag()?;
    let batch = Arc::new(Batch::new(tasks, method, common.clone(), stop));
    let jobs = args.batch.jobs.get().min(waiting.len());
    let total = waiting.len();
    for (ended, finished) in batch.start(waiting, jobs).enumerate() {
        let task = &batch.tasks[finished.task];
        say(task, &finished, [ended + 1, total], common);
        results.outcomes[finished.task] = Some(finished.outcome);
        results.write(&batch.tasks)?;
    }
    let title = source.display().to_string();
    index::write(&index, &title, &results.ended(&batch.tasks))?;
    let (table, index) = (results.path.display(), index.display());
    common.say(format!("written  {table} {index}"));
    results.check(&batch.tasks)
}

/// A line about how many pairs there are, and how many of them wait.
fn say_plan(source: &Path, [all, waiting]: [usize; 2], common: &Common) {
    let skipped = match common.force {
        true => "",
        false => " and skipped (--force registers them again)",
    };
    common.say(format!(
        "pairs    {all} in {}, {} of them done before{skipped}",
        source.display(),
        all - waiting
    ));
}

/// Of the first image that can be read; a pair of the other dimension fails later, alone.
fn dimension(tasks: &[Task], reading: &ReadArgs) -> Result<Dimension> {
    let mut problem = None;
    for task in tasks {
        match ScanFile::read(&task.files.fixed, task.files.frames[0], reading.fixed()) {
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
        Outcome::Failed(error) => {
            // Nobody may be listening any more; the table has the error too.
            let _ = writeln!(std::io::stderr(), "hmorph: pair {id}: {error}");
        }
        Outcome::Done(record) => {
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
            for note in [&record["note"], &record["landmarks"]["note"]] {
                if let Some(note) = note.as_str() {
                    common.say(note);
                }
            }
        }
    }
}
