//! Descent over the levels of the pyramid.

use super::RefineSettings;
use super::field::Field;
use super::grid::Grid;
use super::objective::{Direction, window};
use crate::kernels::adam::Moments;
use crate::kernels::correlation::Kept;
use crate::kernels::{diffusion, mind};
use crate::linear::Similarity;
use crate::model::TransformKind;

/// What Adam changes a velocity by in one step at most, about: voxels of the field's grid along its finest axis.
const RATE: f64 = 0.1;
/// Voxels of a velocity's grid are this many times larger than the image's.
const VELOCITY_FACTOR: f64 = 2.0;

/// Both images on one grid of the pyramid.
pub(super) struct Level {
    pub grid: Grid,
    channels: usize,
    fixed: Vec<f32>,
    moving: Vec<f32>,
    /// How much each voxel of the fixed, and of the moving image counts.
    weights: [Vec<f32>; 2],
    /// What the local correlation sums of each image.
    sums: [Kept; 2],
}

impl Level {
    /// Images and weights are on the grid `from`.
    pub fn new(
        images: [&[f32]; 2],
        weights: [&[f32]; 2],
        from: &Grid,
        grid: Grid,
        similarity: Similarity,
    ) -> Self {
        let shrink = |x: &[f32]| from.shrink(x, 1, &grid);
        let [fixed, moving] = images.map(|image| match similarity {
            Similarity::Mind => described(&shrink(image), &grid),
            _ => shrink(image),
        });
        let channels = fixed.len() / grid.voxels();
        let sums = |image| Kept::new(image, channels, grid.extent, window(&grid));
        Self {
            grid,
            channels,
            sums: [sums(&fixed), sums(&moving)],
            fixed,
            moving,
            weights: weights.map(shrink),
        }
    }

    /// The moving image pulled onto the fixed one (`sign` 1), or the reverse (-1).
    pub fn direction(&self, sign: f32, similarity: Similarity) -> Direction<'_> {
        let (images, onto) = match sign > 0.0 {
            true => ([&self.fixed, &self.moving], 0),
            false => ([&self.moving, &self.fixed], 1),
        };
        Direction {
            target: images[0],
            source: images[1],
            weight: &self.weights[onto],
            sums: &self.sums[onto],
            channels: self.channels,
            grid: self.grid,
            similarity,
        }
    }

    /// The grid of the field that this level optimises.
    pub fn field_grid(&self) -> Grid {
        self.grid.coarser(VELOCITY_FACTOR)
    }
}

/// Descriptors channel by channel, `[channels, extent]`.
fn described(image: &[f32], grid: &Grid) -> Vec<f32> {
    fn by_channel<const C: usize>(descriptors: &[[f32; C]]) -> Vec<f32> {
        (0..C)
            .flat_map(|c| descriptors.iter().map(move |d| d[c]))
            .collect()
    }
    match grid.axes {
        2 => by_channel::<{ mind::PAIRS_2D }>(&mind::descriptors(image, grid.extent)),
        _ => by_channel::<{ mind::PAIRS_3D }>(&mind::descriptors(image, grid.extent)),
    }
}

/// Takes `steps` steps of Adam at one level; the field must be on the level's field grid.
pub(super) fn descend(
    field: &mut Field,
    level: &Level,
    settings: &RefineSettings,
    steps: usize,
    mut done: impl FnMut(),
) {
    let signs = signs(settings);
    let (grid, voxels) = (field.grid, field.grid.voxels());
    let rate = |c: usize| match settings.still == Some(c) {
        true => 0.0,
        false => RATE * grid.finest() / grid.spacing[grid.axis(c)],
    };
    let rates: Vec<f32> = (0..grid.axes).map(|c| rate(c) as f32).collect();
    let mut moments: Vec<Moments> = rates.iter().map(|_| Moments::new(voxels)).collect();
    for _ in 0..steps {
        let mut gradient = vec![0.0; field.values.len()];
        for &sign in signs {
            let displaced = field.displaced(sign, &level.grid);
            let direction = level.direction(sign, settings.similarity);
            let by_displacement = direction.gradient(displaced.displacement());
            let one = field.gradient(&displaced, by_displacement, &level.grid);
            let share = 1.0 / signs.len() as f32;
            gradient
                .iter_mut()
                .zip(one)
                .for_each(|(sum, g)| *sum += share * g);
        }
        add_penalty(field, level, settings, &mut gradient);
        let components = field.values.chunks_exact_mut(voxels);
        for (((values, gradient), moments), &rate) in components
            .zip(gradient.chunks_exact(voxels))
            .zip(&mut moments)
            .zip(&rates)
        {
            moments.step(values, gradient, rate);
        }
        done();
    }
}

/// What [`descend`] minimises, per voxel of the level.
pub(super) fn objective(field: &Field, level: &Level, settings: &RefineSettings) -> f64 {
    let signs = signs(settings);
    let dissimilarity = |&sign: &f32| {
        let displaced = field.displaced(sign, &level.grid);
        let direction = level.direction(sign, settings.similarity);
        direction.value(displaced.displacement())
    };
    let mut gradient = vec![0.0; field.values.len()];
    add_penalty(field, level, settings, &mut gradient);
    // A quadratic form is half the product of its gradient with the place.
    let terms = field.values.iter().zip(&gradient);
    let roughness = 0.5 * terms.map(|(v, g)| f64::from(v * g)).sum::<f64>();
    signs.iter().map(dissimilarity).sum::<f64>() / signs.len() as f64
        + roughness / level.grid.voxels() as f64
}

/// Adds the gradient of the smoothness penalty, summed over the voxels of the level.
fn add_penalty(field: &Field, level: &Level, settings: &RefineSettings, gradient: &mut [f32]) {
    let Grid { extent, axes, .. } = field.grid;
    let weights = penalty(&field.grid, level.grid.voxels(), settings.weight());
    diffusion::add_gradient(&field.values, axes, extent, &weights, gradient);
}

/// The directions whose dissimilarity is minimised; only a velocity has both.
fn signs(settings: &RefineSettings) -> &'static [f32] {
    match (settings.kind, settings.symmetric) {
        (TransformKind::Velocity, true) => &[1.0, -1.0],
        _ => &[1.0],
    }
}

/// Weights of the squared differences of each component along each axis, so that their sum is `weight` times the mean
/// squared derivative of the field (a length over a length) times the number of voxels of the images.
fn penalty(grid: &Grid, image_voxels: usize, weight: f64) -> Vec<[f32; 3]> {
    let terms = (grid.axes * grid.axes * grid.voxels()) as f64;
    let each = weight * image_voxels as f64 / terms;
    let of = |component: usize, axis: usize| {
        let ratio = grid.spacing[grid.axis(component)] / grid.spacing[axis];
        (each * ratio * ratio) as f32
    };
    (0..grid.axes)
        .map(|c| [0, 1, 2].map(|axis| of(c, axis)))
        .collect()
}
