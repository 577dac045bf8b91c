//! Landmark files in the spaces and formats that programs write them in.

use std::path::Path;

use crate::dataset::{Correspondence, Landmark, Markups, corresponding, read_landmarks};
use crate::error::{Error, Result};
use crate::volume::{Geometry, VoxelPoint, WorldPoint, write_atomically, write_text};

/// What the numbers of a CSV landmark file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PointSpace {
    /// Millimetres to the left, posterior and superior: ITK, ANTs, Slicer
    #[default]
    Lps,
    /// Millimetres to the right, anterior and superior: NIfTI, nibabel
    Ras,
    /// Voxel indices (i, j, k), counted from 0
    Voxel,
}

/// A landmark file that is to be written again with other places.
pub enum PointFile {
    /// CSV `x,y,z,name`.
    Table {
        landmarks: Vec<Landmark>,
        space: PointSpace,
    },
    /// 3D Slicer's, which says itself what its numbers are.
    Markups(Markups),
}

impl PointFile {
    /// Reads markups of Slicer by their name, else CSV; `grid` gives voxel indices their place.
    ///
    /// # Errors
    /// A file that is not of that kind; voxel indices without a grid.
    pub fn read(path: &Path, space: PointSpace, grid: Option<&Geometry>) -> Result<Self> {
        // Also refuses a file without landmarks.
        let mut landmarks = read_landmarks(path)?;
        if Markups::is_named(path) {
            return Ok(Self::Markups(Markups::read(path)?));
        }
        for landmark in &mut landmarks {
            // The reader takes the numbers for LPS and turns them into RAS.
            let numbers = landmark.at.lps();
            landmark.at = match space {
                PointSpace::Lps => landmark.at,
                PointSpace::Ras => WorldPoint(numbers),
                PointSpace::Voxel => known(grid, path)?.affine.to_world(VoxelPoint(numbers)),
            };
        }
        Ok(Self::Table { landmarks, space })
    }

    pub fn landmarks(&self) -> &[Landmark] {
        match self {
            Self::Table { landmarks, .. } => landmarks,
            Self::Markups(markups) => markups.landmarks(),
        }
    }

    /// Writes the landmarks at other places, in the format and space they came in, whole or not at all; `grid` is that
    /// of voxel indices.
    ///
    /// # Errors
    /// Voxel indices without a grid, refusals of the operating system.
    pub fn write(&self, path: &Path, places: &[WorldPoint], grid: Option<&Geometry>) -> Result<()> {
        match self {
            Self::Table { landmarks, space } => space.write(path, landmarks, places, grid),
            Self::Markups(markups) => write_text(path, &markups.moved_to(places)),
        }
    }
}

impl PointSpace {
    /// The landmarks of a file, as [`PointFile::read`].
    ///
    /// # Errors
    /// As [`PointFile::read`].
    pub fn read(self, path: &Path, grid: Option<&Geometry>) -> Result<Vec<Landmark>> {
        Ok(PointFile::read(path, self, grid)?.landmarks().to_vec())
    }

    /// Writes landmarks at other places as CSV, whole or not at all; `grid` is that of voxel indices.
    ///
    /// # Errors
    /// Voxel indices without a grid, refusals of the operating system.
    pub fn write(
        self,
        path: &Path,
        landmarks: &[Landmark],
        places: &[WorldPoint],
        grid: Option<&Geometry>,
    ) -> Result<()> {
        let to_voxel = match self {
            Self::Voxel => Some(known(grid, path)?.to_voxel()?),
            _ => None,
        };
        let numbers = |at: WorldPoint| match to_voxel {
            Some(to_voxel) => (to_voxel * at.0.push(1.0)).xyz(),
            None if self == Self::Lps => at.lps(),
            None => at.0,
        };
        write_atomically(path, |file| {
            let mut csv = csv::Writer::from_writer(file);
            csv.write_record(["x", "y", "z", "name"])?;
            for (landmark, &place) in landmarks.iter().zip(places) {
                let [x, y, z]: [f64; 3] = numbers(place).into();
                let [x, y, z] = [x, y, z].map(|v| format!("{v:.6}"));
                csv.write_record([&x, &y, &z, &landmark.name])?;
            }
            csv.flush()
        })
    }
}

/// Which landmarks of two files belong together, and what is to be said where some are left out.
///
/// # Errors
/// Those of [`corresponding`], with the names of both files.
pub fn correspondence(
    (fixed, fixed_file): (&[Landmark], &Path),
    (moving, moving_file): (&[Landmark], &Path),
) -> Result<(Correspondence, Option<String>)> {
    let [fixed_name, moving_name] = [fixed_file.display(), moving_file.display()];
    let found = corresponding(fixed, moving)
        .map_err(|error| Error::invalid(format!("{fixed_name} and {moving_name}: {error}")))?;
    let note = match found.unpaired {
        [0, 0] => None,
        [f, m] => Some(format!(
            "note: landmarks that both files name: {}; left out: {f} of {fixed_name}, {m} of {moving_name}",
            found.pairs.len()
        )),
    };
    Ok((found, note))
}

fn known<'a>(grid: Option<&'a Geometry>, path: &Path) -> Result<&'a Geometry> {
    grid.ok_or_else(|| {
        Error::file(
            path,
            "voxel indices need a grid: name the landmarks' image by --points-image; for points to write, the grid by \
             --reference",
        )
    })
}
