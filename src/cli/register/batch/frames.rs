//! `hmorph register --all-frames`: every volume of a 4-D image, registered to one.

use std::path::Path;
use std::sync::Arc;

use anyhow::ensure;

use super::plan::Task;
use super::shard::Shard;
use crate::cli::output::OutputArgs;
use crate::cli::register::inputs::PairFiles;
use crate::error::Result;
use crate::volume::{Series, SeriesFile, read_image, write_series};

/// The volumes of a moving image, and what they are registered to.
pub struct Frames {
    pub files: PairFiles,
    moving: Arc<SeriesFile>,
}

impl Frames {
    /// Of a 4-D fixed image without a chosen volume the middle one is the reference, as in FSL's mcflirt.
    ///
    /// # Errors
    /// Files that cannot be read; a moving image of a single volume.
    pub fn new(mut files: PairFiles) -> anyhow::Result<Self> {
        let moving = Arc::new(SeriesFile::read(&files.moving)?);
        ensure!(
            moving.kind().images() > 1,
            "{}: a single image; --all-frames is for those of several volumes, leave it out",
            files.moving.display()
        );
        let fixed = match files.fixed == files.moving {
            true => moving.clone(),
            false => Arc::new(SeriesFile::read(&files.fixed)?),
        };
        if files.frames[0].is_none() {
            let images = fixed.kind().images();
            files.frames[0] = (images > 1).then_some(images / 2);
        }
        // Every volume takes its own from here: read by each of them, a series would be read as often as it has volumes.
        files.shared = [Some(fixed), Some(moving.clone())];
        Ok(Self { files, moving })
    }

    /// One for each volume of this part, with folders below `out`.
    pub fn tasks(&self, shard: Option<Shard>, out: &Path) -> Vec<Task> {
        let all = 0..self.moving.kind().images();
        let mine = all.filter(|&n| shard.is_none_or(|shard| shard.has(n)));
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
            ..Task::default()
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
            kind: self.moving.kind(),
        };
        let encoding = output.encoding(&series.kind, &path, self.moving.encoding())?;
        let note = "hmorph: every moving volume on the fixed grid";
        write_series(path, &series, encoding, note)
    }
}

/// The moved image, in the folder of each volume and of all.
pub const MOVED: &str = "moved.nii.gz";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::points::PointSpace;
    use crate::cli::reading::ReadArgs;
    use crate::cli::register::inputs::Inputs;
    use crate::volume::{Affine, DType, Dimension, Geometry, Image, SeriesKind};
    use ndarray::Array3;

    #[test]
    fn a_series_is_read_once_for_all_its_volumes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bold.nii.gz");
        let geometry = Geometry::new([4, 3, 2], Dimension::Three, Affine::identity());
        let volume = |n: usize| Image {
            data: Array3::from_shape_fn((4, 3, 2), |(i, j, k)| {
                (100 * n + 6 * i + 2 * j + k) as f32
            }),
            geometry: geometry.clone(),
        };
        let bold = Series {
            volumes: (0..3).map(volume).collect(),
            kind: SeriesKind::Frames {
                sizes: vec![3],
                step: None,
            },
        };
        write_series(&path, &bold, DType::I16, "").unwrap();
        let files = PairFiles {
            fixed: path.clone(),
            moving: path.clone(),
            ..PairFiles::default()
        };
        let frames = Frames::new(files).unwrap();
        // What is not there cannot be read again.
        std::fs::remove_file(&path).unwrap();
        let tasks = frames.tasks(None, folder.path());
        assert_eq!(tasks.len(), 3);
        for (task, volume) in tasks.iter().zip(&bold.volumes) {
            let reading = ReadArgs::default();
            let inputs = Inputs::read(&task.files, &reading, PointSpace::default()).unwrap();
            assert_eq!(inputs.moving.image.data, volume.data);
            assert_eq!(inputs.fixed.image.data, bold.volumes[1].data);
        }
    }
}
