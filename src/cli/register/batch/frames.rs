//! `hmorph register --all-frames`: every volume of a 4-D image, registered to one.

use std::path::Path;

use anyhow::ensure;

use super::plan::Task;
use super::shard::Shard;
use crate::cli::output::OutputArgs;
use crate::cli::register::inputs::PairFiles;
use crate::error::Result;
use crate::volume::{Series, SeriesKind, read_image, read_series_kind, write_series};

/// The volumes of a moving image, and what they are registered to.
pub struct Frames {
    pub files: PairFiles,
    kind: SeriesKind,
}

impl Frames {
    /// Of a 4-D fixed image without a chosen volume the middle one is the reference, as in FSL's mcflirt.
    ///
    /// # Errors
    /// Files that cannot be read; a moving image of a single volume.
    pub fn new(mut files: PairFiles) -> anyhow::Result<Self> {
        let kind = read_series_kind(&files.moving)?;
        ensure!(
            kind.images() > 1,
            "{}: a single image; --all-frames is for those of several volumes, leave it out",
            files.moving.display()
        );
        if files.frames[0].is_none() {
            let images = read_series_kind(&files.fixed)?.images();
            files.frames[0] = (images > 1).then_some(images / 2);
        }
        Ok(Self { files, kind })
    }

    /// One for each volume of this part, with folders below `out`.
    pub fn tasks(&self, shard: Option<Shard>, out: &Path) -> Vec<Task> {
        let mine = (0..self.kind.images()).filter(|&n| shard.is_none_or(|shard| shard.has(n)));
        mine.map(|number| self.task(number, out)).collect()
    }

    fn task(&self, number: usize, out: &Path) -> Task {
        let id = format!("frame-{number:04}");
        Task {
            out: out.join(&id),
            id,
            files: PairFiles {
                frames: [self.files.frames[0], Some(number)],
                ..self.files.clone()
            },
        }
    }

    /// Writes the moved volumes of all folders as one image.
    ///
    /// # Errors
    /// A folder without its moved volume, refusals of the operating system.
    pub fn gather(&self, out: &Path, output: &OutputArgs) -> Result<()> {
        let path = out.join(MOVED);
        let moved = self.tasks(None, out);
        let moved = moved.iter().map(|task| read_image(task.out.join(MOVED)));
        let series = Series {
            volumes: moved.collect::<Result<_>>()?,
            kind: self.kind.clone(),
        };
        let dtype = output.dtype(&self.kind, &self.files.moving, &path)?;
        let note = "hmorph: every moving volume on the fixed grid";
        write_series(path, &series, dtype, note)
    }
}

/// The moved image, in the folder of each volume and of all.
pub const MOVED: &str = "moved.nii.gz";
