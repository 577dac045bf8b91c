//! `hmorph train` and `hmorph finetune`.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::common::SettingsArgs;
use super::progress::Progress;
use super::{Common, dry_run, record, signals};
use crate::config::RunConfig;
use crate::dataset::{MixtureConfig, Mode, Split};
use crate::device;
use crate::interop;
use crate::model::WeightsFile;
use crate::train::{Checkpoint, Ending, RunFolder, RunState, Session, train};

/// Train a registration network from scratch
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hmorph train --config quickstart -o runs/first
  hmorph train --config voxelmorph-3d --set data.manifest=scans.csv --set train.epochs=50 -o runs/brains
  hmorph train --config my.toml -o runs/mine --dry-run     the plan, the memory and the time, nothing written
  hmorph train --config my.toml -o runs/mine               the same command continues an interrupted run

The run folder:
  config.toml           the settings in full
  split.csv             which image trains, validates and tests, by subject
  metrics.csv           every few steps: each term of the loss by kind (unweighted), learning rate, time, memory
  validation.csv        Dice before and after, loss and folded voxels of held-out pairs
  plots/                curves of the loss, of its terms and of Dice
  checkpoints/          the last two and the best: weights, optimiser and state, to continue from
  best.safetensors      the best weights: by validation Dice where labels exist, else by validation loss
  last.safetensors      the newest weights
  run.json              command, version, seed, device, how it ended, time, memory

Ctrl-C, SIGTERM and SIGHUP save a checkpoint and end the program with exit code 1; the same command continues, and the
result is the same as without the interruption (bit for bit on the CPU). With more train.epochs it continues a finished run,
too, if the learning rate is constant; where it falls, go on with hmorph finetune. Under SLURM, ask for the signal ahead of the
time limit, requeue the job, and let the program take the place of the shell: #SBATCH --signal=B:TERM@120 --requeue,
and exec hmorph ... as the last line (or srun hmorph ..., without B:)")]
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
  hmorph finetune --config my.toml --weights pretrained.safetensors --set 'train.freeze=[\"^encoder\"]' -o runs/head

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
        let (session, _) = plan.prepare(common)?;
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
        let (session, resume) = self.prepare(common)?;
        let from = resume.as_ref().map(|checkpoint| checkpoint.state.step);
        let folder = RunFolder::open(out, &session, from, force)?;
        run_in_folder(&session, source, &folder, resume, (common, stop))
    }

    /// Loads and describes everything; writes nothing.
    fn prepare(self, common: &Common) -> anyhow::Result<(Session, Option<Checkpoint>)> {
        let resume = RunFolder::find(self.out, &self.settings, self.start.as_ref(), self.force)?;
        let (device, others) = common.devices()?;
        let session = Session::prepare(self.settings, self.start, device)?.share_with(others)?;
        describe(&session, common);
        if let Some(checkpoint) = &resume {
            common.say(format!("continuing at step {}", checkpoint.state.step));
        }
        Ok((session, resume))
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
    report(path, ending, &state, common);
    if ending == Ending::Interrupted {
        bail!(
            "stopped at step {} of {}; the same command continues",
            state.step,
            session.config.train.steps()
        );
    }
    Ok(())
}

fn facts(ending: Ending, state: &RunState) -> Value {
    let ending = match ending {
        Ending::Complete => "complete",
        Ending::EarlyStop => "early stop",
        Ending::Interrupted => "interrupted",
    };
    json!({
        "ending": ending, "steps": state.step, "seconds": state.seconds,
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
    record::write(&folder.join("run.json"), common, facts)?;
    Ok(())
}

fn describe(session: &Session, common: &Common) {
    let config = &session.config;
    if let Some(dataset) = &session.dataset {
        for (name, split) in [
            ("training", Split::Train),
            ("validation", Split::Validation),
            ("test", Split::Test),
        ] {
            let (subjects, images) = (dataset.subjects(split), dataset.members(split).len());
            common.say(format!("{name:<11}{images} images of {subjects} subjects"));
        }
        for note in dataset.notes() {
            common.say(format!("note: {note}"));
        }
    }
    let terms: Vec<String> = config
        .loss
        .terms()
        .iter()
        .map(|used| format!("{} x {}", used.weight, used.name))
        .collect();
    let (steps, batch) = (config.train.steps(), config.train.batch);
    common.say(format!("grid       {:?} voxels", session.shape));
    common.say(format!("mixture    {}", mixture(&config.mixture)));
    if let Some(unreached) = config.mixture.alpha.unreached(steps) {
        common.say(format!("note: {unreached}"));
    }
    common.say(format!("loss       {}", terms.join(" + ")));
    common.say(format!("steps      {steps} of {batch} pairs"));
    if session.synthesises_on_device() {
        common.say("synthesis  on the device");
    }
    let devices = session.devices().count();
    if devices > 1 {
        common.say(format!("devices    {devices}, which share each batch"));
    }
}

/// Which pairs train, in words.
fn mixture(config: &MixtureConfig) -> String {
    let what = match config.mode {
        Mode::Sample => "share of real pairs",
        Mode::Weighted => "both kinds in every batch, weighted",
    };
    format!("alpha {} ({what})", config.alpha)
}

fn report(folder: &Path, ending: Ending, state: &RunState, common: &Common) {
    if let Some(best) = state.best {
        common.say(format!(
            "best validation score {best:.4} (Dice, or minus the loss without labels) at step {}: {}",
            state.best_step,
            folder.join("best.safetensors").display()
        ));
    }
    let what = match ending {
        Ending::Complete => "complete",
        Ending::EarlyStop => "stopped early: no better validation",
        Ending::Interrupted => "interrupted",
    };
    let time = dry_run::duration(state.seconds);
    common.say(format!("{what} after {} steps, {time}", state.step));
}
