//! Corresponding landmarks: how far apart they are before and after, and the moving ones in fixed space.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::points::{PointSpace, correspondence};
use crate::dataset::{Correspondence, Landmark};
use crate::error::Result;
use crate::eval::quantile;
use crate::metric::LandmarkWorld;
use crate::register::{Registration, Transform, map_point};
use crate::volume::{Geometry, WorldPoint};

/// What the errors of landmarks are, for `run.json` and whoever reads it.
const DIRECTION: &str = "landmarks of the fixed scan are carried forward to the moving scan; the error is their \
     distance to its landmarks there, in mm of the moving world";

/// Landmarks of the moving scan and, where they are known, the counterparts of some or all.
pub struct Landmarks {
    pub space: PointSpace,
    pub moving: Vec<Landmark>,
    pub fixed: Option<Partners>,
}

impl Landmarks {
    /// Reads the files of both scans; nothing where there is none of the moving one.
    ///
    /// # Errors
    /// Files that are no landmark files, or do not correspond.
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
                Some(Partners::new((&list, file), (&moving, moving_file))?)
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
        let pairs = fixed.list.iter();
        let pairs: Vec<(&Landmark, &Landmark)> = pairs
            .map(|partner| (&partner.fixed, &self.moving[partner.of]))
            .collect();
        let distances = |transforms: &[Transform]| -> Vec<f64> {
            let error = |(from, to): &(&Landmark, &Landmark)| {
                world.distance(map_point(transforms, from.at).0 - to.at.0)
            };
            pairs.iter().map(error).collect()
        };
        Ok(Some(LandmarkErrors {
            names: pairs
                .iter()
                .map(|(from, to)| Correspondence::name(from, to).into())
                .collect(),
            before: distances(&registration.initial_transform()),
            after: distances(&registration.transform()?),
            note: fixed.note.clone(),
        }))
    }
}

/// A landmark of the fixed scan, and which one of the moving scan is its counterpart.
struct Partner {
    of: usize,
    fixed: Landmark,
}

/// Landmarks that both scans have.
pub struct Partners {
    /// In the order of the moving landmarks.
    list: Vec<Partner>,
    /// Of those that are left out.
    note: Option<String>,
}

impl Partners {
    fn new(
        (fixed, fixed_file): (&[Landmark], &Path),
        (moving, moving_file): (&[Landmark], &Path),
    ) -> Result<Self> {
        let (found, note) = correspondence((fixed, fixed_file), (moving, moving_file))?;
        let partner = |&(f, m): &(usize, usize)| Partner {
            of: m,
            fixed: fixed[f].clone(),
        };
        let mut list: Vec<Partner> = found.pairs.iter().map(partner).collect();
        list.sort_by_key(|partner| partner.of);
        Ok(Self { list, note })
    }
}

/// Target registration errors in mm, in the order of the moving landmarks.
pub struct LandmarkErrors {
    names: Vec<String>,
    before: Vec<f64>,
    after: Vec<f64>,
    /// What is to be said where landmarks have no counterpart.
    pub note: Option<String>,
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

    /// What the errors are, and what is left out of them.
    pub fn explanation(&self) -> String {
        match &self.note {
            None => DIRECTION.into(),
            Some(note) => format!("{DIRECTION}; {note}"),
        }
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
        json!({ "direction": DIRECTION, "note": self.note, "errors": errors })
    }
}
