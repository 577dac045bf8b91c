//! What is read before the first result is written, and the work.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::ApplyArgs;
use super::names::Names;
use crate::cli::Common;
use crate::cli::output::as_held;
use crate::cli::points::PointFile;
use crate::cli::spacing::{PixelSpacing, grid_of, placed};
use crate::cli::transforms::{Transforms, recorded_spacing};
use crate::register::{
    Residual, Transform, check_inverses, map_point, matrix_of, pull_labels, pull_series,
};
use crate::volume::{
    Geometry, LabelMap, SeriesFile, WorldAffine, WorldPoint, move_header, read_image_frame,
    read_labels, write_labels, write_series,
};

const NOTE: &str = "hmorph apply";

/// Everything that is read before the first result is written.
pub(super) struct Plan<'a> {
    args: &'a ApplyArgs,
    /// Of pixels, where files have none.
    spacing: Option<PixelSpacing>,
    reference: Option<Geometry>,
    /// From places of the reference to places of the images.
    pull: Vec<Transform>,
    /// The way of the landmarks.
    carry: Vec<Transform>,
    points: Vec<PointFile>,
}

impl<'a> Plan<'a> {
    pub fn new(args: &'a ApplyArgs) -> anyhow::Result<Self> {
        let recorded = || recorded_spacing(&args.transforms);
        let spacing = args.spacing.or_else(recorded);
        let grid = |path: &Option<PathBuf>| -> anyhow::Result<Option<Geometry>> {
            let Some(path) = path else { return Ok(None) };
            Ok(Some(grid_of(path, spacing)?))
        };
        let (reference, points_grid) = (grid(&args.reference)?, grid(&args.points_image)?);
        let transforms = Transforms::read(&args.transforms, reference.as_ref())?;
        let moves_images = !(args.images.is_empty() && args.labels.is_empty());
        ensure!(
            !args.inverse || transforms.know_both_ways(),
            "--inverse needs a result folder as --transform; plain files are inverted one by one as inv:FILE"
        );
        let both_ways = transforms.know_both_ways();
        ensure!(
            both_ways || args.points.is_empty() || !moves_images,
            "landmarks go the other way than images, each p to p + u(p) through plain files; move them in separate calls, or \
             give a result folder as --transform"
        );
        let carry = match (args.points.is_empty(), both_ways) {
            (true, _) => Vec::new(),
            (false, true) => transforms.carry(args.inverse)?,
            (false, false) => transforms.pull(false)?,
        };
        let read = |path: &PathBuf| PointFile::read(path, args.points_space, points_grid.as_ref());
        Ok(Self {
            args,
            spacing,
            pull: match moves_images {
                true => transforms.pull(args.inverse)?,
                false => Vec::new(),
            },
            carry,
            points: args
                .points
                .iter()
                .map(read)
                .collect::<crate::error::Result<_>>()?,
            reference,
        })
    }

    /// Reads every image once, so that nothing is written when one of them cannot be used.
    pub fn check_inputs(&self) -> anyhow::Result<()> {
        let args = self.args;
        if args.images.len() + args.labels.len() < 2 {
            return Ok(());
        }
        for path in &args.images {
            read_image_frame(path, Some(args.frame.unwrap_or(0)))?;
        }
        for path in &args.labels {
            read_labels(path)?;
        }
        Ok(())
    }

    pub fn write_all(
        &self,
        names: &Names,
        common: &Common,
        place: impl Fn(&str) -> PathBuf,
    ) -> anyhow::Result<()> {
        let args = self.args;
        for (path, name) in args.images.iter().zip(&names.images) {
            self.write_image(path, &place(name))?;
            common.say(format!("image    {}", path.display()));
        }
        for (path, name) in args.labels.iter().zip(&names.labels) {
            self.write_labels(path, &place(name))?;
            common.say(format!("labels   {}", path.display()));
        }
        let points = args.points.iter().zip(&names.points);
        for ((path, name), file) in points.zip(&self.points) {
            let moved = |landmark: &crate::dataset::Landmark| map_point(&self.carry, landmark.at);
            let places: Vec<WorldPoint> = file.landmarks().iter().map(moved).collect();
            check_inverses(&self.carry)?;
            file.write(&place(name), &places, self.reference.as_ref())?;
            common.say(format!("points   {}", path.display()));
        }
        let residuals = [check_inverses(&self.pull)?, check_inverses(&self.carry)?];
        if let Some(residual) = residuals.into_iter().flatten().reduce(Residual::worse) {
            common.say(format!("inverse  {residual}"));
        }
        Ok(())
    }

    fn write_image(&self, path: &Path, out: &Path) -> anyhow::Result<()> {
        let args = self.args;
        if args.header_only {
            return Ok(move_header(path, out, &self.affine()?)?);
        }
        let file = SeriesFile::read(path)?;
        let series = match args.frame {
            None => file.all()?,
            frame => file.image(frame)?.into(),
        };
        let mut series = as_held(series, path, out)?;
        // A result in a folder has no lasting name yet, but its input's suffix.
        let named = if out == args.out { out } else { path };
        args.output.check_dtype(named, &series.kind)?;
        for volume in &mut series.volumes {
            volume.geometry = placed(self.spacing, path, volume.geometry.clone())?;
        }
        let dtype = args
            .output
            .dtype_or_own(&series.kind, out, || Ok(file.dtype()))?;
        let between = args.interpolation.into();
        let moved = pull_series(series, self.grid()?, &self.pull, between, args.output.fill)
            .with_context(|| path.display().to_string())?;
        Ok(write_series(out, &moved, dtype, NOTE)?)
    }

    fn write_labels(&self, path: &Path, out: &Path) -> anyhow::Result<()> {
        if self.args.header_only {
            return Ok(move_header(path, out, &self.affine()?)?);
        }
        let mut labels: LabelMap = read_labels(path)?;
        labels.geometry = placed(self.spacing, path, labels.geometry)?;
        let between = self.args.output.label_interpolation.into();
        let moved = pull_labels(&labels, self.grid()?, &self.pull, between)
            .with_context(|| path.display().to_string())?;
        Ok(write_labels(out, &moved, NOTE)?)
    }

    fn grid(&self) -> anyhow::Result<&Geometry> {
        match &self.reference {
            Some(grid) => Ok(grid),
            None => bail!("images and labels need --reference, the image whose grid they come to"),
        }
    }

    /// All transforms as one, for headers.
    fn affine(&self) -> anyhow::Result<WorldAffine> {
        match matrix_of(&self.pull) {
            Some(matrix) => Ok(WorldAffine(matrix)),
            None => bail!(
                "--header-only: a displacement field among the transforms, which no header can hold; resample with -r"
            ),
        }
    }
}
