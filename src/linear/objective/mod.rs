//! How alike two images are under a linear map, and how that changes with it.

#[cfg(test)]
mod tests;

use nalgebra::{Matrix4, Translation3, Vector3};

use super::bfgs::{Limits, minimise};
use super::lncc::lncc;
use super::measures::{Energy, mean, mi, mse, ncc};
use super::pose::Pose;
use super::pyramid::Level;
use super::samples::Samples;
use super::similarity::Similarity;
use crate::error::Result;
use crate::kernels::affine::{Map, Sample, Source, chain, sample, squared_distance};
use crate::kernels::mind::{PAIRS_2D, PAIRS_3D, descriptors};
use crate::volume::{Dimension, Geometry, LabelMap};

/// Below this share of the samples that the moving image may be expected to cover, leaving it is punished ...
const COVERED: f64 = 0.6;

/// ... by this factor times the square of what is missing.
const PUNISHMENT: f64 = 10.0;

/// Below this share there is nothing to compare.
const LEAST_COVERED: f64 = 0.02;

/// Descriptors do not turn with the image, so they are computed anew this many times on the way.
const TURNS: usize = 3;

/// Two images at one resolution.
#[derive(Debug)]
pub(super) struct Objective<'a> {
    similarity: Similarity,
    samples: Samples,
    moving: &'a Level,
    centre: Vector3<f64>,
    context: Option<Context>,
    /// The share of the samples that the moving image may be expected to cover: the volume of its voxels that count over that
    /// of the fixed grid. Not over what the samples fill, which leaves the air around the fixed image out, and what its mask
    /// hides: the moving image has its air, too, and a thin slab in much of it would be asked for more than it shows.
    attainable: f64,
}

/// What descriptors are computed from: samples that fill a grid, and which of them are compared.
#[derive(Debug)]
struct Context {
    dense: Samples,
    compared: Vec<usize>,
}

/// Descriptors compared at most: each is as much work as many intensities.
const DESCRIPTORS: usize = 20_000;

/// Descriptors of the fixed image, and of the moving one on a grid beside it.
enum Described {
    Two(Descriptors<PAIRS_2D>),
    Three(Descriptors<PAIRS_3D>),
}

struct Descriptors<const C: usize> {
    fixed: Vec<[f32; C]>,
    moving: Vec<[f32; C]>,
    weights: Vec<f32>,
    extent: [usize; 3],
    to_voxel: Matrix4<f64>,
}

/// The volume of a voxel, mm^3; in 2-D its area, mm^2.
pub(super) fn voxel(grid: &Geometry) -> f64 {
    grid.spacing()[..grid.dimension.axes()].iter().product()
}

impl<'a> Objective<'a> {
    /// Centre, world mm, and volume are those of the fixed image; `most` limits the samples of similarities that need no grid.
    ///
    /// # Errors
    /// A mask in a plane that is not parallel to its image.
    pub fn new(
        similarity: Similarity,
        fixed: &Level,
        mask: Option<&LabelMap>,
        moving: &'a Level,
        (centre, whole): (Vector3<f64>, f64),
        most: usize,
    ) -> Result<Self> {
        let mut context = None;
        let samples = match similarity {
            Similarity::Ncc | Similarity::Mse | Similarity::Mi => {
                Samples::scattered(fixed, centre, mask, most)?
            }
            Similarity::Lncc => Samples::dense(fixed, centre, mask)?,
            Similarity::Mind => {
                let dense = Samples::dense(fixed, centre, mask)?;
                let compared = dense.some(most.min(DESCRIPTORS));
                let samples = dense.at(&compared);
                context = Some(Context { dense, compared });
                samples
            }
        };
        let counted = moving
            .weights
            .as_ref()
            .map_or(moving.data.len() as f64, |weights| {
                weights.iter().map(|&w| f64::from(w)).sum()
            });
        Ok(Self {
            similarity,
            samples,
            moving,
            centre,
            context,
            attainable: (counted * voxel(&moving.geometry) / whole).min(1.0),
        })
    }

    pub fn radius(&self) -> f64 {
        self.samples.radius()
    }

    /// The energy (low is alike) under a map from millimetres about the centre to the moving world; `None` where the
    /// images have too little in common.
    pub fn energy(&self, matrix: &Matrix4<f64>) -> Option<f64> {
        let described = self.describe(matrix);
        Some(self.compare(&self.look(described.as_ref(), matrix))?.value)
    }

    /// The pose of least energy near `pose`, as a matrix, and the energy.
    pub fn refine(
        &self,
        pose: impl Fn(Matrix4<f64>) -> Pose,
        start: Matrix4<f64>,
        limits: Limits,
    ) -> Option<(Matrix4<f64>, f64)> {
        let turns = if self.similarity == Similarity::Mind {
            TURNS
        } else {
            1
        };
        let mut found = (start, self.energy(&start)?);
        for _ in 0..turns {
            let described = self.describe(&found.0);
            let pose = pose(found.0);
            let function = |p: &[f64]| {
                let (value, by_matrix) = self.evaluate(described.as_ref(), &pose.matrix(p))?;
                Some((value, pose.gradient(p, &by_matrix)))
            };
            let (parameters, _) = minimise(function, &vec![0.0; pose.parameters()], limits)?;
            let matrix = pose.matrix(&parameters);
            let energy = self.energy(&matrix)?;
            // Descriptors of the turned image may say less than those that led there.
            if energy >= found.1 {
                break;
            }
            found = (matrix, energy);
        }
        Some(found)
    }

    /// Energy and its gradient by the upper rows of the matrix.
    fn evaluate(&self, described: Option<&Described>, matrix: &Matrix4<f64>) -> Option<(f64, Map)> {
        let looked = self.look(described, matrix);
        let energy = self.compare(&looked)?;
        let by_map = chain(&looked, &energy.by_sample, &self.samples.positions);
        let to_voxel = self.to_voxel(described);
        let by_matrix = [0, 1, 2].map(|row| {
            [0, 1, 2, 3].map(|column| {
                (0..3)
                    .map(|axis| to_voxel[(axis, row)] * by_map[axis][column])
                    .sum()
            })
        });
        Some((energy.value, by_matrix))
    }

    /// The moving image at the samples.
    fn look(&self, described: Option<&Described>, matrix: &Matrix4<f64>) -> Vec<Sample> {
        let map = rows(&(self.to_voxel(described) * matrix));
        let positions = &self.samples.positions;
        let mut looked = match described {
            None => sample(self.moving.source(), positions, &map),
            Some(Described::Two(both)) => {
                squared_distance(both.source(), &both.fixed, positions, &map)
            }
            Some(Described::Three(both)) => {
                squared_distance(both.source(), &both.fixed, positions, &map)
            }
        };
        if let Some(inside) = &self.samples.inside {
            for (sample, _) in looked
                .iter_mut()
                .zip(inside)
                .filter(|(_, inside)| !**inside)
            {
                (sample.weight, sample.weight_slope) = (0.0, [0.0; 3]);
            }
        }
        looked
    }

    fn compare(&self, moving: &[Sample]) -> Option<Energy> {
        let fixed = &self.samples.values;
        let counted: f64 = moving.iter().map(|sample| sample.weight).sum();
        let all = match &self.samples.inside {
            None => moving.len(),
            Some(inside) => inside.iter().filter(|&&inside| inside).count(),
        };
        let unit = all.max(1) as f64 * self.attainable;
        let missing = (COVERED - counted / unit).max(0.0);
        if missing > COVERED - LEAST_COVERED {
            return None;
        }
        let mut energy = match self.similarity {
            Similarity::Ncc => ncc(fixed, moving),
            Similarity::Mse => mse(fixed, moving),
            Similarity::Mind => mean(moving),
            Similarity::Lncc => lncc(fixed, moving, self.grid_extent()),
            Similarity::Mi => mi(fixed, moving, self.samples.voxels),
        }?;
        energy.value += PUNISHMENT * missing * missing;
        if missing > 0.0 {
            let by_weight = 2.0 * PUNISHMENT * missing / unit;
            energy
                .by_sample
                .iter_mut()
                .for_each(|[_, weight]| *weight -= by_weight);
        }
        Some(energy)
    }

    fn grid_extent(&self) -> [usize; 3] {
        let grid = self
            .samples
            .grid
            .as_ref()
            .expect("windows need samples that fill a grid");
        grid.tensor_shape()
    }

    /// The descriptors that the similarity asks for, of the moving image as `matrix` brings it to the fixed grid.
    fn describe(&self, matrix: &Matrix4<f64>) -> Option<Described> {
        let context = self.context.as_ref()?;
        let grid = context.dense.grid.as_ref()?;
        Some(match grid.dimension {
            Dimension::Two => Described::Two(self.described(context, grid, matrix)?),
            Dimension::Three => Described::Three(self.described(context, grid, matrix)?),
        })
    }

    fn described<const C: usize>(
        &self,
        context: &Context,
        grid: &Geometry,
        matrix: &Matrix4<f64>,
    ) -> Option<Descriptors<C>> {
        let map = rows(&(self.moving.to_voxel * matrix));
        let there = sample(self.moving.source(), &context.dense.positions, &map);
        let image: Vec<f32> = there.iter().map(|sample| sample.value as f32).collect();
        // Voxels of the grid to millimetres about the centre to the moving world, and back.
        let from_centre = Translation3::from(-self.centre).to_homogeneous() * grid.affine.0;
        let mut to_voxel = (matrix * from_centre).try_inverse()?;
        if grid.dimension == Dimension::Two {
            to_voxel.row_mut(2).fill(0.0);
        }
        let fixed = descriptors(&context.dense.values, grid.tensor_shape());
        Some(Descriptors {
            fixed: context.compared.iter().map(|&at| fixed[at]).collect(),
            moving: descriptors(&image, grid.tensor_shape()),
            weights: there.iter().map(|sample| sample.weight as f32).collect(),
            extent: grid.shape,
            to_voxel,
        })
    }

    /// From the moving world to voxels of what is looked at; in 2-D the place along the normal does not count.
    fn to_voxel(&self, described: Option<&Described>) -> Matrix4<f64> {
        match described {
            Some(Described::Two(both)) => both.to_voxel,
            Some(Described::Three(both)) => both.to_voxel,
            None => self.moving.to_voxel,
        }
    }
}

impl<const C: usize> Descriptors<C> {
    fn source(&self) -> Source<'_, C> {
        Source {
            values: &self.moving,
            weights: Some(&self.weights),
            extent: self.extent,
        }
    }
}

fn rows(matrix: &Matrix4<f64>) -> Map {
    [0, 1, 2].map(|row| [0, 1, 2, 3].map(|column| matrix[(row, column)]))
}
