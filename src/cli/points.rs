//! Landmark files in the spaces that programs write them in.

use std::path::Path;

use nalgebra::Vector3;

use crate::dataset::{Landmark, read_landmarks};
use crate::error::{Error, Result};
use crate::volume::{Geometry, VoxelPoint, WorldPoint, write_atomically};

/// What the numbers of a landmark file are.
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

impl PointSpace {
    /// Reads CSV `x,y,z,name`; `grid` gives voxel indices their place.
    ///
    /// # Errors
    /// A file that is not such a table; voxel indices without a grid.
    pub fn read(self, path: &Path, grid: Option<&Geometry>) -> Result<Vec<Landmark>> {
        let mut landmarks = read_landmarks(path)?;
        for landmark in &mut landmarks {
            // The reader takes the numbers for LPS and turns them into RAS.
            let numbers = landmark.at.0.component_mul(&Vector3::new(-1.0, -1.0, 1.0));
            landmark.at = match self {
                Self::Lps => landmark.at,
                Self::Ras => WorldPoint(numbers),
                Self::Voxel => known(grid, path)?.affine.to_world(VoxelPoint(numbers)),
            };
        }
        Ok(landmarks)
    }

    /// Writes CSV `x,y,z,name`, whole or not at all.
    ///
    /// # Errors
    /// Voxel indices without a grid, refusals of the operating system.
    pub fn write(self, path: &Path, landmarks: &[Landmark], grid: Option<&Geometry>) -> Result<()> {
        let to_voxel = match self {
            Self::Voxel => known(grid, path)?.affine.inverse(),
            _ => None,
        };
        let numbers = |at: WorldPoint| match to_voxel {
            Some(to_voxel) => (to_voxel * at.0.push(1.0)).xyz(),
            None if self == Self::Lps => Vector3::new(-at.0.x, -at.0.y, at.0.z),
            None => at.0,
        };
        write_atomically(path, |file| {
            let mut csv = csv::Writer::from_writer(file);
            csv.write_record(["x", "y", "z", "name"])?;
            for landmark in landmarks {
                let [x, y, z]: [f64; 3] = numbers(landmark.at).into();
                let [x, y, z] = [x, y, z].map(|v| format!("{v:.6}"));
                csv.write_record([&x, &y, &z, &landmark.name])?;
            }
            csv.flush()
        })
    }
}

fn known<'a>(grid: Option<&'a Geometry>, path: &Path) -> Result<&'a Geometry> {
    grid.ok_or_else(|| {
        Error::file(
            path,
            "voxel indices need a grid: name the landmarks' image by --points-image",
        )
    })
}
