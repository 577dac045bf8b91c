//! Landmark files: CSV `x,y,z,name` in LPS millimetres, and the markups of 3D Slicer.

mod csv;
mod slicer;

pub use self::csv::PointTable;
pub use slicer::Markups;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use nalgebra::Matrix4;

use crate::error::{Error, Result};
use crate::volume::{Geometry, VoxelPoint, WorldPoint};

/// A point of an image that has a counterpart in others.
#[derive(Debug, Clone, PartialEq)]
pub struct Landmark {
    pub at: WorldPoint,
    /// Empty where the file gives none: then landmarks correspond by their order.
    pub name: String,
}

/// Reads landmarks: `.mrk.json` and `.fcsv` of 3D Slicer, else CSV as [`PointTable::read`].
///
/// # Errors
/// A file that is not of that kind, or holds no landmark.
pub fn read_landmarks(path: impl AsRef<Path>) -> Result<Vec<Landmark>> {
    let path = path.as_ref();
    let landmarks = match Markups::is_named(path) {
        true => Markups::read(path)?.landmarks().to_vec(),
        false => PointTable::read(path)?.landmarks().to_vec(),
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

/// Which landmarks of two images belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Correspondence {
    /// Places in the list of the fixed and of the moving image, in the order of the fixed one.
    pub pairs: Vec<(usize, usize)>,
    /// How many of the fixed and of the moving landmarks have no counterpart.
    pub unpaired: [usize; 2],
}

/// Landmarks that two images share, one to one, as voxels of two grids.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SharedLandmarks {
    /// Empty where neither image gives one.
    pub names: Vec<String>,
    pub fixed: Vec<VoxelPoint>,
    pub moving: Vec<VoxelPoint>,
}

/// Pairs landmarks by name where both lists are named, else by order.
///
/// # Errors
/// Lists without names that differ in length; a name twice in one list; no name in common.
pub fn corresponding(fixed: &[Landmark], moving: &[Landmark]) -> Result<Correspondence> {
    let named = |list: &[Landmark]| list.iter().all(|landmark| !landmark.name.is_empty());
    let pairs = match named(fixed) && named(moving) {
        true => by_name(fixed, moving)?,
        false => by_order(fixed, moving)?,
    };
    let unpaired = [fixed, moving].map(|list| list.len() - pairs.len());
    Ok(Correspondence { pairs, unpaired })
}

fn by_name(fixed: &[Landmark], moving: &[Landmark]) -> Result<Vec<(usize, usize)>> {
    check_unique(fixed)?;
    check_unique(moving)?;
    let names = moving.iter().enumerate();
    let places: HashMap<&str, usize> = names.map(|(m, l)| (l.name.as_str(), m)).collect();
    let pair = |(f, landmark): (usize, &Landmark)| Some((f, *places.get(landmark.name.as_str())?));
    let pairs: Vec<(usize, usize)> = fixed.iter().enumerate().filter_map(pair).collect();
    match pairs.is_empty() {
        true => Err(Error::invalid(
            "landmarks: the two images have no name in common",
        )),
        false => Ok(pairs),
    }
}

fn by_order(fixed: &[Landmark], moving: &[Landmark]) -> Result<Vec<(usize, usize)>> {
    if fixed.len() != moving.len() {
        return Err(Error::invalid(format!(
            "landmarks: {} in the fixed image, {} in the moving one; name them or give both images the same list",
            fixed.len(),
            moving.len()
        )));
    }
    Ok((0..fixed.len()).map(|n| (n, n)).collect())
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

impl Correspondence {
    /// What a pair is called: as its fixed landmark, else as its moving one; empty where neither has a name.
    pub fn name<'a>(fixed: &'a Landmark, moving: &'a Landmark) -> &'a str {
        match fixed.name.as_str() {
            "" => &moving.name,
            name => name,
        }
    }

    /// The pairs of these two lists, as voxels of the grid beside each.
    ///
    /// # Errors
    /// A grid without an inverse.
    pub fn voxels(
        &self,
        (fixed, fixed_grid): (&[Landmark], &Geometry),
        (moving, moving_grid): (&[Landmark], &Geometry),
    ) -> Result<SharedLandmarks> {
        let [to_fixed, to_moving] = [fixed_grid.to_voxel()?, moving_grid.to_voxel()?];
        let voxel = |to_voxel: &Matrix4<f64>, landmark: &Landmark| {
            VoxelPoint(to_voxel.transform_point(&landmark.at.0.into()).coords)
        };
        let mut shared = SharedLandmarks::default();
        for &(f, m) in &self.pairs {
            let (f, m) = (&fixed[f], &moving[m]);
            shared.names.push(Self::name(f, m).into());
            shared.fixed.push(voxel(&to_fixed, f));
            shared.moving.push(voxel(&to_moving, m));
        }
        Ok(shared)
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
        let error = read("1,2,3,ac\n4,5,6,pc\n").unwrap_err().to_string();
        assert!(error.contains("line 1 has no column x"), "{error}");
    }

    /// As ANTs writes points, and as Learn2Reg does.
    #[test]
    fn tables_of_other_programs_are_read() {
        let ants = read("x,y,z,t,label,comment\n1,2,3,0,7,tumour\n4,5,6,0,8,\n").unwrap();
        assert_eq!(ants[0].at.0, Vector3::new(-1.0, -2.0, 3.0));
        assert_eq!([&ants[0].name, &ants[1].name], ["7", "8"]);
        let kinds = read("x,y,z,t,label\n1,2,3,0,1\n4,5,6,0,1\n").unwrap();
        assert!(kinds.iter().all(|landmark| landmark.name.is_empty()));
        let bare = read("1,2,3\n4, 5, 6\n").unwrap();
        assert_eq!(bare.len(), 2);
        assert_eq!(bare[1].at.0, Vector3::new(-4.0, -5.0, 6.0));
        let named = read("z,y,x,label,name\n3,2,1,7,ac\n").unwrap();
        assert_eq!(named[0].at.0, Vector3::new(-1.0, -2.0, 3.0));
        assert_eq!(named[0].name, "ac");
    }

    #[test]
    fn numbers_are_all_that_changes_in_a_table() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("points.csv");
        let moved = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let table = PointTable::read(&path).unwrap();
            table.moved_to(&[Vector3::new(10.0, -20.0, 30.25)])
        };
        assert_eq!(
            moved("z,name,x,y,t,comment\n3,ac,1,2,0,\"a, b\"\n"),
            "z,name,x,y,t,comment\n30.250000,ac,10.000000,-20.000000,0,\"a, b\"\n"
        );
        assert_eq!(moved("1,2,3\n"), "10.000000,-20.000000,30.250000\n");
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
        let moving = read("x,y,z,name\n-7,0,0,c\n-5,0,0,b\n-9,0,0,d\n").unwrap();
        let found = corresponding(&fixed, &moving).unwrap();
        assert_eq!((&found.pairs[..], found.unpaired), (&[(1, 1)][..], [1, 2]));
        let shared = found.voxels((&fixed, &grid), (&moving, &grid)).unwrap();
        // RAS (3, 0, 0) and (5, 0, 0); voxel = (x + 1) / 2.
        let at = |x: f64| vec![VoxelPoint(Vector3::new(x, 0.0, 0.0))];
        assert_eq!(shared.names, ["b"]);
        assert_eq!((shared.fixed, shared.moving), (at(2.0), at(3.0)));
        let twice = read("x,y,z,name\n-5,0,0,b\n-7,0,0,b\n").unwrap();
        let error = corresponding(&fixed, &twice).unwrap_err();
        assert!(error.to_string().contains("'b' occurs twice"), "{error}");
        let others = read("x,y,z,name\n-5,0,0,x\n").unwrap();
        let error = corresponding(&fixed, &others).unwrap_err();
        assert!(error.to_string().contains("no name in common"), "{error}");
    }

    #[test]
    fn without_names_the_order_decides() {
        let fixed = read("x,y,z,name\n1,0,0,a\n2,0,0,\n").unwrap();
        let moving = read("x,y,z\n3,0,0\n4,0,0\n").unwrap();
        let found = corresponding(&fixed, &moving).unwrap();
        assert_eq!(found.pairs, [(0, 0), (1, 1)]);
        assert_eq!(found.unpaired, [0, 0]);
        let grid = Geometry::new([9, 9, 9], Dimension::Three, Affine::identity());
        let shared = found.voxels((&fixed, &grid), (&moving, &grid)).unwrap();
        assert_eq!(shared.names, ["a", ""]);
        assert_eq!(Correspondence::name(&moving[0], &fixed[0]), "a");
        let error = corresponding(&fixed, &moving[..1]).unwrap_err();
        assert!(error.to_string().contains("1 in the moving one"), "{error}");
    }
}
