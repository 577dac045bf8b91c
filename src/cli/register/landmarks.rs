//! Corresponding landmarks: how far apart they are before and after, and the moving ones in fixed space.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::points::PointSpace;
use crate::dataset::Landmark;
use crate::error::{Error, Result};
use crate::eval::quantile;
use crate::metric::LandmarkWorld;
use crate::register::{Registration, Transform, map_point};
use crate::volume::{Geometry, WorldPoint};

/// What the errors of landmarks are, for `run.json` and whoever reads it.
pub const DIRECTION: &str = "landmarks of the fixed scan are carried forward to the moving scan; the error is their \
     distance to its landmarks there, in mm of the moving world";

/// Landmarks of the moving scan and, where they are known, their counterparts.
pub struct Landmarks {
    pub space: PointSpace,
    pub moving: Vec<Landmark>,
    /// In the order of `moving`.
    pub fixed: Option<Vec<Landmark>>,
}

impl Landmarks {
    /// Reads the files of both scans; nothing where there is none of the moving one.
    ///
    /// # Errors
    /// Files that are no landmark files; lists that do not correspond one to one.
    pub fn read(
        [fixed, moving]: [&Option<PathBuf>; 2],
        space: PointSpace,
        [fixed_grid, moving_grid]: [&Geometry; 2],
    ) -> Result<Option<Self>> {
        let Some(moving_file) = moving else {
            return Ok(None);
        };
        let moving = space.read(moving_file, Some(moving_grid))?;
        let fixed = match fixed {
            None => None,
            Some(file) => {
                let list = space.read(file, Some(fixed_grid))?;
                Some(partners((&moving, moving_file), (list, file))?)
            }
        };
        Ok(Some(Self {
            space,
            moving,
            fixed,
        }))
    }

    /// Writes the moving landmarks where they come to lie in the fixed scan.
    ///
    /// # Errors
    /// Refusals of the operating system.
    pub fn write_moved(&self, path: &Path, registration: &Registration) -> Result<()> {
        let inverse = [Transform::field(registration.inverse.clone())?];
        let landmarks = self.moving.iter();
        let moved: Vec<WorldPoint> = landmarks.map(|l| map_point(&inverse, l.at)).collect();
        let grid = &registration.forward.geometry;
        self.space.write(path, &self.moving, &moved, Some(grid))
    }

    /// The errors before and after; nothing without landmarks of the fixed scan.
    ///
    /// # Errors
    /// A grid whose affine has no inverse.
    pub fn errors(&self, registration: &Registration) -> Result<Option<LandmarkErrors>> {
        let Some(fixed) = &self.fixed else {
            return Ok(None);
        };
        let grid = &registration.inverse.geometry;
        let world = LandmarkWorld {
            affine: grid.affine,
            dimension: grid.dimension,
        };
        let distances = |transforms: &[Transform]| -> Vec<f64> {
            let pairs = fixed.iter().zip(&self.moving);
            pairs
                .map(|(from, to)| world.distance(map_point(transforms, from.at).0 - to.at.0))
                .collect()
        };
        Ok(Some(LandmarkErrors {
            names: self.moving.iter().map(|l| l.name.clone()).collect(),
            before: distances(&registration.initial_transform()),
            after: distances(&registration.transform()?),
        }))
    }
}

/// The fixed landmarks in the order of the moving ones: by name where all are named, else by their order.
fn partners(
    (moving, moving_file): (&[Landmark], &Path),
    (fixed, fixed_file): (Vec<Landmark>, &Path),
) -> Result<Vec<Landmark>> {
    let other = fixed_file.display();
    if moving.len() != fixed.len() {
        let problem = format!(
            "{} landmarks, but {} in {other}; list the same ones in both files",
            moving.len(),
            fixed.len()
        );
        return Err(Error::file(moving_file, problem));
    }
    if moving.iter().chain(&fixed).any(|l| l.name.is_empty()) {
        return Ok(fixed);
    }
    let mut by_name: HashMap<String, Landmark> =
        fixed.into_iter().map(|l| (l.name.clone(), l)).collect();
    let partner = |landmark: &Landmark| {
        by_name.remove(&landmark.name).ok_or_else(|| {
            let problem = format!(
                "landmark '{}' has no counterpart of its own in {other}; give each pair a name that is unique, or \
                 leave the names out to go by order",
                landmark.name
            );
            Error::file(moving_file, problem)
        })
    };
    moving.iter().map(partner).collect()
}

/// Target registration errors in mm, in the order of the moving landmarks.
pub struct LandmarkErrors {
    names: Vec<String>,
    before: Vec<f64>,
    after: Vec<f64>,
}

/// Errors of all landmarks in three numbers, mm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    #[serde(rename = "tre_mean_mm")]
    pub mean: f64,
    #[serde(rename = "tre_median_mm")]
    pub median: f64,
    #[serde(rename = "tre_max_mm")]
    pub max: f64,
}

impl Spread {
    fn of(errors: &[f64]) -> Self {
        Self {
            mean: errors.iter().sum::<f64>() / errors.len() as f64,
            median: quantile(errors, 0.5),
            max: errors.iter().copied().fold(0.0, f64::max),
        }
    }
}

impl LandmarkErrors {
    /// Before and after.
    pub fn spreads(&self) -> [Spread; 2] {
        [&self.before, &self.after].map(|errors| Spread::of(errors))
    }

    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// Name, error before and after of every landmark.
    pub fn each(&self) -> impl Iterator<Item = (&str, f64, f64)> {
        let errors = self.before.iter().zip(&self.after);
        let named = self.names.iter().zip(errors);
        named.map(|(name, (before, after))| (name.as_str(), *before, *after))
    }

    /// Every landmark, for `run.json`.
    pub fn record(&self) -> Value {
        let errors: Vec<Value> = self
            .each()
            .map(|(name, before, after)| json!({ "name": name, "before_mm": before, "after_mm": after }))
            .collect();
        json!({ "direction": DIRECTION, "errors": errors })
    }
}
