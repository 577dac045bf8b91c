//! Landmark files in the spaces and formats that programs write them in.

use std::path::Path;

use nalgebra::Vector3;

use crate::dataset::{
    Correspondence, Landmark, Markups, PointTable, corresponding, read_landmarks,
};
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
        table: PointTable,
        /// In their place in the world.
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
                PointSpace::Voxel => {
                    let problem =
                        "voxel indices need a grid: name the landmarks' image by --points-image";
                    let grid = grid.ok_or_else(|| Error::file(path, problem))?;
                    grid.affine.to_world(VoxelPoint(numbers))
                }
            };
        }
        Ok(Self::Table {
            table: PointTable::read(path)?,
            landmarks,
            space,
        })
    }

    /// Whether its numbers are voxel indices, which need a grid when they are written too.
    pub fn has_voxels(&self) -> bool {
        let space = match self {
            Self::Table { space, .. } => Some(*space),
            Self::Markups(_) => None,
        };
        space == Some(PointSpace::Voxel)
    }

    pub fn landmarks(&self) -> &[Landmark] {
        match self {
            Self::Table { landmarks, .. } => landmarks,
            Self::Markups(markups) => markups.landmarks(),
        }
    }

    /// Writes the landmarks at other places, in the format and space they came in and with all else that came with them,
    /// whole or not at all; `grid` is that of voxel indices.
    ///
    /// # Errors
    /// Voxel indices without a grid, refusals of the operating system.
    pub fn write(&self, path: &Path, places: &[WorldPoint], grid: Option<&Geometry>) -> Result<()> {
        match self {
            Self::Table { table, space, .. } => {
                let numbers = space.numbers(path, places, grid)?;
                write_text(path, &table.moved_to(&numbers))
            }
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

    /// Writes landmarks at other places as CSV `x,y,z,name`, whole or not at all; `grid` is that of voxel indices.
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
        let numbers = self.numbers(path, places, grid)?;
        write_atomically(path, |file| {
            let mut csv = csv::Writer::from_writer(file);
            csv.write_record(["x", "y", "z", "name"])?;
            for (landmark, at) in landmarks.iter().zip(numbers) {
                let [x, y, z] = [at.x, at.y, at.z].map(|v| format!("{v:.6}"));
                csv.write_record([&x, &y, &z, &landmark.name])?;
            }
            csv.flush()
        })
    }

    /// Places as the file at `path` has them; `grid` is that of voxel indices.
    fn numbers(
        self,
        path: &Path,
        places: &[WorldPoint],
        grid: Option<&Geometry>,
    ) -> Result<Vec<Vector3<f64>>> {
        let to_voxel = match self {
            Self::Voxel => {
                let problem =
                    "voxel indices need a grid: name that of the points to write by --reference";
                let grid = grid.ok_or_else(|| Error::file(path, problem))?;
                Some(grid.to_voxel()?)
            }
            _ => None,
        };
        let number = |at: &WorldPoint| match to_voxel {
            Some(to_voxel) => (to_voxel * at.0.push(1.0)).xyz(),
            None if self == Self::Lps => at.lps(),
            None => at.0,
        };
        Ok(places.iter().map(number).collect())
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
