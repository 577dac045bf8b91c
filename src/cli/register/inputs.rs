//! What a pair is registered from.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::channel::{ChannelFiles, ChannelScans};
use super::landmarks::Landmarks;
use crate::cli::points::PointSpace;
use crate::cli::reading::ReadArgs;
use crate::cli::record;
use crate::cli::scan::ScanFile;
use crate::error::Result;
use crate::register::Assessed;
use crate::volume::LabelMap;
use crate::volume::resample::LabelInterpolation;

/// The files of a pair.
#[derive(Debug, Clone, Default)]
pub struct PairFiles {
    pub fixed: PathBuf,
    pub moving: PathBuf,
    /// Which volume of 4-D images: fixed, moving.
    pub frames: [Option<usize>; 2],
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
    pub fn record(&self) -> Value {
        let image = |path, frame| {
            let mut facts = record::file(path);
            facts["frame"] = json!(frame);
            facts
        };
        let other = |path: &Option<PathBuf>| path.as_deref().map(record::file);
        json!({
            "fixed": image(&self.fixed, self.frames[0]),
            "moving": image(&self.moving, self.frames[1]),
            "fixed_labels": other(&self.fixed_labels),
            "moving_labels": other(&self.moving_labels),
            "fixed_mask": other(&self.fixed_mask),
            "moving_mask": other(&self.moving_mask),
            "fixed_points": other(&self.fixed_points),
            "moving_points": other(&self.moving_points),
            "channels": self.channels.iter().map(ChannelFiles::record).collect::<Vec<_>>(),
        })
    }
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
        let fixed = ScanFile::read(&files.fixed, files.frames[0], reading.fixed())?;
        let fixed = fixed.masked(files.fixed_mask.as_deref())?;
        let moving = ScanFile::read_to_move(&files.moving, files.frames[1], reading.moving())?;
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
    pub fn record(&self) -> Value {
        let mut facts = self.files.record();
        for (name, scan) in [("fixed", &self.fixed), ("moving", &self.moving)] {
            facts[name]["grid"] = record::grid(scan.geometry());
        }
        facts
    }
}
