//! `hmorph transform`: transforms among themselves: compose, invert, convert, and what they do to volumes.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::Common;
use super::output::{check_file, keep_inputs};
use super::spacing::{PixelSpacing, grid_of, say_notes};
use super::transforms::{TRANSFORMS_HELP, Transforms, files_of, recorded_spacing};
use crate::metric::folding;
use crate::metric::jacobian;
use crate::register::{Transform, check_inverses, compose, matrix_of};
use crate::volume::{
    Affine, DType, Dimension, DisplacementField, Geometry, Image, Step, WorldAffine, folder_of,
    write_affine, write_composite, write_field, write_image, write_voxel_field,
};

/// Compose, invert and convert transforms; map their Jacobian determinant
#[derive(Debug, clap::Args)]
#[command(after_help = format!("\
Examples:
  compose      hmorph transform -t 1Warp.nii.gz 0GenericAffine.mat -r fixed.nii.gz -o field.nii.gz
  one field    hmorph transform -t b_to_a -r a.nii.gz -o b_to_a.h5
  as they are  hmorph transform -t affine.mat warp.nii.gz -o chain.h5
  invert       hmorph transform -t inv:forward.nii.gz -r moving.nii.gz -o inverse.nii.gz
  Learn2Reg    hmorph transform -t b_to_a -r a.nii.gz -o l2r:disp_0001_0002.nii.gz
  convert      hmorph transform -t affine.lta -o affine.txt
  volumes      hmorph transform -t b_to_a -r a.nii.gz --jacobian jacobian.nii.gz

What comes out is a pull like what goes in: it takes a place of the reference to the place of the
image whose value belongs there. The suffix of OUT says what is written:
  .nii.gz             one displacement field on the grid of -r, LPS mm (5-D NIfTI, intent 1007)
  l2r:FILE.nii.gz     the same in voxels of -r, (x, y, z, 3)
  .h5                 an ITK composite: with -r of one field on its grid, else of the transforms as
                      they are
  .mat .tfm .txt .lta one affine, of transforms that are all affine; .mat and .tfm are ITK's (LPS
                      mm), .txt a matrix (RAS mm, as of greedy and c3d; of three rows in 2-D), .lta
                      FreeSurfer's, which needs -r and --moving
Affines are written for 2-D images where -r is 2-D or, without -r, where all transforms are.

The Jacobian determinant is the volume that a voxel of the reference takes in the image, over its
own: above 1 where the image is compressed when it is moved, below 1 where it is stretched, 0 or
less where it folds. It is that of the whole transform: of a result folder with its affine, which
the folds and determinants of run.json, qc.png and report.html are without.

{TRANSFORMS_HELP}"))]
pub struct TransformArgs {
    /// Result folder, field, composite or affine; several are followed in this order from the reference; inv:FILE is
    /// the inverse, l2r:FILE a field in voxels
    #[arg(short, long = "transform", value_name = "TRANSFORM", required = true, num_args = 1..)]
    pub transforms: Vec<String>,
    /// Image or field whose grid fields are made on
    #[arg(short, long, value_name = "FILE")]
    pub reference: Option<PathBuf>,
    /// File of the composed transform; l2r:FILE writes a field in voxels
    #[arg(short, long, value_name = "OUT", required_unless_present_any = ["jacobian", "log_jacobian"])]
    pub out: Option<String>,
    /// The whole chain the other way round
    #[arg(long)]
    pub invert: bool,
    /// Image of the Jacobian determinant on the grid of -r
    #[arg(long, value_name = "FILE", requires = "reference")]
    pub jacobian: Option<PathBuf>,
    /// Image of its natural logarithm; determinants below 0.000001, as where the transform folds, count as 0.000001
    #[arg(long, value_name = "FILE", requires = "reference")]
    pub log_jacobian: Option<PathBuf>,
    /// Image that the transform is to be applied to (for .lta)
    #[arg(long, value_name = "FILE")]
    pub moving: Option<PathBuf>,
    /// Pixel size in mm of PNG and numpy images, as 0.5 or 0.5,0.5 [default: that of the registration of -t, else 1]
    #[arg(long, value_name = "MM")]
    pub spacing: Option<PixelSpacing>,
}

/// Smaller determinants count as this one in the logarithm, which those of folds do not have.
const LEAST_DETERMINANT: f32 = 1e-6;

/// Runs `hmorph transform`.
///
/// # Errors
/// Transforms that cannot be read, do not fit together or cannot be written as asked; an inverse that does not exist.
pub fn run(args: &TransformArgs, common: &Common) -> anyhow::Result<()> {
    let out = args.out.as_deref().map(Out::new).transpose()?;
    let files = [
        out.as_ref().map(|out| &out.path),
        args.jacobian.as_ref(),
        args.log_jacobian.as_ref(),
    ];
    let files: Vec<&PathBuf> = files.into_iter().flatten().collect();
    check_distinct(&files)?;
    for path in files {
        check_file(path, common.force)?;
        keep_inputs(path, &[], inputs(args))?;
    }
    let spacing = args.spacing.or_else(|| recorded_spacing(&args.transforms));
    let grid = |path: &PathBuf| grid_of(path, spacing);
    let reference = args.reference.as_ref().map(grid).transpose()?;
    let moving = args.moving.as_ref().map(grid).transpose()?;
    let named = args.reference.iter().chain(&args.moving);
    say_notes(named.map(PathBuf::as_path), common);
    let transforms = Transforms::read(&args.transforms, reference.as_ref())?;
    let chain = match args.invert {
        true => transforms.back()?,
        false => transforms.pull(false)?,
    };
    let job = Job {
        args,
        chain,
        dimension: transforms.dimension(),
        reference,
        moving,
    };
    let field = job.field(out.as_ref())?;
    if let (Some(_), Some(residual)) = (&field, check_inverses(&job.chain)?) {
        common.say(format!("inverse  {residual}"));
    }
    if let Some(out) = &out {
        job.write(out, field.as_ref())?;
        common.say(format!("written  {}", out.path.display()));
    }
    if let Some(field) = &field {
        job.write_jacobians(field, common)?;
    }
    Ok(())
}

/// Every file that the command reads.
fn inputs(args: &TransformArgs) -> impl Iterator<Item = PathBuf> {
    let transforms = args.transforms.iter().flat_map(|name| files_of(name));
    transforms.chain(args.reference.iter().chain(&args.moving).cloned())
}

/// Refuses results of one name, of which the last would be left alone.
fn check_distinct(files: &[&PathBuf]) -> anyhow::Result<()> {
    let mut taken = HashSet::new();
    for path in files {
        let folder = folder_of(path);
        // Of a folder that does not exist the check of the file tells.
        let place = folder.canonicalize().unwrap_or_else(|_| folder.into());
        ensure!(
            taken.insert((place, path.file_name())),
            "{}: two results would be written to this file; give each a name of its own",
            path.display()
        );
    }
    Ok(())
}

/// Where and how the composed transform is written.
struct Out {
    path: PathBuf,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Field,
    VoxelField,
    Composite,
    Affine,
    Lta,
}

impl Out {
    fn new(name: &str) -> anyhow::Result<Self> {
        let (in_voxels, name) = match name.strip_prefix("l2r:") {
            Some(rest) => (true, rest),
            None => (false, name),
        };
        let suffix = Path::new(name)
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or_default();
        let kind = match (suffix.to_lowercase().as_str(), in_voxels) {
            (_, true) => Kind::VoxelField,
            ("h5", _) => Kind::Composite,
            ("mat" | "tfm" | "txt", _) => Kind::Affine,
            ("lta", _) => Kind::Lta,
            ("nii" | "gz", _) => Kind::Field,
            _ => bail!(
                "{name}: no kind of transform by its suffix; use .nii.gz, .h5, .mat, .tfm, .txt or .lta"
            ),
        };
        Ok(Self {
            path: PathBuf::from(name),
            kind,
        })
    }
}

struct Job<'a> {
    args: &'a TransformArgs,
    chain: Vec<Transform>,
    /// Of the images that the files of the transforms are between.
    dimension: Dimension,
    reference: Option<Geometry>,
    moving: Option<Geometry>,
}

impl Job<'_> {
    /// The chain as one field on the reference grid, where one is asked for.
    fn field(&self, out: Option<&Out>) -> anyhow::Result<Option<DisplacementField>> {
        let kind = out.map(|out| out.kind);
        let wanted = matches!(kind, Some(Kind::Field | Kind::VoxelField | Kind::Composite))
            || self.args.jacobian.is_some()
            || self.args.log_jacobian.is_some();
        match &self.reference {
            Some(grid) if wanted => Ok(Some(compose(&self.chain, grid)?)),
            None if matches!(kind, Some(Kind::Field | Kind::VoxelField)) => {
                bail!("a displacement field needs --reference, the image whose grid it is made on")
            }
            _ => Ok(None),
        }
    }

    fn write(&self, out: &Out, field: Option<&DisplacementField>) -> anyhow::Result<()> {
        let path = &out.path;
        match (out.kind, field) {
            (Kind::Field, Some(field)) => write_field(path, field, "hmorph transform: LPS mm")?,
            (Kind::VoxelField, Some(field)) => {
                write_voxel_field(path, field, "hmorph transform: voxels")?;
            }
            (Kind::Composite, Some(field)) => {
                let dimension = field.geometry.dimension;
                write_composite(path, &[Step::Field(field.clone())], dimension)?;
            }
            (Kind::Composite, None) => {
                let steps = self.steps()?;
                write_composite(path, &steps, self.dimension_of(&steps))?;
            }
            (Kind::Affine | Kind::Lta, _) => self.write_affine(out)?,
            (Kind::Field | Kind::VoxelField, None) => unreachable!("a field was made for these"),
        }
        Ok(())
    }

    fn write_affine(&self, out: &Out) -> anyhow::Result<()> {
        let matrix = matrix_of(&self.chain).with_context(|| {
            format!(
                "{}: the transforms hold a displacement field, which is no affine",
                out.path.display()
            )
        })?;
        // Only .lta has the geometries in it; for the others they say whether the images are 2-D.
        let any = Geometry::new([1; 3], self.dimension, Affine::identity());
        let fixed = self.reference.as_ref().unwrap_or(&any);
        ensure!(
            out.kind != Kind::Lta || (self.reference.is_some() && self.moving.is_some()),
            "{}: .lta holds the geometry of both images; name them by --reference and --moving",
            out.path.display()
        );
        Ok(write_affine(
            &out.path,
            &WorldAffine(matrix),
            fixed,
            self.moving.as_ref().unwrap_or(&any),
        )?)
    }

    /// The chain as it is.
    fn steps(&self) -> anyhow::Result<Vec<Step>> {
        let step = |transform: &Transform| match transform {
            Transform::Affine(matrix) => Ok(Step::Affine {
                affine: WorldAffine(*matrix),
                dimension: self.dimension,
            }),
            Transform::Field(field) => Ok(Step::Field(field.field().clone())),
            Transform::InverseField(_) => {
                bail!("the inverse of a field is made on a grid: name it by --reference")
            }
        };
        self.chain.iter().map(step).collect()
    }

    /// That of the fields; of matrices alone that of their files.
    fn dimension_of(&self, steps: &[Step]) -> Dimension {
        let field = steps.iter().find(|step| matches!(step, Step::Field(_)));
        field.map_or(self.dimension, Step::dimension)
    }

    fn write_jacobians(&self, field: &DisplacementField, common: &Common) -> anyhow::Result<()> {
        let (plain, log) = (&self.args.jacobian, &self.args.log_jacobian);
        if plain.is_none() && log.is_none() {
            return Ok(());
        }
        let map = Image {
            data: jacobian(field),
            geometry: field.geometry.clone(),
        };
        let logarithm = |map: &Image| map.map(|&value| value.max(LEAST_DETERMINANT).ln());
        if let Some(path) = plain {
            write_image(
                path,
                &map,
                DType::F32,
                "hmorph transform: Jacobian determinant",
            )?;
        }
        if let Some(path) = log {
            write_image(
                path,
                &logarithm(&map),
                DType::F32,
                "hmorph transform: log Jacobian determinant",
            )?;
        }
        let folds = folding(field, None)?;
        common.say(format!(
            "Jacobian from {:.4} to {:.4}, {} of {} voxels folded",
            map.data.iter().copied().fold(f32::INFINITY, f32::min),
            map.data.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            folds.folded,
            field.geometry.voxels(),
        ));
        Ok(())
    }
}
