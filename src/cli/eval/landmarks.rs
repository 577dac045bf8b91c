//! Landmarks of a pair as its files have them.

use std::path::PathBuf;

use super::EvalArgs;
use super::listed::Solution;
use crate::cli::points::correspondence;
use crate::cli::scan::ScanFile;
use crate::dataset::SharedLandmarks;
use crate::eval::Landmarks;
use crate::register::{Transform, pull_labels};
use crate::volume::resample::LabelInterpolation;
use crate::volume::{Affine, Format, Geometry, LabelMap};

/// Corresponding landmarks, on the fixed grid after the linear part.
pub enum Points {
    Lists(SharedLandmarks),
    Volumes {
        fixed: Box<LabelMap>,
        moving: Box<LabelMap>,
    },
}

impl Points {
    /// With what is to be said where some are left out.
    ///
    /// # Errors
    /// Files that are neither landmark lists nor label maps of the scans, or do not correspond.
    pub fn read(
        args: &EvalArgs,
        files: &[PathBuf; 2],
        scans: [&ScanFile; 2],
        solution: &Solution,
    ) -> anyhow::Result<(Self, Option<String>)> {
        match Format::of(&files[0]) {
            Ok(_) => Ok((Self::drawn(files, scans, solution)?, None)),
            Err(_) => Self::listed(args, files, scans, solution),
        }
    }

    fn drawn(
        [fixed_file, moving_file]: &[PathBuf; 2],
        [fixed, moving]: [&ScanFile; 2],
        solution: &Solution,
    ) -> anyhow::Result<Self> {
        let drawn = moving.labels(moving_file)?;
        let start = [Transform::Affine(solution.linear)];
        // A landmark may be a single voxel, which no vote would keep.
        let there = pull_labels(
            &drawn,
            fixed.geometry(),
            &start,
            LabelInterpolation::Nearest,
        )?;
        Ok(Self::Volumes {
            fixed: Box::new(fixed.labels(fixed_file)?),
            moving: Box::new(there),
        })
    }

    fn listed(
        args: &EvalArgs,
        [fixed_file, moving_file]: &[PathBuf; 2],
        [fixed, moving]: [&ScanFile; 2],
        solution: &Solution,
    ) -> anyhow::Result<(Self, Option<String>)> {
        let space = args.points_space;
        let grid = fixed.geometry();
        let f = space.read(fixed_file, Some(grid))?;
        let m = space.read(moving_file, Some(moving.geometry()))?;
        let (found, note) = correspondence((&f, fixed_file), (&m, moving_file))?;
        // The fixed grid as the moving world sees it: its voxels are those of the fixed grid.
        let affine = Affine(solution.linear * grid.affine.0);
        let beside = Geometry::new(grid.shape, grid.dimension, affine);
        let shared = found.voxels((&f, grid), (&m, &beside))?;
        Ok((Self::Lists(shared), note))
    }

    pub fn landmarks(&self) -> Landmarks<'_> {
        match self {
            Self::Lists(shared) => Landmarks::Points {
                names: &shared.names,
                fixed: &shared.fixed,
                moving: &shared.moving,
            },
            Self::Volumes { fixed, moving } => Landmarks::Volumes { fixed, moving },
        }
    }
}
