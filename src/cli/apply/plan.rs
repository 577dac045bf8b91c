//! What is read before the first result is written, and the work.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::ApplyArgs;
use super::names::Names;
use crate::cli::Common;
use crate::cli::points::PointFile;
use crate::cli::spacing::{PixelSpacing, grid_of, placed};
use crate::cli::transforms::{Transforms, recorded_spacing};
use crate::error::Error;
use crate::register::{
    Mover, Residual, Transform, check_inverses, map_point, matrix_of, pull_labels,
};
use crate::volume::{
    Format, Geometry, Image, LabelMap, SeriesFile, SeriesKind, WorldAffine, WorldPoint,
    move_header, read_labels, write_labels, write_volumes,
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
        let points: Vec<PointFile> = args.points.iter().map(read).collect::<Result<_, Error>>()?;
        ensure!(
            reference.is_some() || !points.iter().any(PointFile::has_voxels),
            "--points-space voxel: voxel indices that are written need the grid that they are of; name it by -r"
        );
        Ok(Self {
            args,
            spacing,
            pull: match moves_images {
                true => transforms.pull(args.inverse)?,
                false => Vec::new(),
            },
            carry,
            points,
            reference,
        })
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
        let content = Content::new(file, args.frame, out)?;
        // A result in a folder has no lasting name yet, but its input's suffix.
        let named = if out == args.out { out } else { path };
        args.output.check_dtype(named, &content.kind)?;
        let own = content.file.encoding();
        let encoding = args.output.encoding(&content.kind, out, own)?;
        let from = placed(self.spacing, path, content.file.geometry())?;
        let grid = self.grid()?;
        let at = |error: Error| Error::file(path, error.to_string());
        let mover = Mover::new(&from, content.volumes, grid, &self.pull).map_err(at)?;
        let (between, fill) = (args.interpolation.into(), args.output.fill);
        // One by one, since a long series in float32 may not fit into memory.
        let moved = (0..content.volumes).map(|number| {
            let mut image = content.volume(number)?;
            image.geometry = from.clone();
            mover
                .moved(&image, between, fill.outside(&image))
                .map_err(at)
        });
        Ok(write_volumes(
            out,
            (grid, &content.kind),
            encoding,
            NOTE,
            moved,
        )?)
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

/// What of an image file is moved.
struct Content {
    file: SeriesFile,
    /// Where not all of it is moved: the volume that `--frame` chooses, or else the luminance.
    one: Option<Option<usize>>,
    kind: SeriesKind,
    /// Volumes, or channels of colours.
    volumes: usize,
}

impl Content {
    /// All volumes, or the one that `frame` chooses; colours if the result has the format of the image.
    fn new(file: SeriesFile, frame: Option<usize>, out: &Path) -> anyhow::Result<Self> {
        let kind = file.kind();
        let same = Format::of(file.path())? == Format::of(out)?;
        let whole = frame.is_none() && (same || kind != SeriesKind::Colour);
        let (kind, volumes) = match whole {
            true => (kind, file.volumes()),
            false => (SeriesKind::SINGLE, 1),
        };
        Ok(Self {
            file,
            one: (!whole).then_some(frame),
            kind,
            volumes,
        })
    }

    fn volume(&self, number: usize) -> crate::error::Result<Image> {
        match self.one {
            None => self.file.volume(number),
            Some(frame) => self.file.image(frame),
        }
    }
}
