//! Descent over the levels of the pyramid.

use super::field::{Field, Steps};
use super::grid::Grid;
use super::objective::{Direction, by_contrast, window};
use super::{Channel, RefineSettings};
use crate::kernels::adam::Moments;
use crate::kernels::correlation::Kept;
use crate::kernels::diffusion::{Differences, Norm};
use crate::kernels::mind;
use crate::kernels::warp::{self, Border, Shape};
use crate::linear::Similarity;
use crate::model::TransformKind;
use crate::volume::Image;

/// What Adam changes a velocity by in one step at most, about: voxels of the field's grid along its finest axis.
const RATE: f64 = 0.1;
/// Voxels of a velocity's grid are this many times larger than the image's.
const VELOCITY_FACTOR: f64 = 2.0;

/// The images on one grid of the pyramid.
pub(super) struct Level {
    pub grid: Grid,
    similarity: Similarity,
    channels: Vec<Shrunk>,
}

/// A channel on the grid of a level.
struct Shrunk {
    /// Its part of all weights.
    share: f32,
    /// Values per voxel: descriptors have several.
    components: usize,
    fixed: Vec<f32>,
    moving: Vec<f32>,
    /// 1 for the voxels of the fixed, and of the moving image that both images show; `None` where all are.
    masks: [Option<Vec<f32>>; 2],
    /// How much each voxel of the fixed, and of the moving image counts.
    weights: [Vec<f32>; 2],
    /// What the local correlation sums of each image; no other measure does.
    sums: Option<[Kept; 2]>,
}

impl Level {
    /// The channels are on the grid `from`; `field` is what leads from one image to the other so far.
    pub fn new(
        channels: &[Channel],
        from: &Grid,
        grid: Grid,
        similarity: Similarity,
        field: &Field,
    ) -> Self {
        let total: f64 = channels.iter().map(|channel| channel.weight).sum();
        let channel = |channel: &Channel| {
            let finest = channel.masks.map(Image::to_vec);
            let own = finest.each_ref().map(|mask| from.shrink(mask, 1, &grid));
            let masks = seen_by_both(&own, &grid, field);
            let images = [channel.fixed, channel.moving];
            let images = [0, 1].map(|side| {
                let values = images[side].to_vec();
                shrink(values, &finest[side], &own[side], from, &grid)
            });
            let share = (channel.weight / total) as f32;
            Shrunk::new(images, masks, share, &grid, similarity)
        };
        Self {
            grid,
            similarity,
            channels: channels.iter().map(channel).collect(),
        }
    }

    /// Mean dissimilarity over the voxels with the moving images pulled onto the fixed ones (`sign` 1), or the reverse
    /// (-1).
    pub fn value(&self, sign: f32, displacement: &[f32]) -> f64 {
        let channels = self.channels.iter();
        channels
            .map(|channel| {
                f64::from(channel.share) * self.direction(channel, sign).value(displacement)
            })
            .sum()
    }

    /// Gradient of [`Self::value`] for the displacement, summed over the voxels.
    fn gradient(&self, sign: f32, displacement: &[f32]) -> Vec<f32> {
        let of = |channel: &Shrunk| self.direction(channel, sign).gradient(displacement);
        let [only] = &self.channels[..] else {
            let mut sum = vec![0.0; displacement.len()];
            for channel in &self.channels {
                add_scaled(&mut sum, channel.share, &of(channel));
            }
            return sum;
        };
        of(only)
    }

    fn direction<'a>(&'a self, channel: &'a Shrunk, sign: f32) -> Direction<'a> {
        let (images, onto) = match sign > 0.0 {
            true => ([&channel.fixed, &channel.moving], 0),
            false => ([&channel.moving, &channel.fixed], 1),
        };
        Direction {
            target: images[0],
            source: images[1],
            mask: channel.masks[onto].as_deref(),
            weight: &channel.weights[onto],
            sums: channel.sums.as_ref().map(|sums| &sums[onto]),
            components: channel.components,
            grid: self.grid,
            similarity: self.similarity,
        }
    }

    /// The grid of the field that this level optimises.
    pub fn field_grid(&self) -> Grid {
        self.grid.coarser(VELOCITY_FACTOR)
    }
}

impl Shrunk {
    fn new(
        images: [Vec<f32>; 2],
        masks: [Option<Vec<f32>>; 2],
        share: f32,
        grid: &Grid,
        similarity: Similarity,
    ) -> Self {
        let [fixed, moving] = match similarity {
            Similarity::Mind => images.map(|image| described(&image, grid)),
            _ => images,
        };
        let components = fixed.len() / grid.voxels();
        let sum = |image: &[f32], mask: &Option<Vec<f32>>| match mask {
            Some(mask) => Kept::masked(image, mask, grid.extent, window(grid)),
            None => Kept::new(image, 1, grid.extent, window(grid)),
        };
        let sums = (similarity == Similarity::Lncc)
            .then(|| [sum(&fixed, &masks[0]), sum(&moving, &masks[1])]);
        let all = || vec![1.0; grid.voxels()];
        let mut weights = masks
            .each_ref()
            .map(|mask| mask.clone().unwrap_or_else(all));
        if let Some(sums) = &sums {
            weights = [0, 1].map(|side| by_contrast(&weights[side], &sums[side], grid));
        }
        Self {
            share,
            components,
            fixed,
            moving,
            masks,
            weights,
            sums,
        }
    }
}

/// An image on a coarser grid, where each voxel is the mean of those around it that count: `mask` says which do, and
/// `counted` is that mask on the coarser grid.
fn shrink(mut image: Vec<f32>, mask: &[f32], counted: &[f32], from: &Grid, to: &Grid) -> Vec<f32> {
    image.iter_mut().zip(mask).for_each(|(v, m)| *v *= m);
    let mut small = from.shrink(&image, 1, to);
    for (value, counted) in small.iter_mut().zip(counted) {
        *value /= counted.max(LEAST_COUNTED);
    }
    small
}

/// The share of voxels that count below which their mean is not trusted.
const LEAST_COUNTED: f32 = 0.1;

/// The voxels of each image on which both have something to say: its own mask, and the other's as `field` brings it there.
fn seen_by_both(own: &[Vec<f32>; 2], grid: &Grid, field: &Field) -> [Option<Vec<f32>>; 2] {
    if own.iter().flatten().all(|&mask| mask >= 1.0) {
        return [None, None];
    }
    let own = own.each_ref().map(|mask| {
        let counts = mask.iter().map(|&m| if m >= 0.5 { 1.0 } else { 0.0 });
        counts.collect::<Vec<f32>>()
    });
    [(0, 1.0), (1, -1.0)].map(|(side, sign)| {
        let displaced = field.displaced(sign, grid, Steps::Long);
        let shape = Shape::one(grid.extent, grid.axes, Border::Zeros);
        let other = warp::nearest(&own[1 - side], displaced.displacement(), &shape);
        Some(own[side].iter().zip(other).map(|(a, b)| a * b).collect())
    })
}

/// `sum += factor * terms`
fn add_scaled(sum: &mut [f32], factor: f32, terms: &[f32]) {
    for (sum, term) in sum.iter_mut().zip(terms) {
        *sum += factor * term;
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
            let displaced = field.displaced(sign, &level.grid, Steps::Long);
            let by_displacement = level.gradient(sign, displaced.displacement());
            let one = field.gradient(&displaced, by_displacement, &level.grid);
            add_scaled(&mut gradient, 1.0 / signs.len() as f32, &one);
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
        let displaced = field.displaced(sign, &level.grid, Steps::Long);
        level.value(sign, displaced.displacement())
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
    let extent = field.grid.extent;
    let weights = penalty(&field.grid, level.grid.voxels(), settings.weight());
    let differences = Differences {
        extent,
        weights: &weights,
        norm: Norm::L2,
    };
    differences.add_gradient(&field.values, &[1.0], gradient);
}

/// The directions whose dissimilarity is minimised; only a velocity has both.
pub(super) fn signs(settings: &RefineSettings) -> &'static [f32] {
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
