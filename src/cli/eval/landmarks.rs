//! Landmarks of a pair as its files have them.

use std::path::{Path, PathBuf};

use anyhow::ensure;

use super::EvalArgs;
use super::listed::Solution;
use crate::cli::points::correspondence;
use crate::cli::scan::ScanFile;
use crate::dataset::{Landmark, SharedLandmarks};
use crate::eval::{Landmarks, Protocol, drawn_landmarks};
use crate::register::{Transform, pull_labels};
use crate::volume::resample::LabelInterpolation;
use crate::volume::{Affine, Format, Geometry, LabelMap};

/// Corresponding landmarks, on the fixed grid after the linear part.
pub enum Points {
    Lists(SharedLandmarks),
    /// As LUMIR measures those that are drawn: they move as labels do.
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
        let drawn = Format::of(&files[0]).is_ok();
        match args.protocol {
            Protocol::Lumir if drawn => Ok((Self::volumes(files, scans, solution)?, None)),
            _ => Self::lists(args, files, scans, solution),
        }
    }

    fn volumes(
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

    fn lists(
        args: &EvalArgs,
        [fixed_file, moving_file]: &[PathBuf; 2],
        [fixed, moving]: [&ScanFile; 2],
        solution: &Solution,
    ) -> anyhow::Result<(Self, Option<String>)> {
        let f = listed(args, fixed_file, fixed)?;
        let m = listed(args, moving_file, moving)?;
        let (found, note) = correspondence((&f, fixed_file), (&m, moving_file))?;
        let grid = fixed.geometry();
        // The fixed grid as the world of the moving scan's file sees it: its voxels are those of the fixed grid.
        let to_own = moving.own_grid().affine.0 * moving.geometry().to_voxel()?;
        let affine = Affine(to_own * solution.linear * grid.affine.0);
        let beside = Geometry::new(grid.shape, grid.dimension, affine);
        let shared = found.voxels((&f, fixed.own_grid()), (&m, &beside))?;
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

/// Landmarks in the world of the scan's file. Those that are drawn are where their voxels have their centre: resampled to another
/// grid, single voxels would be lost.
fn listed(args: &EvalArgs, file: &Path, scan: &ScanFile) -> anyhow::Result<Vec<Landmark>> {
    if Format::of(file).is_err() {
        return Ok(args.points_space().read(file, Some(scan.own_grid()))?);
    }
    let drawn = drawn_landmarks(&scan.labels(file)?);
    ensure!(
        !drawn.is_empty(),
        "{}: no landmark is drawn in it; expected voxels above 0, or a list x,y,z,name",
        file.display()
    );
    let to_world = &scan.own_grid().affine;
    let landmark = |(name, place)| Landmark {
        at: to_world.to_world(place),
        name,
    };
    Ok(drawn.into_iter().map(landmark).collect())
}
