//! `hmorph apply`: known transforms on any number of images, label maps and landmark files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use clap::ValueEnum;
use serde_json::json;

use super::Common;
use super::points::PointSpace;
use super::record;
use super::register::{OutputType, output_type, parse_dtype};
use super::scan::ScanFile;
use super::transforms::Transforms;
use crate::dataset::{Landmark, stem};
use crate::register::{Fill, RECORD, ResultFolder, Transform, map_point, pull_image, pull_labels};
use crate::volume::resample::Interpolation;
use crate::volume::{Format, Geometry, read_image_frame, read_labels, write_image, write_labels};

/// Apply transforms to images, labels and landmarks
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hmorph apply -t b_to_a -i b_t2.nii.gz b_flair.nii.gz -l b_seg.nii.gz -p b_points.csv -r a.nii.gz -o moved
  hmorph apply -t b_to_a --inverse -l a_atlas.nii.gz -r b.nii.gz -o atlas_on_b.nii.gz
  hmorph apply -t 1Warp.nii.gz 0GenericAffine.mat -i moving.nii.gz -r fixed.nii.gz -o moved.nii.gz

Everything arrives in the space of the reference: images and labels on its grid, landmarks in its world.

Transforms: a result folder of hmorph register, a displacement field (5-D NIfTI, LPS mm), or an affine (.mat, .tfm,
.txt, .lta). Several are given in the order in which a place of the reference travels to the image, as for
antsApplyTransforms.

Landmarks move against the images: where an image is pulled through forward.nii.gz, its landmarks go through
inverse.nii.gz. With a result folder hmorph takes the right one of the two by itself. With plain files each landmark
p simply goes to p + u(p), so give inverse.nii.gz for landmarks of MOVING (they come to FIXED) and forward.nii.gz for
landmarks of FIXED (they come to MOVING), without images in the same call.")]
pub struct ApplyArgs {
    /// Result folder, displacement field or affine; several are followed in this order from the reference
    #[arg(short, long = "transform", value_name = "TRANSFORM", required = true, num_args = 1..)]
    pub transforms: Vec<PathBuf>,
    /// Images, interpolated linearly
    #[arg(short, long = "image", value_name = "FILE", num_args = 1..)]
    pub images: Vec<PathBuf>,
    /// Label maps, by the nearest voxel
    #[arg(short, long, value_name = "FILE", num_args = 1..)]
    pub labels: Vec<PathBuf>,
    /// Landmarks, CSV x,y,z,name
    #[arg(short, long, value_name = "FILE", num_args = 1..)]
    pub points: Vec<PathBuf>,
    /// Image whose grid and world everything comes to; landmarks in mm alone do without
    #[arg(short, long, value_name = "FILE", required_unless_present = "points")]
    pub reference: Option<PathBuf>,
    /// Folder of results, or the file for a single one
    #[arg(short, long, value_name = "PATH")]
    pub out: PathBuf,
    /// Take result folders the other way round: what belongs to FIXED comes to MOVING
    #[arg(long)]
    pub inverse: bool,
    /// What the numbers of landmark files are, read and written
    #[arg(long, value_enum, default_value_t)]
    pub points_space: PointSpace,
    /// Image that voxel indices of landmarks refer to (with --points-space voxel)
    #[arg(long, value_name = "FILE")]
    pub points_image: Option<PathBuf>,
    /// Between voxels of images
    #[arg(short = 'n', long, value_enum, default_value_t)]
    pub interpolation: Between,
    /// Value beyond an image: a number, min (its smallest value) or edge
    #[arg(
        long,
        value_name = "VALUE",
        default_value = "min",
        allow_hyphen_values = true
    )]
    pub fill: Fill,
    /// Voxel type of images: float32, uint8, int16 ...; same keeps each image's own (rounded, saturated)
    #[arg(long, value_name = "TYPE", default_value = "float32", value_parser = parse_dtype)]
    pub dtype: OutputType,
    /// Which volume of 4-D images, counted from 0
    #[arg(long, value_name = "N")]
    pub frame: Option<usize>,
}

/// How values between voxels are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Between {
    #[default]
    Linear,
    Nearest,
}

/// Runs `hmorph apply`.
///
/// # Errors
/// Inputs that cannot be read or do not fit together; results that cannot be written.
pub fn run(args: &ApplyArgs, common: &Common) -> anyhow::Result<()> {
    let names = output_names(args)?;
    let single = names.len() == 1 && is_file_name(&args.out);
    if single {
        ensure!(
            common.force || !args.out.exists(),
            "{}: exists; choose another name, or replace it with --force",
            args.out.display()
        );
    } else {
        ResultFolder::check(&args.out, common.force)?;
    }
    let plan = Plan::new(args)?;
    plan.check_inputs()?;
    if single {
        return plan.write_all(common, |_| args.out.clone());
    }
    let folder = ResultFolder::new(&args.out, common.force)?;
    plan.write_all(common, |name| folder.path(name))?;
    let facts = json!({
        "transforms": args.transforms, "images": args.images, "labels": args.labels,
        "points": args.points, "reference": args.reference, "inverse": args.inverse, "files": names,
    });
    record::write(&folder.path(RECORD), common, facts)?;
    folder.finish()?;
    common.say(format!(
        "written  {}: {}",
        args.out.display(),
        names.join(" ")
    ));
    Ok(())
}

/// Everything that is read before the first result is written.
struct Plan<'a> {
    args: &'a ApplyArgs,
    reference: Option<Geometry>,
    pull: Vec<Transform>,
    carry: Vec<Transform>,
    landmarks: Vec<Vec<Landmark>>,
}

impl<'a> Plan<'a> {
    fn new(args: &'a ApplyArgs) -> anyhow::Result<Self> {
        let transforms = Transforms::read(&args.transforms)?;
        let moves_images = !(args.images.is_empty() && args.labels.is_empty());
        ensure!(
            !args.inverse || transforms.know_both_ways(),
            "--inverse needs a result folder as --transform; of plain files give the inverse one"
        );
        let grid = |path: &Option<PathBuf>| -> anyhow::Result<Option<Geometry>> {
            Ok(match path {
                Some(path) => Some(read_image_frame(path, Some(0))?.geometry),
                None => None,
            })
        };
        let (reference, points_grid) = (grid(&args.reference)?, grid(&args.points_image)?);
        let carry = match (
            args.points.is_empty(),
            moves_images || transforms.know_both_ways(),
        ) {
            (true, _) => Vec::new(),
            (false, true) => transforms.carry(args.inverse)?,
            (false, false) => transforms.pull(false)?,
        };
        let read = |path: &PathBuf| args.points_space.read(path, points_grid.as_ref());
        Ok(Self {
            args,
            pull: if moves_images {
                transforms.pull(args.inverse)?
            } else {
                Vec::new()
            },
            carry,
            landmarks: args
                .points
                .iter()
                .map(read)
                .collect::<crate::error::Result<_>>()?,
            reference,
        })
    }

    /// Reads every image once, so that nothing is written when one of them cannot be used.
    fn check_inputs(&self) -> anyhow::Result<()> {
        if self.args.images.len() + self.args.labels.len() < 2 {
            return Ok(());
        }
        for path in &self.args.images {
            read_image_frame(path, self.args.frame)?;
        }
        for path in &self.args.labels {
            read_labels(path)?;
        }
        Ok(())
    }

    fn write_all(&self, common: &Common, place: impl Fn(&str) -> PathBuf) -> anyhow::Result<()> {
        let args = self.args;
        for path in &args.images {
            let image = ScanFile::read(path, args.frame)?;
            let dtype = output_type(args.dtype, path)?;
            let outside = args.fill.outside(&image.image);
            let between = match args.interpolation {
                Between::Linear => Interpolation::Linear,
                Between::Nearest => Interpolation::Nearest,
            };
            let moved = pull_image(&image.image, self.grid()?, &self.pull, between, outside)?;
            write_image(place(&output_name(path)), &moved, dtype, "hmorph apply")?;
            common.say(format!("image    {}", path.display()));
        }
        for path in &args.labels {
            let moved = pull_labels(&read_labels(path)?, self.grid()?, &self.pull)?;
            write_labels(place(&output_name(path)), &moved, "hmorph apply")?;
            common.say(format!("labels   {}", path.display()));
        }
        for (path, landmarks) in args.points.iter().zip(&self.landmarks) {
            let moved: Vec<Landmark> = landmarks
                .iter()
                .map(|landmark| Landmark {
                    at: map_point(&self.carry, landmark.at),
                    name: landmark.name.clone(),
                })
                .collect();
            let out = place(&output_name(path));
            args.points_space
                .write(&out, &moved, self.reference.as_ref())?;
            common.say(format!("points   {}", path.display()));
        }
        Ok(())
    }

    fn grid(&self) -> anyhow::Result<&Geometry> {
        match &self.reference {
            Some(grid) => Ok(grid),
            None => bail!("images and labels need --reference, the image whose grid they come to"),
        }
    }
}

/// Names of the results; two inputs must not share one.
fn output_names(args: &ApplyArgs) -> anyhow::Result<Vec<String>> {
    let inputs = args.images.iter().chain(&args.labels).chain(&args.points);
    let names: Vec<String> = inputs.map(|path| output_name(path)).collect();
    ensure!(
        !names.is_empty(),
        "nothing to move: name images, labels or points"
    );
    let mut seen = BTreeSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
        bail!("two inputs would be written as {twice}; move them in separate calls");
    }
    Ok(names)
}

/// The input's own name; `.nii.gz` for image formats that are only read.
fn output_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match Format::of(path) {
        Ok(Format::NiftiPair | Format::Npy | Format::Npz) => format!("{}.nii.gz", stem(path)),
        _ => name.into_owned(),
    }
}

/// Whether a path names a file and not a folder.
fn is_file_name(path: &Path) -> bool {
    let table = path.extension().is_some_and(|suffix| suffix == "csv");
    !path.is_dir() && (table || Format::of(path).is_ok())
}
