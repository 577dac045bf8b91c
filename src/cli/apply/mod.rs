//! `hmorph apply`: known transforms on any number of images, label maps and landmark files.

mod names;
mod plan;

use std::path::PathBuf;

use anyhow::ensure;
use clap::ValueEnum;
use serde_json::json;

use super::Common;
use super::options::{INPUTS, OUTPUT};
use super::output::{OutputArgs, check_file, keep_inputs};
use super::points::PointSpace;
use super::record;
use super::spacing::{PixelSpacing, say_notes};
use super::transforms::{TRANSFORMS_HELP, files_of};
use crate::register::{RECORD, ResultFolder};
use crate::volume::resample::Interpolation;
use names::Names;
use plan::Plan;

/// Apply transforms to images, labels and landmarks
#[derive(Debug, clap::Args)]
#[command(after_help = format!("\
Examples:
  hmorph apply -t b_to_a -i b_t2.nii.gz b_flair.nii.gz -l b_seg.nii.gz -p b.csv -r a.nii.gz -o moved
  hmorph apply -t b_to_a --inverse -l a_atlas.nii.gz -r b.nii.gz -o atlas_on_b.nii.gz
  hmorph apply -t 1Warp.nii.gz 0GenericAffine.mat -i moving.nii.gz -r fixed.nii.gz -o moved.nii.gz
  hmorph apply -t inv:0GenericAffine.mat 1InverseWarp.nii.gz -l atlas.nii.gz -r scan.nii.gz \\
      -o labels.nii.gz
  hmorph apply -t t1_to_mni.h5 bold_to_t1.txt -i bold.nii.gz -r mni.nii.gz -n cubic -o moved.nii.gz
  hmorph apply -t rigid.mat -i moving.nii.gz --header-only -o moved.nii.gz

Everything arrives in the space of the reference: images and labels on its grid, landmarks in its
world. All volumes of a 4-D image and all channels of a colour image (PNG, RGB NIfTI) are moved
alike.

{TRANSFORMS_HELP}

Landmarks move against the images: where an image is pulled through forward.nii.gz, its landmarks go
through inverse.nii.gz. With a result folder hmorph takes the right one of the two by itself. With
plain files each landmark p simply goes to p + u(p), so give inverse.nii.gz for landmarks of MOVING
(they come to FIXED) and forward.nii.gz for landmarks of FIXED (they come to MOVING), without images
in the same call. Landmark files are CSV x,y,z,name (--points-space; other columns are kept, ANTs'
label counts as name, rows of three numbers need no header), or .mrk.json and .fcsv of 3D Slicer,
which must name their coordinate system; each is written as it came."))]
pub struct ApplyArgs {
    /// Result folder, field, composite or affine; several are followed in this order from the reference; inv:FILE is
    /// the inverse, l2r:FILE a field in voxels
    #[arg(short, long = "transform", value_name = "TRANSFORM", required = true, num_args = 1..)]
    pub transforms: Vec<String>,
    /// Images; of 4-D ones every volume, of colours every channel
    #[arg(short, long = "image", value_name = "FILE", num_args = 1..)]
    pub images: Vec<PathBuf>,
    /// Label maps
    #[arg(short, long, value_name = "FILE", num_args = 1..)]
    pub labels: Vec<PathBuf>,
    /// Landmarks: CSV x,y,z,name, .mrk.json or .fcsv
    #[arg(short, long, value_name = "FILE", num_args = 1..)]
    pub points: Vec<PathBuf>,
    /// Image or field whose grid and world everything comes to; landmarks in mm alone do without
    #[arg(short, long, value_name = "FILE", required_unless_present_any = ["points", "header_only"])]
    pub reference: Option<PathBuf>,
    /// Folder of results, or the file for a single one
    #[arg(short, long, value_name = "PATH")]
    pub out: PathBuf,
    /// Take result folders the other way round: what belongs to FIXED comes to MOVING
    #[arg(long)]
    pub inverse: bool,
    /// Do not resample: write each image with its voxels untouched and another affine in its header (NIfTI and MGH;
    /// transforms that are all affine)
    #[arg(long, conflicts_with_all = ["reference", "interpolation", "fill", "dtype", "label_interpolation", "frame"])]
    pub header_only: bool,
    /// What the numbers of CSV landmark files are, read and written (voxel indices on the grid of -r)
    #[arg(long, value_enum, default_value_t, help_heading = INPUTS)]
    pub points_space: PointSpace,
    /// Image that voxel indices of landmarks refer to (with --points-space voxel)
    #[arg(long, value_name = "FILE", help_heading = INPUTS)]
    pub points_image: Option<PathBuf>,
    /// Only this volume of 4-D images, counted from 0
    #[arg(long, value_name = "N", help_heading = INPUTS)]
    pub frame: Option<usize>,
    /// Pixel size in mm of PNG and numpy images, which have none: one number or one per axis [default:
    /// that of the registration whose result folder is the transform, else 1]
    #[arg(long, value_name = "MM", visible_alias = "pixel-spacing", help_heading = INPUTS)]
    pub spacing: Option<PixelSpacing>,
    /// Between voxels of images: linear, cubic (B-splines through the voxels) or nearest
    #[arg(short = 'n', long, value_enum, default_value_t, help_heading = OUTPUT)]
    pub interpolation: Between,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// How values between voxels are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Between {
    #[default]
    Linear,
    Cubic,
    Nearest,
}

impl From<Between> for Interpolation {
    fn from(between: Between) -> Self {
        match between {
            Between::Linear => Self::Linear,
            Between::Cubic => Self::Cubic,
            Between::Nearest => Self::Nearest,
        }
    }
}

/// Every file that the command reads.
fn inputs(args: &ApplyArgs) -> impl Iterator<Item = PathBuf> {
    let moved = [&args.images, &args.labels, &args.points];
    let moved = moved.into_iter().flatten().cloned();
    let transforms = args.transforms.iter().flat_map(|name| files_of(name));
    let grids = args.reference.iter().chain(&args.points_image).cloned();
    moved.chain(transforms).chain(grids)
}

/// Runs `hmorph apply`.
///
/// # Errors
/// Inputs that cannot be read or do not fit together; results that cannot be written.
pub fn run(args: &ApplyArgs, common: &Common) -> anyhow::Result<()> {
    let names = Names::new(args)?;
    let files = names.all();
    names::check_out(&args.out)?;
    let single = files.len() == 1 && names::is_file(&args.out);
    ensure!(
        single || !names::is_file(&args.out),
        "{}: {} results need a folder, and this is the name of a file",
        args.out.display(),
        files.len()
    );
    if single {
        check_file(&args.out, common.force)?;
        names::check_format(args, &args.out)?;
    } else {
        ResultFolder::check(&args.out, common.force)?;
    }
    keep_inputs(&args.out, &files, inputs(args))?;
    let plan = Plan::new(args)?;
    let grids = args.images.iter().chain(&args.labels);
    let grids = grids.chain(&args.reference).chain(&args.points_image);
    say_notes(grids.map(PathBuf::as_path), common);
    if single {
        plan.write_all(&names, common, |_| args.out.clone())?;
        common.say(format!("written  {}", args.out.display()));
        return Ok(());
    }
    let folder = ResultFolder::new(&args.out, common.force)?;
    plan.write_all(&names, common, |name| folder.path(name))?;
    let facts = json!({
        "transforms": args.transforms, "images": record::all_shown(&args.images),
        "labels": record::all_shown(&args.labels), "points": record::all_shown(&args.points),
        "reference": args.reference.as_deref().map(record::shown), "inverse": args.inverse,
        "header_only": args.header_only, "files": folder.names()?,
    });
    record::write(&folder.path(RECORD), common, facts)?;
    folder.finish()?;
    common.say(format!(
        "written  {}: {}",
        args.out.display(),
        files.join(" ")
    ));
    Ok(())
}
