//! `hmorph eval`: how good registrations are, before and after.

mod aligned;
mod given;
mod held_out;
mod images;
mod label_names;
mod landmarks;
mod listed;
mod report;
mod unused;
mod walk;

use std::path::PathBuf;

use anyhow::{bail, ensure};
use serde_json::json;

use super::Common;
use super::options::{INPUTS, MEASURES, OUTPUT};
use super::output::LabelBetween;
use super::points::PointSpace;
use super::reading::ReadArgs;
use super::record;
use super::registrar::ModelArgs;
use super::signals;
use crate::dataset::Split;
use crate::eval::{Options, PairResult, Populations, Protocol};
use crate::metric::Metric;
use crate::register::{RECORD, ResultFolder};
use given::FieldUnits;

pub(super) use held_out::HeldOut;

/// Evaluate registrations of many pairs, by a model or by given transforms
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hmorph eval --pairs pairs.csv --model runs/brains/best.safetensors -o results
  hmorph eval --pairs pairs.csv --transforms ants/ -o results_ants       fields of any method
  hmorph eval --data runs/brains/config.toml --split test --count 100 \\
      --model runs/brains/best.safetensors -o results
  hmorph eval --pairs pairs.csv --transforms submission/ --protocol learn2reg -o results

pairs.csv has the columns fixed,moving and, where known,
fixed_labels,moving_labels,fixed_points,moving_points,fixed_mask,moving_mask,id,transform; paths
are relative to it. Intensities are measured within both masks and where both scans reach, Jacobians
within both masks, without masks on the whole grid of the fixed image. Landmarks are CSV x,y,z,name
in LPS mm (--points-space), or label volumes, where a landmark is the centre of its voxels; errors
are mm of the moving world.

Transforms are looked for in the column `transform`, then as DIR/ID.nii.gz, DIR/ID/forward.nii.gz,
DIR/MOVING_to_FIXED/forward.nii.gz and DIR/disp_ID.nii.gz. They are pulls on the fixed grid,
moved(x) = moving(x + u(x)): 5-D NIfTI in LPS mm, or with --field-units voxel 4-D NIfTI (x, y, z, 3)
in voxels, which the protocols of the challenges expect. The column may also name an affine or a
composite, as hmorph apply reads them.

The protocols of the challenges compare arrays voxel by voxel, as the challenges' programs do,
whatever headers say: images, labels and masks of a pair need one shape, landmarks are voxels of it,
and only the mask of the fixed image counts.

Without --transforms the network registers alone, as hmorph register --linear none --refine 0 does:
no linear stage unless --linear asks for it, no optimisation. `before` is what the network starts
from. With --data the pairs are held-out pairs of a training configuration, on its network grid and
prepared as it says; of a run's config.toml they are those of the split beside it, unless --set
data.manifest=FILE or data.images=PATTERN names others. Options that would do nothing, such as
--refine beside --data or --transforms, are refused.

Results in DIR: results.csv (a row per pair, structure and measure, before and after), pairs.csv (a
row per pair), summary.csv and summary.md (over pairs and per structure), a box plot (PNG) of each
measure that has a before and an after, from two pairs on, run.json.")]
pub struct EvalArgs {
    /// CSV of pairs
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "data",
        conflicts_with = "data"
    )]
    pub pairs: Option<PathBuf>,
    /// Training configuration (NAME or TOML) whose held-out pairs are registered
    #[arg(long, value_name = "CONFIG")]
    pub data: Option<String>,
    /// Override one setting of the configuration; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "data")]
    pub overrides: Vec<String>,
    /// Subjects of the configuration: test, validation or train
    #[arg(long, value_name = "SPLIT", default_value = "test", requires = "data")]
    pub split: Split,
    /// Number of pairs of the split, drawn by --seed
    #[arg(long, value_name = "N", default_value_t = 50, requires = "data")]
    pub count: usize,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub reading: ReadArgs,
    /// Between voxels of moved labels: vote (the label with most weight among the voxels around) or nearest (as with
    /// --data and in the protocols of challenges)
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "HOW",
        requires = "pairs",
        help_heading = MEASURES
    )]
    pub label_interpolation: LabelBetween,
    /// Folder of transforms to evaluate instead of a model
    #[arg(long, value_name = "DIR", conflicts_with_all = ["model", "data"], help_heading = INPUTS)]
    pub transforms: Option<PathBuf>,
    /// What the vectors of given transforms are [default: lps, with the protocol of a challenge voxel]
    #[arg(long, value_enum, value_name = "UNITS", help_heading = INPUTS)]
    pub field_units: Option<FieldUnits>,
    /// Rules: hmorph (every measure, mm), learn2reg, lumir (with --data where data.normalize is none)
    #[arg(long, value_parser = protocol, default_value = "hmorph", value_name = "RULES")]
    #[arg(help_heading = MEASURES)]
    pub protocol: Protocol,
    /// Labels to measure [default: those of each fixed image but 0]
    #[arg(long, value_delimiter = ',', value_name = "N,N,...", help_heading = MEASURES)]
    pub labels: Option<Vec<i32>>,
    /// Names of the labels for the tables: FreeSurfer's colour table, ITK-SNAP's label descriptions, or CSV label,name
    #[arg(long, value_name = "FILE", help_heading = MEASURES)]
    pub label_names: Option<PathBuf>,
    /// What the numbers of landmark files are [default: lps, with the protocol of a challenge voxel]
    #[arg(long, value_enum, conflicts_with = "data", help_heading = INPUTS)]
    pub points_space: Option<PointSpace>,
    /// Folder of results
    #[arg(short, long, value_name = "DIR", help_heading = OUTPUT)]
    pub out: PathBuf,
}

impl EvalArgs {
    fn field_units(&self) -> FieldUnits {
        self.field_units.unwrap_or(match self.protocol.challenge() {
            true => FieldUnits::Voxel,
            false => FieldUnits::Lps,
        })
    }

    fn points_space(&self) -> PointSpace {
        self.points_space
            .unwrap_or(match self.protocol.challenge() {
                true => PointSpace::Voxel,
                false => PointSpace::Lps,
            })
    }
}

fn protocol(text: &str) -> Result<Protocol, String> {
    let found = Protocol::ALL
        .into_iter()
        .find(|protocol| protocol.name() == text);
    found.ok_or_else(|| format!("expected {}", Protocol::ALL.map(Protocol::name).join(", ")))
}

/// What the pairs leave behind.
#[derive(Default)]
struct Outcome {
    rows: Vec<PairResult>,
    populations: Populations,
    /// What is wrong with pairs that could not be measured.
    failures: Vec<String>,
    /// Pairs that were left when a signal came.
    left: usize,
    /// What was evaluated, for `run.json`.
    facts: serde_json::Value,
}

impl Outcome {
    /// Nothing yet, of pairs with these fixed images.
    fn of_pairs(protocol: Protocol, fixed: &[String]) -> Self {
        Self {
            populations: match protocol {
                Protocol::Hmorph => Populations::expecting(fixed.iter().cloned()),
                Protocol::Learn2reg | Protocol::Lumir => Populations::default(),
            },
            ..Self::default()
        }
    }

    /// What is to be said of structures and landmarks that one side lacks: distances cannot count them.
    fn lost(&self) -> Vec<String> {
        let count = |lost: fn(Metric, f64) -> bool| {
            let after = |row: &PairResult| row.after.filter(|&after| lost(row.metric, after));
            self.rows.iter().filter_map(after).count()
        };
        let mut lines = Vec::new();
        let structures = count(|metric, after| metric == Metric::Hd95 && after.is_infinite());
        if structures > 0 {
            lines.push(format!(
                "{structures} structures are in only one of the fixed and the moved labels: their Dice is 0, and distances leave them out"
            ));
        }
        let landmarks = count(|metric, after| metric.of_landmarks() && after.is_nan());
        if landmarks > 0 {
            lines.push(format!(
                "{landmarks} landmarks are in only one of the fixed and the moved volumes: they have no error"
            ));
        }
        lines
    }

    /// Pairs that failed end the program with an error, once all others are on disk.
    fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.left == 0,
            "stopped; {} pairs were not measured",
            self.left
        );
        match self.failures.as_slice() {
            [] => Ok(()),
            [one] => bail!("{one}; all other pairs were measured"),
            [first, others @ ..] => bail!(
                "{first}; {} more failed (see {RECORD}), all others were measured",
                others.len()
            ),
        }
    }
}

/// Runs `hmorph eval`.
///
/// # Errors
/// Inputs that cannot be read or do not fit together; results that cannot be written.
pub fn run(args: &EvalArgs, common: &Common) -> anyhow::Result<()> {
    ResultFolder::check(&args.out, common.force)?;
    let names = args
        .label_names
        .as_deref()
        .map(label_names::read)
        .transpose()?;
    let options = Options {
        protocol: args.protocol,
        labels: args.labels.clone(),
        names: names.unwrap_or_default(),
    };
    let stop = signals::stop_flag()?;
    let mut outcome = match (&args.pairs, &args.data) {
        (Some(pairs), _) => listed::evaluate(args, pairs, &options, common, &stop)?,
        (None, Some(config)) => held_out::evaluate(args, config, &options, common, &stop)?,
        (None, None) => anyhow::bail!("name the pairs by --pairs or --data"),
    };
    outcome.rows.extend(outcome.populations.rows());
    if let (true, Some(first)) = (outcome.rows.is_empty(), outcome.failures.first()) {
        bail!("{first}");
    }
    ensure!(
        outcome.left == 0 || !outcome.rows.is_empty(),
        "stopped; nothing was measured yet"
    );
    ensure!(
        !outcome.rows.is_empty(),
        "nothing could be measured: the pairs have no labels or landmarks"
    );
    let folder = ResultFolder::new(&args.out, common.force)?;
    let mut files = report::write(&folder, &outcome.rows, args.protocol)?;
    files.push(RECORD.into());
    let facts = json!({ "protocol": args.protocol, "evaluated": outcome.facts, "files": files });
    record::write(&folder.path(RECORD), common, facts)?;
    folder.finish()?;
    common.say(report::table(&outcome.rows, args.protocol));
    for line in outcome.lost() {
        common.say(line);
    }
    common.say(format!(
        "written  {}: {}",
        args.out.display(),
        files.join(" ")
    ));
    outcome.check()
}
