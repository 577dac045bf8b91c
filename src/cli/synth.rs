//! `hmorph synth`: synthetic pairs as files.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::json;

use super::common::SettingsArgs;
use super::progress::Progress;
use super::{Common, record, signals};
use crate::config::LabelOrigin;
use crate::dataset::Dataset;
use crate::error::Error;
use crate::register::{RECORD, ResultFolder};
use crate::synth::SynthSet;
use crate::train::Synthesis;

/// Write synthetic image pairs with their label maps and true fields
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hmorph synth --config quickstart -o pairs --count 20
  hmorph synth --config synthmorph-shapes-2d --set synth_labels.shape=[128,128] -o shapes --seed 7
  hmorph synth --config quickstart --set 'synth_labels.source=\"maps/*.nii.gz\"' \\
      --set synth_labels.shape=[160,192] -o out

Of the configuration, [synth], [synth_labels], model.dimension and seed count (and [data] where the
label maps or the grid are those of the data). Pair N of a seed is the same whatever the count and
the threads; training with that seed meets the same pairs, if the grid is one that its network needs
no padding for. A run of hmorph finetune has another seed for them, which its run.json names
(synthesis_seed).

Files in DIR:
  pair-NNNN/fixed.nii.gz, moving.nii.gz                 images, 0 to 1
  pair-NNNN/fixed_labels.nii.gz, moving_labels.nii.gz   their label maps, 0 is background
  pair-NNNN/true_field.nii.gz   displacement on the fixed grid, LPS mm: moving(x + u(x)) = fixed(x)
  pairs.csv                     the list that hmorph eval --pairs reads
  preview.png                   a row a pair: fixed, moving, their labels, length of the true field
  synth.toml, run.json          settings; command, version, seed, time, memory")]
pub struct SynthArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Folder of the pairs, which appears when all are made
    #[arg(short, long, value_name = "DIR")]
    pub out: PathBuf,
    /// Number of pairs
    #[arg(short = 'n', long, value_name = "N", default_value_t = 8)]
    pub count: usize,
}

/// Runs `hmorph synth`.
///
/// # Errors
/// Settings without synthesis, label maps that cannot be used, a folder that holds something else, a full disk.
pub fn run(args: &SynthArgs, common: &Common) -> anyhow::Result<()> {
    let started = Instant::now();
    ResultFolder::check(&args.out, common.force)?;
    let synthesis = plan(args, common)?;
    let set = SynthSet {
        config: &synthesis.config,
        source: &synthesis.source,
        geometry: synthesis.geometry.clone(),
        seed: synthesis.seed,
        count: args.count,
    };
    ensure!(args.count > 0, "--count 0: expected at least 1 pair");
    let stop = signals::stop_flag()?;
    let folder = ResultFolder::new(&args.out, common.force)?;
    let mut progress = Progress::new(common, "pair", args.count as u64, 0);
    let written = set.write(&folder.path(""), |done| {
        progress.advance(done as u64, "");
        match stop.load(Ordering::Relaxed) {
            true => Err(Error::invalid("stopped; nothing was kept")),
            false => Ok(()),
        }
    });
    progress.finish();
    written?;
    let facts = json!({
        "inputs": { "config": args.settings.config },
        "seed": set.seed,
        "settings": { "synth": set.config, "count": set.count },
        "grid": record::grid(&set.geometry),
        "seconds": started.elapsed().as_secs_f64(),
        "files": folder.names()?,
    });
    record::write(&folder.path(RECORD), common, facts)?;
    folder.finish()?;
    let out = args.out.display();
    common.say(format!("written  {out}: {} pairs, preview.png", args.count));
    Ok(())
}

fn plan(args: &SynthArgs, common: &Common) -> anyhow::Result<Synthesis> {
    let settings = args.settings.load(common)?;
    let labels = &settings.synth_labels;
    let of_data = labels.source == LabelOrigin::Data || labels.shape.is_none();
    let dataset = match &settings.data {
        Some(data) if of_data => Some(Dataset::load(data, 1)?),
        _ => None,
    };
    let synthesis = Synthesis::plan(&settings, dataset.as_ref(), 1, settings.seed)?;
    synthesis.with_context(|| {
        format!(
            "{}: no [synth] section, so there is nothing to make pairs by; take a preset such as quickstart, or add \
             the section",
            args.settings.config
        )
    })
}
