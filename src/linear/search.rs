//! From many starts on the coarsest level to one result on the finest.

use nalgebra::{Matrix3, Matrix4, Vector3};
use rayon::prelude::*;

use super::beginning::{Beginning, SEARCHED};
use super::bfgs::Limits;
use super::crop;
use super::objective::Objective;
use super::pose::{Frame, Pose};
use super::{Found, Freedom, Masked, Settings};
use crate::error::{Error, Result};
use crate::volume::Dimension;
use crate::volume::resample::place;

/// Degrees between the rotations tried, at most.
fn stride(dimension: Dimension) -> f64 {
    match dimension {
        Dimension::Two => 10.0,
        Dimension::Three => 20.0,
    }
}

/// Candidates refined on the coarsest level, besides the plain starts.
const REFINED: usize = 12;

/// Candidates kept for each level, from the coarsest.
const KEPT: [usize; 2] = [6, 3];

/// How many times smaller than its image the part is that is called small.
const SMALL: usize = 4;

/// Evaluations of one refinement at most.
const EVALUATIONS: usize = 60;

/// Shortest steps of a refinement, in voxels: when there is still to choose among candidates, and to the end.
const LEAST_STEPS: [f64; 2] = [0.05, 0.01];

/// Zooms along the principal directions of a believable result, relative to its start.
const ZOOMS: [f64; 2] = [0.4, 2.5];

/// Samples of a level, counted from the finest: of the coarse ones many candidates are compared.
fn samples(above: usize) -> usize {
    [60_000, 20_000].get(above).copied().unwrap_or(SEARCHED)
}

/// A map from millimetres about the centre of the fixed image to the moving world, and its energy.
pub(super) type Candidate = (Matrix4<f64>, f64);

/// The linear map from the fixed to the moving world under which the images are most alike.
///
/// # Errors
/// Images that have nothing in common under any start; an image without a finite voxel, or without mass where its mask
/// holds.
pub fn register(fixed: Masked, moving: Masked, settings: &Settings) -> Result<Found> {
    let near = fixed.mask.and_then(|mask| crop::around(fixed.image, mask));
    let seen = match &near {
        Some((image, mask)) => Masked {
            image,
            mask: Some(mask),
        },
        None => fixed,
    };
    let grid = &fixed.image.geometry;
    let begun = Beginning::new(seen, moving, grid, settings)?;
    if settings.freedom == Freedom::None {
        // What is not to be moved is not weighed against other starts either.
        return Ok(Found {
            matrix: begun.starts[0],
            initial: begun.starts[0],
        });
    }
    let pyramids = &begun.pyramids;
    let finest = pyramids.sizes.len() - 1;
    let afar = pyramids.afar(settings.similarity)?;
    let mut found = begun.coarse(&afar, settings);
    for level in 0..=finest {
        found.truncate(KEPT.get(level).copied().unwrap_or(1));
        if level == 0 && seen.image.geometry.voxels() < grid.voxels() / SMALL {
            found.extend(begun.led_by(fixed.image, moving, settings)?);
        }
        if level == 0 && finest > 0 {
            found = begun.search(0).refined(&afar, &found, settings.freedom);
            continue;
        }
        let samples = samples(finest - level);
        let objective = pyramids.objective(settings.similarity, level, samples)?;
        let search = begun.search(level);
        found = match level == finest {
            true => search.settled(&objective, &found, settings.freedom),
            false => search.refined(&objective, &found, settings.freedom),
        };
    }
    let (matrix, _) = found.first().ok_or_else(|| {
        Error::invalid(
            "too little in common to be registered linearly; give a start by --init, or use --linear none",
        )
    })?;
    Ok(Found {
        matrix: matrix * begun.about_centre(),
        initial: begun.starts[0],
    })
}

/// A search on one level.
pub(super) struct Search {
    pub frame: Frame,
    /// Voxel size of the level, mm.
    pub size: f64,
}

impl Search {
    /// The best of all starts and rotations, refined without shears.
    pub fn coarse(
        &self,
        objective: &Objective,
        plain: &[Matrix4<f64>],
        settings: &Settings,
    ) -> Vec<Candidate> {
        let mut bases = plain.to_vec();
        if settings.flip {
            let mirror = self.frame.mirror().to_homogeneous();
            bases.extend(plain.iter().map(|start| start * mirror));
        }
        let turns = rotations(&self.frame, settings.search);
        let turned: Vec<Matrix4<f64>> = bases
            .iter()
            .flat_map(|base| turns.iter().map(move |turn| base * turn.to_homogeneous()))
            .collect();
        let compared = turned
            .par_iter()
            .filter_map(|matrix| Some((*matrix, objective.energy(matrix)?)));
        let mut compared: Vec<Candidate> = compared.collect();
        sort(&mut compared);
        let mut chosen: Vec<Candidate> = bases
            .iter()
            .filter_map(|base| Some((*base, objective.energy(base)?)))
            .collect();
        chosen.extend(compared.into_iter().take(REFINED));
        let freedom = match settings.freedom {
            Freedom::Affine => Freedom::Similarity,
            freedom => freedom,
        };
        self.refined(objective, &chosen, freedom)
    }

    /// Every candidate refined; the best first, those that came to the same place only once.
    fn refined(
        &self,
        objective: &Objective,
        candidates: &[Candidate],
        freedom: Freedom,
    ) -> Vec<Candidate> {
        let [choosing, last] = LEAST_STEPS;
        let limits = Limits {
            step: self.size,
            least_step: self.size * if candidates.len() > 1 { choosing } else { last },
            evaluations: EVALUATIONS,
        };
        let refined = candidates
            .par_iter()
            .filter_map(|(start, _)| self.refine(objective, *start, freedom, limits));
        let mut refined: Vec<Candidate> = refined.collect();
        sort(&mut refined);
        let mut distinct: Vec<Candidate> = Vec::new();
        for candidate in refined {
            if distinct
                .iter()
                .all(|other| self.apart(&other.0, &candidate.0) > self.size / 2.0)
            {
                distinct.push(candidate);
            }
        }
        distinct
    }

    /// As [`Self::refined`] to the end: among several candidates the choice is made first.
    fn settled(
        &self,
        objective: &Objective,
        candidates: &[Candidate],
        freedom: Freedom,
    ) -> Vec<Candidate> {
        let found = self.refined(objective, candidates, freedom);
        match candidates.len() {
            ..2 => found,
            _ => self.refined(objective, &found[..found.len().min(1)], freedom),
        }
    }

    /// With the freedom asked for, or less where that leads to an incredible map.
    fn refine(
        &self,
        objective: &Objective,
        start: Matrix4<f64>,
        freedom: Freedom,
        limits: Limits,
    ) -> Option<Candidate> {
        let with = |freedom| {
            objective.refine(|start| Pose::new(self.frame, freedom, start), start, limits)
        };
        let credible = |found: &Candidate| credible(&start, &found.0);
        with(freedom)
            .filter(credible)
            .or_else(|| with(Freedom::Rigid).filter(credible))
    }

    /// How far apart two maps bring places at the radius of the image, mm.
    fn apart(&self, a: &Matrix4<f64>, b: &Matrix4<f64>) -> f64 {
        let probes = (0..3).flat_map(|axis| [-1.0, 1.0].map(|side| self.frame.probe(axis) * side));
        let distances = probes.map(|probe| (place(a, probe) - place(b, probe)).norm());
        distances.fold(0.0, f64::max)
    }
}

/// Least energy first, none last; candidates of the same energy keep their order.
fn sort(candidates: &mut [Candidate]) {
    let energy = |candidate: &Candidate| match candidate.1.is_nan() {
        true => f64::INFINITY,
        false => candidate.1,
    };
    candidates.sort_by(|a, b| energy(a).total_cmp(&energy(b)));
}

/// Whether no direction is stretched or squeezed beyond belief.
fn credible(start: &Matrix4<f64>, end: &Matrix4<f64>) -> bool {
    let [start, end] = [start, end].map(|m| m.fixed_view::<3, 3>(0, 0).into_owned());
    let Some(back) = start.try_inverse() else {
        return false;
    };
    let zooms = (back * end).singular_values();
    zooms.min() >= ZOOMS[0] && zooms.max() <= ZOOMS[1]
}

/// Rotations up to `search` degrees, on a grid of rotation vectors.
fn rotations(frame: &Frame, search: f64) -> Vec<Matrix3<f64>> {
    let steps = (search / stride(frame.dimension)).ceil() as i32;
    let stride = search.to_radians() / f64::from(steps.max(1));
    let tilts = match frame.dimension {
        Dimension::Two => 0..=0,
        Dimension::Three => -steps..=steps,
    };
    let vectors = tilts.clone().flat_map(|x| {
        let tilts = tilts.clone();
        tilts.flat_map(move |y| (-steps..=steps).map(move |z| Vector3::new(x, y, z).map(f64::from)))
    });
    vectors
        .filter(|vector| vector.norm() <= f64::from(steps) + 1e-9)
        .map(|vector| frame.rotation(vector * stride))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear::Similarity;
    use crate::linear::beginning::Pyramids;
    use crate::linear::phantom::{grid, map, painted};

    #[test]
    fn the_best_of_several_is_refined_to_the_end() {
        // So coarse that there is but one level.
        let grid = grid(Dimension::Three, [6.0; 3], [0.0; 3]);
        let truth = map([0.05, 0.1, -0.1], [1.0; 3], 0.0, [3.0, -2.0, 1.0]);
        let images = [Matrix4::identity(), truth].map(|map| painted(&grid, &map, |v| v));
        let [fixed, moving] = images.each_ref().map(|image| Masked { image, mask: None });
        let pyramids = Pyramids::new(fixed, moving, &grid, Similarity::Ncc).unwrap();
        assert_eq!(pyramids.sizes, [6.0]);
        let objective = pyramids.objective(Similarity::Ncc, 0, 20_000).unwrap();
        let search = Search {
            frame: Frame::new(&grid, objective.radius(), false),
            size: 6.0,
        };
        let about = nalgebra::Translation3::from(pyramids.centre).to_homogeneous();
        let starts = [[0.0; 3], [0.0, 0.0, 0.4]];
        let starts = starts.map(|turn| (map(turn, [1.0; 3], 0.0, [0.0; 3]) * about, 0.0));
        let chosen = search.refined(&objective, &starts, Freedom::Rigid);
        let settled = search.settled(&objective, &starts, Freedom::Rigid);
        assert_eq!(settled.len(), 1);
        assert!(
            settled[0].1 < chosen[0].1,
            "{} {}",
            settled[0].1,
            chosen[0].1
        );
    }
}
