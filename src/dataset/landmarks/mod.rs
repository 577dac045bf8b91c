//! Landmark files: CSV `x,y,z,name` in LPS millimetres, and the markups of 3D Slicer.

mod csv;
mod slicer;

pub use slicer::Markups;

use std::collections::HashSet;
use std::path::Path;

use crate::error::{Error, Result};
use crate::volume::{Geometry, VoxelPoint, WorldPoint};

/// A point of an image that has a counterpart in others.
#[derive(Debug, Clone, PartialEq)]
pub struct Landmark {
    pub at: WorldPoint,
    /// Empty where the file gives none: then landmarks correspond by their order.
    pub name: String,
}

/// Reads landmarks: `.mrk.json` and `.fcsv` of 3D Slicer, else CSV `x,y,z,name` in LPS millimetres (the name may be left
/// out).
///
/// # Errors
/// A file that is not of that kind, or holds no landmark.
pub fn read_landmarks(path: impl AsRef<Path>) -> Result<Vec<Landmark>> {
    let path = path.as_ref();
    let landmarks = match Markups::is_named(path) {
        true => Markups::read(path)?.landmarks().to_vec(),
        false => csv::read(path)?,
    };
    if landmarks.is_empty() {
        return Err(Error::file(
            path,
            "no landmark in the file; expected rows x,y,z,name or markups of Slicer",
        ));
    }
    let finite = |landmark: &&Landmark| landmark.at.0.iter().all(|v| v.is_finite());
    if let Some(n) = landmarks.iter().position(|landmark| !finite(&landmark)) {
        let problem = format!("landmark {}: expected numbers, found nan or inf", n + 1);
        return Err(Error::file(path, problem));
    }
    Ok(landmarks)
}

/// The landmarks that two images share, as voxels of the two grids, in the order of the first.
///
/// By name where both lists are named, else by order.
///
/// # Errors
/// Lists without names that differ in length; a name twice in one list; no name in common; a grid without an inverse.
pub fn corresponding(
    fixed: (&[Landmark], &Geometry),
    moving: (&[Landmark], &Geometry),
) -> Result<(Vec<VoxelPoint>, Vec<VoxelPoint>)> {
    let named = |list: &[Landmark]| list.iter().all(|landmark| !landmark.name.is_empty());
    let pairs: Vec<(&Landmark, &Landmark)> = if named(fixed.0) && named(moving.0) {
        check_unique(fixed.0)?;
        check_unique(moving.0)?;
        let partner = |f: &Landmark| moving.0.iter().find(|m| m.name == f.name);
        fixed
            .0
            .iter()
            .filter_map(|f| Some((f, partner(f)?)))
            .collect()
    } else if fixed.0.len() == moving.0.len() {
        fixed.0.iter().zip(moving.0).collect()
    } else {
        return Err(Error::invalid(format!(
            "landmarks: {} in the fixed image, {} in the moving one; name them or give both images the same list",
            fixed.0.len(),
            moving.0.len()
        )));
    };
    if pairs.is_empty() {
        return Err(Error::invalid(
            "landmarks: the two images have no name in common",
        ));
    }
    let voxels = |points: Vec<WorldPoint>, grid: &Geometry| -> Result<Vec<VoxelPoint>> {
        let inverse = grid.to_voxel()?;
        let voxel = |p: WorldPoint| VoxelPoint(inverse.transform_point(&p.0.into()).coords);
        Ok(points.into_iter().map(voxel).collect())
    };
    let (fixed_points, moving_points) = pairs.iter().map(|(f, m)| (f.at, m.at)).unzip();
    Ok((
        voxels(fixed_points, fixed.1)?,
        voxels(moving_points, moving.1)?,
    ))
}

fn check_unique(list: &[Landmark]) -> Result<()> {
    let mut names = HashSet::new();
    match list.iter().find(|landmark| !names.insert(&landmark.name)) {
        Some(Landmark { name, .. }) => Err(Error::invalid(format!(
            "landmarks: the name '{name}' occurs twice in one list; make it unique, or leave all names out to go by order"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::Vector3;

    use super::*;
    use crate::volume::{Affine, Dimension};

    fn read(text: &str) -> Result<Vec<Landmark>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("points.csv");
        std::fs::write(&path, text).unwrap();
        read_landmarks(path)
    }

    #[test]
    fn lps_becomes_ras() {
        let landmarks = read("x,y,z,name\n1,-2,3,ac\n").unwrap();
        assert_eq!(landmarks[0].at.0, Vector3::new(-1.0, 2.0, 3.0));
        assert_eq!(landmarks[0].name, "ac");
        assert_eq!(read("x,y,z\n1,2,3\n").unwrap()[0].name, "");
    }

    #[test]
    fn wrong_tables_are_refused() {
        assert!(read("x,y,z\n1,2,nan\n").is_err());
        for text in ["x,y\n1,2\n", "x,y,z\n1,2,left\n", "x,y,z\n"] {
            let error = read(text).unwrap_err().to_string();
            assert!(
                error.contains("points.csv") && error.contains("x,y,z,name"),
                "{error}"
            );
        }
    }

    #[test]
    fn names_decide_before_order_and_points_become_voxels() {
        let grid = Geometry::new(
            [9, 9, 9],
            Dimension::Three,
            Affine::from_parts(
                nalgebra::Matrix3::identity() * 2.0,
                Vector3::new(-1.0, 0.0, 0.0),
            ),
        );
        let fixed = read("x,y,z,name\n-1,-2,4,a\n-3,0,0,b\n").unwrap();
        let moving = read("x,y,z,name\n-5,0,0,b\n-7,0,0,c\n").unwrap();
        let (f, m) = corresponding((&fixed, &grid), (&moving, &grid)).unwrap();
        // RAS (3, 0, 0) and (5, 0, 0); voxel = (x + 1) / 2.
        assert_eq!(
            (f[0].0, m[0].0),
            (Vector3::new(2.0, 0.0, 0.0), Vector3::new(3.0, 0.0, 0.0))
        );
        assert_eq!(f.len(), 1);
        let twice = read("x,y,z,name\n-5,0,0,b\n-7,0,0,b\n").unwrap();
        let error = corresponding((&fixed, &grid), (&twice, &grid)).unwrap_err();
        assert!(error.to_string().contains("'b' occurs twice"), "{error}");
        let unnamed = read("x,y,z\n0,0,0\n").unwrap();
        assert!(corresponding((&fixed, &grid), (&unnamed, &grid)).is_err());
    }
}
