//! `hmorph register`: one pair, from files to a folder of results.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use rayon::prelude::*;
use serde_json::{Value, json};

use super::Common;
use super::record;
use super::registrar::{ModelArgs, Registrar, Stages};
use super::scan::ScanFile;
use crate::dataset::stem;
use crate::eval::peak_memory_bytes;
use crate::plot::Picture;
use crate::plot::qc::{QcInput, QcLabels, QcOptions, qc_page};
use crate::register::{
    Assessed, Assessment, Fill, Quality, RECORD, Registration, ResultFolder, assess,
};
use crate::volume::{
    DType, LabelMap, WorldAffine, probe, write_affine, write_field, write_image, write_labels,
};

/// Register a moving image to a fixed image
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hmorph register atlas.nii.gz patient.nii.gz                      writes patient_to_atlas/
  hmorph register -f atlas.nii.gz -m patient.nii.gz -o out --fixed-labels a.nii.gz --moving-labels p.nii.gz
  hmorph register a.nii.gz b.nii.gz --model runs/brains/best.safetensors --init centre

Directions and units:
  FIXED stays, MOVING is brought to it. forward.nii.gz is a pull on the fixed grid: the moved image at a place x of
  the fixed world is the moving image at x + u(x). So images and labels of MOVING come to FIXED by forward, and
  landmarks of MOVING by inverse (a landmark of FIXED goes to MOVING by forward).

Results in DIR:
  moved.nii.gz          MOVING on the grid of FIXED, interpolated once, float32 unless --dtype says otherwise
  moved_labels.nii.gz   labels of MOVING on the grid of FIXED, nearest voxel (with --moving-labels)
  forward.nii.gz        displacement on the grid of FIXED, LPS mm: 5-D NIfTI, vector intent, as ITK, ANTs and Slicer
  inverse.nii.gz        displacement on the grid of MOVING that brings FIXED to it, LPS mm
  affine.mat            the linear part alone (ITK, FIXED to MOVING, LPS mm); forward and inverse already contain it
  qc.png                fixed, moving, moved, difference, deformed grid and Jacobian determinant
  run.json              inputs, command, version, seed, device, settings, measures before and after, time, memory")]
pub struct RegisterArgs {
    /// Image that stays
    #[arg(value_name = "FIXED", required_unless_present = "fixed")]
    pub fixed_image: Option<PathBuf>,
    /// Image that is brought to it
    #[arg(value_name = "MOVING", required_unless_present = "moving")]
    pub moving_image: Option<PathBuf>,
    /// The same as FIXED, by name
    #[arg(short = 'f', long, value_name = "FILE", requires = "moving")]
    #[arg(conflicts_with_all = ["fixed_image", "moving_image"])]
    pub fixed: Option<PathBuf>,
    /// The same as MOVING, by name
    #[arg(short = 'm', long, value_name = "FILE", requires = "fixed")]
    pub moving: Option<PathBuf>,
    /// Folder of results [default: MOVING_to_FIXED, by the names of the files]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub model: ModelArgs,
    /// Labels of FIXED, on its grid: Dice before and after is measured
    #[arg(long, value_name = "FILE")]
    pub fixed_labels: Option<PathBuf>,
    /// Labels of MOVING, on its grid: they are moved
    #[arg(long, value_name = "FILE")]
    pub moving_labels: Option<PathBuf>,
    /// Label map on the grid of FIXED: only where it is not 0 are the images compared
    #[arg(long, value_name = "FILE")]
    pub fixed_mask: Option<PathBuf>,
    /// The same for MOVING
    #[arg(long, value_name = "FILE")]
    pub moving_mask: Option<PathBuf>,
    /// Which volume of a 4-D FIXED, counted from 0
    #[arg(long, value_name = "N", visible_alias = "frame")]
    pub fixed_frame: Option<usize>,
    /// Which volume of a 4-D MOVING, counted from 0
    #[arg(long, value_name = "N")]
    pub moving_frame: Option<usize>,
    /// Value of moved.nii.gz beyond the moving image: a number, min (its smallest value) or edge
    #[arg(
        long,
        value_name = "VALUE",
        default_value = "min",
        allow_hyphen_values = true
    )]
    pub fill: Fill,
    /// Voxel type of moved.nii.gz: float32, uint8, int16 ...; same is the type of MOVING (rounded, saturated)
    #[arg(long, value_name = "TYPE", default_value = "float32", value_parser = parse_dtype)]
    pub dtype: OutputType,
}

/// Voxel type of the moved image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OutputType {
    Given(DType),
    Same,
}

pub(super) fn parse_dtype(text: &str) -> Result<OutputType, String> {
    match text {
        "same" => Ok(OutputType::Same),
        _ => text.parse().map(OutputType::Given),
    }
}

/// Runs `hmorph register`.
///
/// # Errors
/// Inputs that cannot be read or do not fit together; results that cannot be written.
pub fn run(args: &RegisterArgs, common: &Common) -> anyhow::Result<()> {
    let started = Instant::now();
    let (fixed, moving) = args.paths()?;
    let out = match &args.out {
        Some(out) => out.clone(),
        None => PathBuf::from(format!("{}_to_{}", stem(moving), stem(fixed))),
    };
    ResultFolder::check(&out, common.force)?;
    let inputs = Inputs::read(args, fixed, moving)?;
    let dtype = output_type(args.dtype, moving)?;
    common.say(format!("fixed    {}", inputs.fixed.describe()));
    common.say(format!("moving   {}", inputs.moving.describe()));
    let registrar = Registrar::new(
        &args.model,
        inputs.fixed.geometry().dimension,
        Stages::All,
        common,
    )?;
    common.say(format!("model    {}", registrar.describe()));
    let read = started.elapsed().as_secs_f64();

    let (registration, registering) = registrar.register(&inputs.fixed, &inputs.moving, common)?;
    let judged = assess(&registration, inputs.assessed(), registrar.normaliser())?;
    let quality = &judged.quality;

    let folder = ResultFolder::new(&out, common.force)?;
    let settings = (args.fill, dtype);
    let mut files = write_files(&folder, &registration, &inputs, &judged, settings)?;
    files.push(RECORD);
    let facts = json!({
        "inputs": inputs.record(),
        "model": registrar.record(),
        "settings": { "network": registrar.settings(), "fill": args.fill, "dtype": dtype },
        "network_grid": record::grid(&registration.network_grid),
        "measures": quality,
        "seconds": {
            "read": read, "register": registering, "all": started.elapsed().as_secs_f64(),
        },
        "files": files,
        "directions": DIRECTIONS,
    });
    record::write(&folder.path(RECORD), common, facts)?;
    folder.finish()?;
    report(quality, started.elapsed().as_secs_f64(), common);
    common.say(format!("written  {}: {}", out.display(), files.join(" ")));
    Ok(())
}

/// What the files of transforms mean, for whoever finds the folder.
const DIRECTIONS: &str = "forward.nii.gz: displacement u (LPS mm) on the fixed grid, moved(x) = moving(x + u(x)); \
    inverse.nii.gz: the same on the moving grid, it brings the fixed image there; affine.mat: fixed to moving (LPS mm), \
    contained in both";

impl RegisterArgs {
    /// Fixed and moving; clap lets no other combination through.
    fn paths(&self) -> anyhow::Result<(&Path, &Path)> {
        let fixed = self.fixed.as_deref().or(self.fixed_image.as_deref());
        let moving = self.moving.as_deref().or(self.moving_image.as_deref());
        fixed.zip(moving).context("name a fixed and a moving image")
    }
}

struct Inputs {
    fixed: ScanFile,
    moving: ScanFile,
    fixed_labels: Option<LabelMap>,
    moving_labels: Option<LabelMap>,
    label_files: [Option<PathBuf>; 2],
}

impl Inputs {
    fn read(args: &RegisterArgs, fixed: &Path, moving: &Path) -> crate::error::Result<Self> {
        let fixed = ScanFile::read(fixed, args.fixed_frame)?.masked(args.fixed_mask.as_deref())?;
        let moving =
            ScanFile::read(moving, args.moving_frame)?.masked(args.moving_mask.as_deref())?;
        let labels = |scan: &ScanFile, path: &Option<PathBuf>| {
            path.as_deref().map(|path| scan.labels(path)).transpose()
        };
        Ok(Self {
            fixed_labels: labels(&fixed, &args.fixed_labels)?,
            moving_labels: labels(&moving, &args.moving_labels)?,
            label_files: [args.fixed_labels.clone(), args.moving_labels.clone()],
            fixed,
            moving,
        })
    }

    fn assessed(&self) -> Assessed<'_> {
        Assessed {
            fixed: &self.fixed.image,
            moving: &self.moving.image,
            labels: self.fixed_labels.as_ref().zip(self.moving_labels.as_ref()),
        }
    }

    fn record(&self) -> Value {
        json!({
            "fixed": self.fixed.record(), "moving": self.moving.record(),
            "fixed_labels": self.label_files[0], "moving_labels": self.label_files[1],
        })
    }
}

/// `same` is the moving file's type; half precision, which no medical format has, becomes single.
pub(super) fn output_type(wanted: OutputType, moving: &Path) -> crate::error::Result<DType> {
    let dtype = match wanted {
        OutputType::Given(dtype) => dtype,
        OutputType::Same => probe(moving)?.dtype,
    };
    Ok(if dtype == DType::F16 {
        DType::F32
    } else {
        dtype
    })
}

/// Writes images, transforms and the picture, side by side since compressing takes long; the names of the files.
fn write_files(
    folder: &ResultFolder,
    registration: &Registration,
    inputs: &Inputs,
    judged: &Assessment,
    (fill, dtype): (Fill, DType),
) -> crate::error::Result<Vec<&'static str>> {
    let moved = |path: &Path| {
        let moved = registration.moved(&inputs.moving.image, fill)?;
        let note = "hmorph: moving image on the fixed grid";
        write_image(path, &moved, dtype, note)
    };
    let forward = |path: &Path| {
        let note = "hmorph: pull on the fixed grid, fixed to moving, LPS mm";
        write_field(path, &registration.forward, note)
    };
    let inverse = |path: &Path| {
        let note = "hmorph: pull on the moving grid, moving to fixed, LPS mm";
        write_field(path, &registration.inverse, note)
    };
    let affine = |path: &Path| {
        let linear = WorldAffine(registration.linear);
        let (fixed, moving) = (inputs.fixed.geometry(), inputs.moving.geometry());
        write_affine(path, &linear, fixed, moving)
    };
    let qc = |path: &Path| picture(inputs, judged, registration)?.write_png(path);
    let labels = |path: &Path| write_moved_labels(path, registration, inputs, judged);

    type Write<'a> = &'a (dyn Fn(&Path) -> crate::error::Result<()> + Sync);
    let mut files: Vec<(&str, Write)> = vec![
        ("moved.nii.gz", &moved),
        ("forward.nii.gz", &forward),
        ("inverse.nii.gz", &inverse),
        ("affine.mat", &affine),
        ("qc.png", &qc),
    ];
    if inputs.moving_labels.is_some() {
        files.push(("moved_labels.nii.gz", &labels));
    }
    files
        .par_iter()
        .try_for_each(|(name, write)| write(&folder.path(name)))?;
    Ok(files.into_iter().map(|(name, _)| name).collect())
}

/// Writes the moving labels, moved; nothing where there are none.
fn write_moved_labels(
    path: &Path,
    registration: &Registration,
    inputs: &Inputs,
    judged: &Assessment,
) -> crate::error::Result<()> {
    let note = "hmorph: moving labels on the fixed grid";
    match (&judged.labels, &inputs.moving_labels) {
        (Some([_, moved]), _) => write_labels(path, moved, note),
        (None, Some(labels)) => write_labels(path, &registration.moved_labels(labels)?, note),
        (None, None) => Ok(()),
    }
}

/// The page to judge the registration by.
fn picture(
    inputs: &Inputs,
    judged: &Assessment,
    registration: &Registration,
) -> crate::error::Result<Picture> {
    let (before, after) = (&judged.quality.linear, &judged.quality.after);
    let labels = judged.labels.as_ref().zip(inputs.fixed_labels.as_ref());
    let options = QcOptions {
        fixed_name: stem(&inputs.fixed.path),
        moving_name: stem(&inputs.moving.path),
        dice: before.dice.zip(after.dice),
        ncc: Some((before.ncc, after.ncc)),
        ..QcOptions::default()
    };
    let input = QcInput {
        fixed: &judged.fixed,
        moving: &judged.moving,
        moved: &judged.moved,
        field: &registration.deformation,
        labels: labels.map(|([moving, moved], fixed)| QcLabels {
            fixed,
            moving,
            moved,
        }),
    };
    qc_page(&input, &options)
}

fn report(quality: &Quality, seconds: f64, common: &Common) {
    let states = [&quality.before, &quality.linear, &quality.after];
    let row = |name: &str, values: [f64; 3], note: &str| {
        let [before, linear, after] = values;
        common.say(format!(
            "{name:<8} {before:.4} -> {linear:.4} -> {after:.4}{note}"
        ));
    };
    common.say("         before -> linear -> all");
    if let [Some(before), Some(linear), Some(after)] = states.map(|measures| measures.dice) {
        let note = format!("  (mean over {} labels)", quality.structures);
        row("Dice", [before, linear, after], &note);
    }
    row("NCC", states.map(|measures| measures.ncc), "");
    let note = "  (of normalised intensities)";
    row("MSE", states.map(|measures| measures.mse), note);
    common.say(format!(
        "folds    {} of {} voxels ({:.4} %)",
        quality.folded_voxels, quality.voxels, quality.folded_percent
    ));
    common.say(format!(
        "inverse  within {:.3} voxels on average, {:.3} at most",
        quality.inverse_error_mean_voxels, quality.inverse_error_max_voxels
    ));
    let memory = peak_memory_bytes().map_or(String::new(), |bytes| {
        format!(", at most {:.2} GB of memory", bytes as f64 / 1e9)
    });
    common.say(format!("time     {seconds:.1} s{memory}"));
}
