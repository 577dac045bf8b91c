//! `hmorph train` and `hmorph finetune`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, bail, ensure};

use super::Common;
use super::progress::Progress;
use crate::config::{self, RunConfig};
use crate::dataset::{Loader, Split};
use crate::eval::peak_memory_bytes;
use crate::model::WeightsFile;
use crate::train::{Checkpoint, Ending, RunState, Session, load_last, time_steps, train};

/// Train a registration network from scratch
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hmorph train --config quickstart -o runs/first
  hmorph train --config voxelmorph-3d --set data.manifest=scans.csv --set train.epochs=50 -o runs/brains
  hmorph train --config my.toml -o runs/mine --dry-run     the plan, the memory and the time, nothing written
  hmorph train --config my.toml -o runs/mine               the same command continues an interrupted run

The run folder holds config.toml, run.json, metrics.csv, validation.csv, split.csv, checkpoints/,
best.safetensors (by validation Dice where labels exist, else by loss), last.safetensors and plots/.")]
pub struct TrainArgs {
    /// Preset name (see `hmorph config`) or TOML file
    #[arg(long, value_name = "NAME|FILE")]
    pub config: String,
    /// Override one setting; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
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
      --set data.manifest=scans.csv --set data.n_train=10 --set mixture.alpha=0.9 -o runs/finetuned
  hmorph finetune --config my.toml --weights pretrained.safetensors --set 'train.freeze=[\"^unet.encoder\"]' -o runs/head

The network comes from the weights file: the [model] section of the configuration is ignored.")]
pub struct FinetuneArgs {
    #[command(flatten)]
    pub train: TrainArgs,
    /// Weights to start from
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
}

/// Runs `hmorph train`.
pub fn run(args: &TrainArgs, common: &Common) -> anyhow::Result<()> {
    execute(args, None, common)
}

/// Runs `hmorph finetune`.
pub fn run_finetune(args: &FinetuneArgs, common: &Common) -> anyhow::Result<()> {
    let weights = WeightsFile::read(&args.weights)?;
    execute(&args.train, Some(weights), common)
}

fn execute(args: &TrainArgs, start: Option<WeightsFile>, common: &Common) -> anyhow::Result<()> {
    let mut settings: RunConfig = config::load(&args.config, &args.overrides)?;
    if let Some(seed) = common.seed {
        settings.seed = seed;
    }
    if let Some(weights) = &start {
        settings.model = weights.card.config.clone();
    }
    let resume = if args.dry_run {
        None
    } else {
        continued(&args.out, &settings, common)?
    };
    let session = Session::prepare(settings, start, common.device()?)?;
    describe(&session, common);
    if args.dry_run {
        return dry_run(&session);
    }
    write_plan(&session, &args.out)?;
    let stop = stop_on_signals()?;
    let mut progress = Progress::new(
        &session,
        common.quiet,
        resume.as_ref().map(|c| c.state.step),
    );
    let outcome = train(&session, &args.out, resume, &stop, &mut progress);
    progress.finish();
    let (ending, state) = outcome?;
    write_run_json(&session, &args.out, ending, &state)?;
    report(&args.out, ending, &state, common);
    if ending == Ending::Interrupted {
        bail!("stopped at step {}; the same command continues", state.step);
    }
    Ok(())
}

/// The checkpoint to continue from; refuses a folder that holds something else.
fn continued(
    folder: &Path,
    settings: &RunConfig,
    common: &Common,
) -> anyhow::Result<Option<Checkpoint>> {
    if common.force && folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let stored = folder.join("config.toml");
    if !stored.exists() {
        let empty = !folder.exists()
            || std::fs::read_dir(folder)
                .with_context(|| folder.display().to_string())?
                .next()
                .is_none();
        ensure!(
            empty,
            "{}: the folder is not empty and holds no run; choose another, or --force to replace it",
            folder.display()
        );
        return Ok(None);
    }
    let before: RunConfig = config::load(&stored.display().to_string(), &[])?;
    let mut comparable = settings.clone();
    // A run may be made longer.
    comparable.train.epochs = before.train.epochs;
    ensure!(
        before == comparable,
        "{}: this folder holds a run with other settings; choose another folder, or --force to start anew",
        stored.display()
    );
    let checkpoint = load_last(folder)?;
    if let Some(checkpoint) = &checkpoint {
        common.say(format!("continuing at step {}", checkpoint.state.step));
    }
    Ok(checkpoint)
}

fn describe(session: &Session, common: &Common) {
    let config = &session.config;
    if let Some(dataset) = &session.dataset {
        let count = |split| (dataset.subjects(split), dataset.members(split).len());
        for (name, split) in [
            ("training", Split::Train),
            ("validation", Split::Validation),
            ("test", Split::Test),
        ] {
            let (subjects, images) = count(split);
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
        .map(|(name, term)| format!("{} x {name}", term.weight()))
        .collect();
    common.say(format!("grid       {:?} voxels", session.shape));
    common.say(format!("loss       {}", terms.join(" + ")));
    common.say(format!(
        "steps      {} of {} pairs",
        config.train.steps(),
        config.train.batch
    ));
}

fn dry_run(session: &Session) -> anyhow::Result<()> {
    let model = session.model(&session.device)?;
    let parameters: usize = model
        .blocks()
        .map(|(_, b)| b.weight.shape().num_elements() + b.bias.shape().num_elements())
        .sum();
    println!("parameters {parameters}");
    let mut loader = Loader::new(session.sampler.clone(), 0, 0)?;
    let started = Instant::now();
    loader.next_batch()?;
    println!(
        "batch      {:.3} s to prepare",
        started.elapsed().as_secs_f64()
    );
    let seconds = time_steps(session, 3)?;
    let total = seconds * session.config.train.steps() as f64;
    println!("step       {seconds:.3} s (median of 3)");
    println!("in all     {} without validation", duration(total));
    if let Some(bytes) = peak_memory_bytes() {
        println!("memory     {:.2} GB at most", bytes as f64 / 1e9);
    }
    Ok(())
}

fn duration(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match minutes {
        0 => format!("{seconds:.0} s"),
        1..=119 => format!("{minutes} min"),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

fn write_plan(session: &Session, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let text = toml::to_string(&session.config)?;
    crate::volume::write_atomically(folder.join("config.toml"), |file| {
        use std::io::Write;
        file.write_all(text.as_bytes())
    })?;
    if let Some(dataset) = &session.dataset {
        dataset.write_split(&folder.join("split.csv"))?;
    }
    Ok(())
}

fn write_run_json(
    session: &Session,
    folder: &Path,
    ending: Ending,
    state: &RunState,
) -> anyhow::Result<()> {
    let json = serde_json::json!({
        "program": concat!("hmorph ", env!("CARGO_PKG_VERSION")),
        "command": std::env::args().collect::<Vec<_>>(),
        "ending": format!("{ending:?}"),
        "seed": session.config.seed,
        "device": format!("{:?}", session.device),
        "threads": rayon::current_num_threads(),
        "steps": state.step,
        "seconds": state.seconds,
        "best_score": state.best,
        "best_step": state.best_step,
        "peak_memory_bytes": peak_memory_bytes(),
    });
    let text = serde_json::to_string_pretty(&json)?;
    crate::volume::write_atomically(folder.join("run.json"), |file| {
        use std::io::Write;
        file.write_all(text.as_bytes())
    })?;
    Ok(())
}

/// Ctrl-C and SIGTERM ask the loop to save and stop; a second one ends the program at once.
fn stop_on_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(1);
        }
        eprintln!("\nstopping after this step; once more to stop at once");
    })?;
    Ok(stop)
}

fn report(folder: &Path, ending: Ending, state: &RunState, common: &Common) {
    if let Some(best) = state.best {
        common.say(format!(
            "best validation {best:.4} at step {}: {}",
            state.best_step,
            folder.join("best.safetensors").display()
        ));
    }
    let what = match ending {
        Ending::Complete => "complete",
        Ending::EarlyStop => "stopped early: no better validation",
        Ending::Interrupted => "interrupted",
    };
    common.say(format!(
        "{what} after {} steps, {}",
        state.step,
        duration(state.seconds)
    ));
}
