//! `hmorph register`: from files to folders of results.

mod batch;
mod channel;
mod file_records;
mod inputs;
mod landmarks;
mod outputs;
mod page;
mod pair;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, ensure};

use super::options::{INPUTS, OUTPUT};
use super::output::OutputArgs;
use super::points::PointSpace;
use super::reading::ReadArgs;
use super::registrar::{ModelArgs, Registrar, Stages};
use super::{Common, record};
use crate::dataset::stem;
use crate::register::ResultFolder;
use crate::volume::{Dimension, Format};
use batch::BatchArgs;
use channel::ChannelFiles;
use file_records::FileRecords;
use inputs::{Inputs, PairFiles, check_spacing};
use pair::Method;

/// Register a moving image to a fixed image
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hmorph register atlas.nii.gz patient.nii.gz                      writes patient_to_atlas/
  hmorph register -f atlas.nii.gz -m patient.nii.gz -o out \\
      --fixed-labels a.nii.gz --moving-labels p.nii.gz
  hmorph register a.nii.gz b.nii.gz --model runs/brains/best.safetensors --init centre
  hmorph register a.nii.gz b.nii.gz -o out --fixed-points a.csv --moving-points b.csv
  hmorph register fixed_ct.nii.gz moving_ct.nii.gz --window -150,250
  hmorph register slide_a.png slide_b.png --spacing 0.25 --allow-flip
  hmorph register ed.nii.gz es.nii.gz --in-plane                   few thick slices
  hmorph register t1.nii.gz bold.nii.gz --moving-frame 0 -o out    hmorph apply moves all frames
  hmorph register bold.nii.gz bold.nii.gz --all-frames --linear rigid --no-network --refine 0 \\
      -o realigned
  hmorph register --pairs pairs.csv -o results --jobs 4            a folder results/ID per pair
  hmorph register --pairs pairs.csv -o results --shard 3/8         the third of eight parts

Directions and units:
  FIXED stays, MOVING is brought to it. forward.nii.gz is a pull on the fixed grid: the moved image
  at a place x of the fixed world is the moving image at x + u(x). So images and labels of MOVING
  come to FIXED by forward, and landmarks of MOVING by inverse (one of FIXED goes to MOVING by
  forward).

Results in DIR:
  moved.nii.gz          MOVING on the grid of FIXED, interpolated once, float32 unless --dtype says
                        otherwise; colours (RGB NIfTI) are compared by their luminance and moved
                        channel by channel
  moved.png             the same as a picture with all its channels, where MOVING is a PNG
  moved_labels.nii.gz   labels of MOVING on the grid of FIXED, by vote of the voxels around (with
                        --moving-labels)
  moved_points.csv      landmarks of MOVING in the space of FIXED (with --moving-points)
  forward.nii.gz        displacement on the grid of FIXED, LPS mm: 5-D NIfTI, vector intent, as ITK,
                        ANTs and Slicer
  inverse.nii.gz        displacement on the grid of MOVING that brings FIXED to it, LPS mm
  affine.mat            the linear part alone (ITK, FIXED to MOVING, LPS mm); forward and inverse
                        already contain it
  qc.png                fixed, moving, moved, difference, deformed grid and Jacobian determinant of
                        the deformation alone, without the affine, as in report.html and run.json
  report.html           a page for any browser: slices to blink, fade and check, grid, Jacobian,
                        measures, settings
  run.json              inputs, command, version, seed, device, settings, measures before and after,
                        time, memory

4-D images: --fixed-frame and --moving-frame choose the volumes that are registered; all volumes of
MOVING follow the transform of one by hmorph apply -t DIR -i MOVING -r FIXED. With --all-frames each
volume gets a transform of its own: DIR/frame-0000 and so on are folders as above, DIR/moved.nii.gz
has all moved volumes, DIR/results.csv their measures.

With --pairs or --all-frames, pairs that are done (same inputs, model and settings) are skipped, so
that an interrupted command goes on. A pair that fails does not stop the others: its error is in the
table and on standard error, and the exit code is 1. results.csv (with --shard results-K-of-N.csv)
has a row per pair: status, seconds, peak memory of the process so far in bytes, and every measure
before and after. After the parts, the same command without --shard collects all rows.")]
pub struct RegisterArgs {
    /// Image that stays
    #[arg(value_name = "FIXED", required_unless_present_any = ["fixed", "pairs"])]
    pub fixed_image: Option<PathBuf>,
    /// Image that is brought to it
    #[arg(value_name = "MOVING", required_unless_present_any = ["moving", "pairs"])]
    pub moving_image: Option<PathBuf>,
    /// The same as FIXED, by name
    #[arg(short = 'f', long, value_name = "FILE", requires = "moving", help_heading = INPUTS)]
    #[arg(conflicts_with_all = ["fixed_image", "moving_image"])]
    pub fixed: Option<PathBuf>,
    /// The same as MOVING, by name
    #[arg(short = 'm', long, value_name = "FILE", requires = "fixed", help_heading = INPUTS)]
    pub moving: Option<PathBuf>,
    #[command(flatten)]
    pub batch: BatchArgs,
    /// Folder of results [default: MOVING_to_FIXED, by the names of the files]
    #[arg(short, long, value_name = "DIR", help_heading = OUTPUT)]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub reading: ReadArgs,
    /// Labels of FIXED, on its grid, beside --moving-labels: Dice before and after is measured
    #[arg(long, value_name = "FILE", requires = "moving_labels", help_heading = INPUTS)]
    pub fixed_labels: Option<PathBuf>,
    /// Labels of MOVING, on its grid: they are moved
    #[arg(long, value_name = "FILE", help_heading = INPUTS)]
    pub moving_labels: Option<PathBuf>,
    /// Label map on the grid of FIXED: only where it is not 0 are the images compared
    #[arg(long, value_name = "FILE", help_heading = INPUTS)]
    pub fixed_mask: Option<PathBuf>,
    /// The same for MOVING
    #[arg(long, value_name = "FILE", help_heading = INPUTS)]
    pub moving_mask: Option<PathBuf>,
    /// Two more scans of the same subjects, say T2 beside T1, each in the world of the first; the optimisation looks at
    /// all of them, and at these with WEIGHT times what the first count [default weight: 1]; repeat it for more
    #[arg(long = "channel", value_name = "FIXED,MOVING[,WEIGHT]", help_heading = INPUTS)]
    #[arg(conflicts_with_all = ["pairs", "all_frames"])]
    pub channels: Vec<ChannelFiles>,
    /// Landmarks of FIXED (CSV x,y,z,name), counterparts of those of MOVING: their distance is measured in mm of the
    /// moving world, before and after; they are carried forward to MOVING and compared there
    #[arg(long, value_name = "FILE", requires = "moving_points", help_heading = INPUTS)]
    pub fixed_points: Option<PathBuf>,
    /// Landmarks of MOVING: they are moved to FIXED
    #[arg(long, value_name = "FILE", help_heading = INPUTS)]
    pub moving_points: Option<PathBuf>,
    /// What the numbers of landmark files are, read and written
    #[arg(long, value_enum, default_value_t, help_heading = INPUTS)]
    pub points_space: PointSpace,
    /// Which volume of a 4-D FIXED, counted from 0
    #[arg(long, value_name = "N", visible_alias = "frame", help_heading = INPUTS)]
    pub fixed_frame: Option<usize>,
    /// Which volume of a 4-D MOVING, counted from 0
    #[arg(long, value_name = "N", help_heading = INPUTS)]
    pub moving_frame: Option<usize>,
    #[command(flatten)]
    pub output: OutputArgs,
    /// Leave out report.html
    #[arg(long, help_heading = OUTPUT)]
    pub no_report: bool,
}

/// Runs `hmorph register`.
///
/// # Errors
/// Inputs that cannot be read or do not fit together; results that cannot be written; pairs of a list that failed.
pub fn run(args: &RegisterArgs, common: &Common) -> anyhow::Result<()> {
    match (&args.batch.pairs, args.batch.all_frames) {
        (Some(list), _) => batch::run_list(args, list, common),
        (None, true) => batch::run_frames(args, common),
        (None, false) => run_pair(args, common),
    }
}

fn run_pair(args: &RegisterArgs, common: &Common) -> anyhow::Result<()> {
    let started = Instant::now();
    let files = args.files()?;
    let out = args.out_of(&files);
    ensure!(
        Format::of(&out).is_err() || out.is_dir(),
        "-o {}: a registration is a folder of results, of which moved.nii.gz is one; name a folder",
        out.display()
    );
    ResultFolder::check(&out, common.force)?;
    check_spacing(&args.reading, std::iter::once(&files))?;
    let inputs = Inputs::read(&files, &args.reading, args.points_space)?;
    common.say(format!("fixed    {}", inputs.fixed.describe()));
    common.say(format!("moving   {}", inputs.moving.describe()));
    let method = args.method(inputs.fixed.geometry().dimension, common)?;
    common.say(format!("model    {}", method.registrar.describe()));
    let registered = pair::register(inputs, &method, common, started)?;
    let record = registered.write(&out, common.force, &method, common)?;
    outputs::say(&registered, &record, common);
    let names = record["files"].as_array().into_iter().flatten();
    let names: Vec<&str> = names.filter_map(|name| name.as_str()).collect();
    common.say(format!("written  {}: {}", out.display(), names.join(" ")));
    Ok(())
}

impl RegisterArgs {
    /// The folder of results.
    fn out_of(&self, files: &PairFiles) -> PathBuf {
        let named = || format!("{}_to_{}", stem(&files.moving), stem(&files.fixed)).into();
        self.out.clone().unwrap_or_else(named)
    }

    /// The files of the pair; clap lets no other combination through.
    fn files(&self) -> anyhow::Result<PairFiles> {
        let fixed = self.fixed.as_ref().or(self.fixed_image.as_ref());
        let moving = self.moving.as_ref().or(self.moving_image.as_ref());
        let (fixed, moving) = fixed
            .zip(moving)
            .context("name a fixed and a moving image")?;
        Ok(PairFiles {
            fixed: fixed.clone(),
            moving: moving.clone(),
            frames: [self.fixed_frame, self.moving_frame],
            shared: [None, None],
            fixed_labels: self.fixed_labels.clone(),
            moving_labels: self.moving_labels.clone(),
            fixed_mask: self.fixed_mask.clone(),
            moving_mask: self.moving_mask.clone(),
            fixed_points: self.fixed_points.clone(),
            moving_points: self.moving_points.clone(),
            channels: self.channels.clone(),
        })
    }

    /// Loads the model for images of this dimension.
    fn method(&self, dimension: Dimension, common: &Common) -> anyhow::Result<Method> {
        let registrar = Registrar::new(&self.model, dimension, Stages::All, common)?;
        ensure!(
            self.channels.is_empty() || registrar.refines(),
            "--channel is for the optimisation, which --refine 0 does without; leave one of them out"
        );
        let mut model = registrar.record();
        model["file"] = self.model.model.as_deref().map(record::file).into();
        Ok(Method {
            registrar,
            model,
            reading: self.reading,
            output: self.output,
            points_space: self.points_space,
            report: !self.no_report,
            files: FileRecords::default(),
        })
    }
}
