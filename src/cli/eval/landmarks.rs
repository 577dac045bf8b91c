//! Landmarks of a pair as its files have them.

use std::path::PathBuf;

use super::EvalArgs;
use super::listed::Solution;
use crate::cli::Common;
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
    /// # Errors
    /// Files that are neither landmark lists nor label maps of the scans, or do not correspond.
    pub fn read(
        args: &EvalArgs,
        files: &[PathBuf; 2],
        scans: [&ScanFile; 2],
        solution: &Solution,
        common: &Common,
    ) -> anyhow::Result<Self> {
        match Format::of(&files[0]) {
            Ok(_) => Self::drawn(files, scans, solution),
            Err(_) => Self::listed(args, files, scans, solution, common),
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
        common: &Common,
    ) -> anyhow::Result<Self> {
        let space = args.points_space;
        let grid = fixed.geometry();
        let f = space.read(fixed_file, Some(grid))?;
        let m = space.read(moving_file, Some(moving.geometry()))?;
        let (found, note) = correspondence((&f, fixed_file), (&m, moving_file))?;
        if let Some(note) = note {
            common.say(note);
        }
        // The fixed grid as the moving world sees it: its voxels are those of the fixed grid.
        let affine = Affine(solution.linear * grid.affine.0);
        let beside = Geometry::new(grid.shape, grid.dimension, affine);
        Ok(Self::Lists(found.voxels((&f, grid), (&m, &beside))?))
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
