//! What a pair is registered from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::channel::{ChannelFiles, ChannelScans};
use super::file_records::FileRecords;
use super::landmarks::Landmarks;
use crate::cli::points::PointSpace;
use crate::cli::reading::ReadArgs;
use crate::cli::record;
use crate::cli::scan::{ScanFile, spacing_text};
use crate::error::{Error, Result};
use crate::register::Assessed;
use crate::volume::resample::LabelInterpolation;
use crate::volume::{Format, LabelMap, SeriesFile, SeriesKind, read_geometry};

/// The files of a pair.
#[derive(Debug, Clone, Default)]
pub struct PairFiles {
    pub fixed: PathBuf,
    pub moving: PathBuf,
    /// Which volume of 4-D images: fixed, moving.
    pub frames: [Option<usize>; 2],
    /// The content of fixed and moving, where pairs of one command share it.
    pub shared: [Option<Arc<SeriesFile>>; 2],
    pub fixed_labels: Option<PathBuf>,
    pub moving_labels: Option<PathBuf>,
    pub fixed_mask: Option<PathBuf>,
    pub moving_mask: Option<PathBuf>,
    pub fixed_points: Option<PathBuf>,
    pub moving_points: Option<PathBuf>,
    pub channels: Vec<ChannelFiles>,
}

impl PairFiles {
    /// Which files these are, and whether they have changed since: for `run.json`.
    pub fn record(&self, files: &FileRecords) -> Value {
        let image = |path, frame| {
            let mut facts = files.of(path);
            facts["frame"] = json!(frame);
            facts
        };
        let other = |path: &Option<PathBuf>| path.as_deref().map(|path| files.of(path));
        json!({
            "fixed": image(&self.fixed, self.frames[0]),
            "moving": image(&self.moving, self.frames[1]),
            "fixed_labels": other(&self.fixed_labels),
            "moving_labels": other(&self.moving_labels),
            "fixed_mask": other(&self.fixed_mask),
            "moving_mask": other(&self.moving_mask),
            "fixed_points": other(&self.fixed_points),
            "moving_points": other(&self.moving_points),
            "channels": self.channels.iter().map(|channel| channel.record(files)).collect::<Vec<_>>(),
        })
    }

    /// All that it names.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let points = [&self.fixed_points, &self.moving_points].into_iter();
        self.volumes().chain(points.flatten().map(PathBuf::as_path))
    }

    /// Images, and what lies on their grids.
    fn volumes(&self) -> impl Iterator<Item = &Path> {
        let others = [
            &self.fixed_labels,
            &self.moving_labels,
            &self.fixed_mask,
            &self.moving_mask,
        ];
        let own = [&self.fixed, &self.moving].into_iter();
        let own = own.chain(others.into_iter().flatten());
        let channels = self.channels.iter().flat_map(ChannelFiles::paths);
        own.map(PathBuf::as_path).chain(channels)
    }

    /// The content of the fixed (0) or the moving image (1), read now unless it is shared.
    ///
    /// # Errors
    /// A file that cannot be read, one of several volumes none of which was chosen.
    fn content(&self, side: usize) -> Result<Arc<SeriesFile>> {
        let path = [&self.fixed, &self.moving][side];
        let file = match &self.shared[side] {
            Some(file) => file.clone(),
            None => Arc::new(SeriesFile::read(path)?),
        };
        match file.kind() {
            SeriesKind::Frames { sizes, .. }
                if !sizes.is_empty() && self.frames[side].is_none() =>
            {
                Err(Error::file(path, unchosen(&sizes, side)))
            }
            SeriesKind::Frames { .. } | SeriesKind::Colour => Ok(file),
        }
    }
}

/// What is to be done where a volume of the fixed (0) or the moving image (1) has to be chosen, which has `sizes` beside the
/// three axes of space.
fn unchosen(sizes: &[usize], side: usize) -> String {
    let (axes, last) = (3 + sizes.len(), sizes.iter().product::<usize>() - 1);
    let [option, or_all] = [
        ["--fixed-frame", ""],
        ["--moving-frame", ", or take all by --all-frames"],
    ][side];
    format!("{axes}-D: choose a volume by {option} N (0 to {last}){or_all}")
}

/// Refuses a pixel size where every file states that of its voxels.
///
/// # Errors
/// A pixel size beside pairs none of which has a picture or a numpy file.
pub fn check_spacing<'a>(
    args: &ReadArgs,
    mut pairs: impl Iterator<Item = &'a PairFiles> + Clone,
) -> Result<()> {
    let first = pairs.clone().next();
    let (Some(_), Some(first)) = (args.spacing, first) else {
        return Ok(());
    };
    let states = |path: &Path| Format::of(path).is_ok_and(Format::has_geometry);
    // What cannot be read is told when it is read.
    let Ok(grid) = read_geometry(&first.fixed) else {
        return Ok(());
    };
    if !pairs.all(|pair| pair.volumes().all(states)) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "--spacing is for pictures and numpy files; {} states {} mm. For the network's grid see --network-spacing",
        first.fixed.display(),
        spacing_text(&grid)
    )))
}

/// The content of the files.
pub struct Inputs {
    pub files: PairFiles,
    pub fixed: ScanFile,
    pub moving: ScanFile,
    pub fixed_labels: Option<LabelMap>,
    pub moving_labels: Option<LabelMap>,
    pub landmarks: Option<Landmarks>,
    pub channels: Vec<ChannelScans>,
}

impl Inputs {
    /// # Errors
    /// A file that cannot be read; labels on another grid than their image; landmarks without counterpart.
    pub fn read(files: &PairFiles, reading: &ReadArgs, space: PointSpace) -> Result<Self> {
        let [of_fixed, of_moving] = files.frames;
        let fixed = ScanFile::of(files.content(0)?.as_ref(), of_fixed, reading.fixed())?;
        let fixed = fixed.masked(files.fixed_mask.as_deref())?;
        let moving = ScanFile::to_move(files.content(1)?.as_ref(), of_moving, reading.moving())?;
        let moving = moving.masked(files.moving_mask.as_deref())?;
        let labels = |scan: &ScanFile, path: &Option<PathBuf>| {
            path.as_deref().map(|path| scan.labels(path)).transpose()
        };
        Ok(Self {
            fixed_labels: labels(&fixed, &files.fixed_labels)?,
            moving_labels: labels(&moving, &files.moving_labels)?,
            landmarks: Landmarks::read(
                [&files.fixed_points, &files.moving_points],
                space,
                [fixed.geometry(), moving.geometry()],
            )?,
            channels: files
                .channels
                .iter()
                .map(|channel| channel.read(reading.spacing))
                .collect::<Result<_>>()?,
            files: files.clone(),
            fixed,
            moving,
        })
    }

    pub fn assessed(&self, label_interpolation: LabelInterpolation) -> Assessed<'_> {
        Assessed {
            label_interpolation,
            fixed: &self.fixed.image,
            moving: &self.moving.image,
            masks: [self.fixed.mask.as_ref(), self.moving.mask.as_ref()],
            labels: self.fixed_labels.as_ref().zip(self.moving_labels.as_ref()),
        }
    }

    /// [`PairFiles::record`] with the grids of the images.
    pub fn record(&self, files: &FileRecords) -> Value {
        let mut facts = self.files.record(files);
        for (name, scan) in [("fixed", &self.fixed), ("moving", &self.moving)] {
            facts[name]["grid"] = record::grid(scan.geometry());
        }
        facts
    }
}
