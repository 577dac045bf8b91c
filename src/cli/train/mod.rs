//! `hmorph train` and `hmorph finetune`.

mod told;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::common::SettingsArgs;
use super::progress::Progress;
use super::{Common, dry_run, record, signals};
use crate::config::RunConfig;
use crate::device;
use crate::interop;
use crate::model::WeightsFile;
use crate::train::{Checkpoint, Ending, RunFolder, RunState, Session, train};

/// Name of the record of a run in its folder.
const RECORD: &str = "run.json";

/// Train a registration network from scratch
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hmorph train --config quickstart -o runs/first
  hmorph train --config voxelmorph-3d --set data.manifest=scans.csv -o runs/brains
  hmorph train --config my.toml -o runs/mine --dry-run     plan, memory and time, nothing written
  hmorph train --config my.toml -o runs/mine               again: continues an interrupted run

The run folder:
  config.toml           the settings in full
  split.csv             which image trains, validates and tests, by subject
  metrics.csv           every few steps: each term of the loss by kind (unweighted), learning rate,
                        time, memory
  validation.csv        Dice before and after, loss and folded voxels of held-out pairs
  plots/                curves of the loss, of its terms and of Dice
  checkpoints/          the last two and the best: weights, optimiser and state, to continue from
  best.safetensors      the best weights: by validation Dice where labels exist, else by validation
                        loss
  last.safetensors      the newest weights
  run.json              command, version, seed, device, how it ended, time, memory

Ctrl-C, SIGTERM and SIGHUP save a checkpoint and end the program with exit code 1; the same command
continues, and the result is the same as without the interruption (bit for bit on the CPU). With
more train.epochs it continues a finished run, too, if the learning rate is constant; where it
falls, go on with hmorph finetune. Under SLURM, let the tasks of a job array continue the run one
after another, each saved ahead of its time limit: #SBATCH --array=1-10%1 --signal=TERM@120, and
srun hmorph train ...; a task that finds the run complete ends at once")]
pub struct TrainArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Run folder; an interrupted run in it is continued
    #[arg(short, long, value_name = "DIR")]
    pub out: PathBuf,
    /// Print the plan, the memory and the time per step and in all; write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Train on from existing weights, on a mixture of real and synthetic images
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hmorph finetune --config hybridmorph-weighted --weights runs/synthetic/best.safetensors \\
      --set data.manifest=scans.csv --set data.n_train=10 --set mixture.alpha=0.9 \\
      --set train.epochs=100 -o runs/finetuned
  hmorph finetune --config my.toml --weights pretrained.safetensors \\
      --set 'train.freeze=[\"^encoder\"]' -o runs/head

The network comes from the weights file: the [model] section of the configuration is ignored.")]
pub struct FinetuneArgs {
    #[command(flatten)]
    pub train: TrainArgs,
    /// Weights to start from; also those of VoxelMorph (see hmorph import)
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
}

/// Runs `hmorph train`.
pub fn run(args: &TrainArgs, common: &Common) -> anyhow::Result<()> {
    execute(args, None, common)
}

/// Runs `hmorph finetune`.
pub fn run_finetune(args: &FinetuneArgs, common: &Common) -> anyhow::Result<()> {
    let weights = interop::read_weights(&args.weights)?;
    let file = args.weights.display();
    let on_cpu = burn::tensor::Device::flex();
    // Found here, a misfit can be blamed on the file.
    weights.model(&on_cpu).with_context(|| file.to_string())?;
    execute(&args.train, Some(weights), common)
}

fn execute(args: &TrainArgs, start: Option<WeightsFile>, common: &Common) -> anyhow::Result<()> {
    let plan = Plan {
        settings: settings(args, start.as_ref(), common)?,
        start,
        source: &args.settings.config,
        out: &args.out,
        force: common.force,
    };
    if args.dry_run {
        let resume = plan.find()?;
        let session = plan.prepare(resume.as_ref(), common)?;
        return dry_run::run(&session);
    }
    let stop = signals::stop_flag()?;
    plan.train(common, &stop)
}

/// A run that may begin, or go on, in its folder.
pub(super) struct Plan<'a> {
    pub settings: RunConfig,
    /// Weights to start from; fresh ones otherwise.
    pub start: Option<WeightsFile>,
    /// Where the settings come from, for `run.json`.
    pub source: &'a str,
    pub out: &'a Path,
    /// Replace a run in the folder.
    pub force: bool,
}

impl Plan<'_> {
    /// Trains until the steps are done.
    ///
    /// # Errors
    /// Settings, data or a folder that cannot be used; a run that fails, or that `stop` ends early.
    pub fn train(self, common: &Common, stop: &AtomicBool) -> anyhow::Result<()> {
        let (source, out, force) = (self.source, self.out, self.force);
        RunFolder::check_idle(out)?;
        let resume = self.find()?;
        if let Some((ending, state)) = self.over(resume.as_ref()) {
            told::report_again(out, ending, state, common);
            return Ok(());
        }
        let session = self.prepare(resume.as_ref(), common)?;
        let from = resume.as_ref().map(|checkpoint| checkpoint.state.step);
        let folder = RunFolder::open(out, &session, from, force)?;
        run_in_folder(&session, source, &folder, resume, (common, stop))
    }

    /// The checkpoint from which the run goes on.
    fn find(&self) -> crate::error::Result<Option<Checkpoint>> {
        RunFolder::find(self.out, &self.settings, self.start.as_ref(), self.force)
    }

    /// How the run ended and where, if nothing is left to do in its folder, the record of it included, which is written last.
    fn over<'c>(&self, last: Option<&'c Checkpoint>) -> Option<(Ending, &'c RunState)> {
        let last = last?;
        let ending = last.ending(&self.settings.train)?;
        let record = std::fs::read_to_string(self.out.join(RECORD)).ok()?;
        let record: Value = serde_json::from_str(&record).ok()?;
        (record["ending"] == name(ending)).then_some((ending, &last.state))
    }

    /// Loads and describes everything; writes nothing.
    fn prepare(self, resume: Option<&Checkpoint>, common: &Common) -> anyhow::Result<Session> {
        let (device, others) = common.devices()?;
        let session = Session::prepare(self.settings, self.start, device)?.share_with(others)?;
        told::describe(&session, common);
        let train = &session.config.train;
        if let Some(checkpoint) = resume.filter(|last| last.ending(train).is_none()) {
            common.say(format!("continuing at step {}", checkpoint.state.step));
        }
        Ok(session)
    }
}

fn settings(
    args: &TrainArgs,
    start: Option<&WeightsFile>,
    common: &Common,
) -> anyhow::Result<RunConfig> {
    let mut settings = args.settings.load(common)?;
    if let Some(weights) = start {
        settings.model = weights.card.config.clone();
    }
    settings.validate()?;
    Ok(settings)
}

fn run_in_folder(
    session: &Session,
    source: &str,
    folder: &RunFolder,
    resume: Option<Checkpoint>,
    (common, stop): (&Common, &AtomicBool),
) -> anyhow::Result<()> {
    let done = resume.as_ref().map_or(0, |c| c.state.step);
    let path = folder.path();
    write_record(
        session,
        source,
        path,
        json!({ "ending": "running" }),
        common,
    )?;
    let mut progress = Progress::new(common, "step", session.config.train.steps(), done);
    // A device that fails is recorded like any other error.
    let outcome = device::guard(&common.device, || {
        train(session, path, resume, stop, &mut progress)
    })
    .flatten();
    progress.finish();
    let (ending, state) = outcome.inspect_err(|error| {
        let facts = json!({ "ending": "failed", "error": error.to_string() });
        // The first error is the one to report.
        let _ = write_record(session, source, path, facts, common);
    })?;
    write_record(session, source, path, facts(ending, &state), common)?;
    told::report(path, ending, &state, common);
    if ending == Ending::Interrupted {
        bail!(
            "stopped at step {} of {}; the same command continues",
            state.step,
            session.config.train.steps()
        );
    }
    Ok(())
}

/// As the record of a run has it.
fn name(ending: Ending) -> &'static str {
    match ending {
        Ending::Complete => "complete",
        Ending::EarlyStop => "early stop",
        Ending::Interrupted => "interrupted",
    }
}

fn facts(ending: Ending, state: &RunState) -> Value {
    json!({
        "ending": name(ending), "steps": state.step, "seconds": state.seconds,
        "best_score": state.best, "best_step": state.best.map(|_| state.best_step),
    })
}

/// `run.json`; its settings are in `config.toml` beside it, and here once more for readers of one file.
fn write_record(
    session: &Session,
    source: &str,
    folder: &Path,
    ending: Value,
    common: &Common,
) -> anyhow::Result<()> {
    let config = &session.config;
    let weights = session.start.as_ref().map(
        |weights| json!({ "provenance": weights.card.provenance, "crc32": weights.checksum() }),
    );
    let devices: Vec<String> = session.devices().map(device::name).collect();
    let mut facts = json!({
        "inputs": { "config": source, "weights": weights },
        "seed": config.seed,
        "synthesis_seed": session.synthesis_seed(),
        "device": devices.join(", "),
        "settings": config,
    });
    if let (Value::Object(facts), Value::Object(ending)) = (&mut facts, ending) {
        facts.extend(ending);
    }
    record::write(&folder.join(RECORD), common, facts)?;
    Ok(())
}
