//! The engine of the CPU: kernels on slices, parallel over chunks of voxels.

use std::ops::Range;

use rand::RngExt;
use rand_distr::StandardNormal;
use rayon::prelude::*;

use super::contrast::Tissue;
use super::engine::{Channel, Engine, Lattice, VoxelNoise};
use super::grid::{CHUNK, Grid};
use crate::kernels::affine::Map;
use crate::kernels::exponential::Exponential;
use crate::kernels::warp::{self, Border, Shape};
use crate::kernels::{field, gaussian, labels, resize, unit};

/// Works on vectors in memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Host;

impl Engine for Host {
    type Array = Vec<f32>;
    type Labels = Vec<u16>;

    fn labels(&self, places: &[u16], _: &Grid) -> Vec<u16> {
        places.to_vec()
    }

    /// One channel after another against a running maximum, so that memory does not grow with their number.
    fn highest(
        &self,
        channels: impl Iterator<Item = Channel>,
        coarse: &Grid,
        grid: &Grid,
    ) -> Vec<u16> {
        let mut best = vec![f32::NEG_INFINITY; grid.voxels()];
        let mut highest = vec![0; grid.voxels()];
        for (label, channel) in channels.enumerate() {
            let image = self.smooth(&channel.height, &[1.0], coarse);
            let flow = self.smooth(&channel.bend, &[1.0; 3][..grid.axes()], coarse);
            let shape = Shape::one(coarse.extent, grid.axes(), Border::Edge);
            let bent = warp::linear(&image, &flow, &shape);
            let height = resize::linear(&bent, 1, coarse.extent, grid.extent, 1.0);
            labels::raise(&mut best, &mut highest, &height, label as u16);
        }
        highest
    }

    fn smooth(&self, lattices: &[Lattice], factors: &[f32], grid: &Grid) -> Vec<f32> {
        let stacks = lattices.iter().map(|l| (&l.values[..], l.extent));
        resize::sum(stacks, factors, grid.extent)
    }

    fn exponential(
        &self,
        velocity: &Vec<f32>,
        sign: f32,
        squarings: usize,
        coarse: &Grid,
        grid: &Grid,
    ) -> Vec<f32> {
        let exponential = Exponential {
            shape: Shape::fields(coarse.extent, 1, grid.axes(), Border::Edge),
            squarings,
            sign,
        };
        let u = exponential.displacement(velocity);
        let mut full = Vec::with_capacity(grid.axes() * grid.voxels());
        for (c, component) in u.chunks_exact(coarse.voxels()).enumerate() {
            let scale = grid.step_ratio(coarse, c);
            let component = resize::linear(component, 1, coarse.extent, grid.extent, scale);
            full.extend(component);
        }
        full
    }

    fn affine(&self, field: &Vec<f32>, map: &Map, grid: &Grid) -> Vec<f32> {
        field::mapped(field, map, grid.axes(), grid.extent)
    }

    fn compose(&self, a: &Vec<f32>, b: &Vec<f32>, grid: &Grid) -> Vec<f32> {
        field::compose(a, b, grid.axes(), grid.extent, Border::Edge)
    }

    fn pull(&self, labels: &Vec<u16>, field: &Vec<f32>, grid: &Grid) -> Vec<u16> {
        let shape = Shape::one(grid.extent, grid.axes(), Border::Zeros);
        warp::nearest(labels, field, &shape)
    }

    fn paint(&self, labels: &Vec<u16>, tissues: &[Tissue], noise: VoxelNoise) -> Vec<f32> {
        let mut image = vec![0.0; labels.len()];
        let chunks = image.par_chunks_mut(CHUNK).zip(labels.par_chunks(CHUNK));
        chunks.enumerate().for_each(|(chunk, (image, labels))| {
            let mut rng = noise.chunk(chunk);
            for (value, &label) in image.iter_mut().zip(labels) {
                let Tissue { mean, sd } = tissues[usize::from(label)];
                *value = mean + sd * rng.sample::<f32, _>(StandardNormal);
            }
        });
        image
    }

    fn add_noise(&self, mut image: Vec<f32>, sd: f32, noise: VoxelNoise) -> Vec<f32> {
        let chunks = image.par_chunks_mut(CHUNK).enumerate();
        chunks.for_each(|(chunk, image)| {
            let mut rng = noise.chunk(chunk);
            for value in image {
                *value += sd * rng.sample::<f32, _>(StandardNormal);
            }
        });
        image
    }

    fn gaussian(&self, image: Vec<f32>, axis: usize, sd: f64, grid: &Grid) -> Vec<f32> {
        let mut along = [0.0; 3];
        along[axis] = sd;
        gaussian::smooth(&image, 1, grid.extent, along)
    }

    fn resampled(&self, image: Vec<f32>, through: [usize; 3], grid: &Grid) -> Vec<f32> {
        let sampled = resize::linear(&image, 1, grid.extent, through, 1.0);
        resize::linear(&sampled, 1, through, grid.extent, 1.0)
    }

    fn times_exp(&self, mut image: Vec<f32>, logarithm: Vec<f32>) -> Vec<f32> {
        let pairs = image.par_chunks_mut(CHUNK).zip(logarithm.par_chunks(CHUNK));
        pairs.for_each(|(image, logarithm)| {
            let pairs = image.iter_mut().zip(logarithm);
            pairs.for_each(|(v, b)| *v *= b.exp());
        });
        image
    }

    fn to_unit(&self, mut images: [Vec<f32>; 2], together: bool) -> [Vec<f32>; 2] {
        let ranges = images.each_ref().map(|image| unit::ranges(image));
        let both = together.then(|| ranges.concat());
        for (image, own) in images.iter_mut().zip(&ranges) {
            unit::stretch(image, both.as_ref().unwrap_or(own));
        }
        images
    }

    fn power(&self, mut image: Vec<f32>, exponent: f32) -> Vec<f32> {
        let chunks = image.par_chunks_mut(CHUNK);
        chunks.for_each(|chunk| chunk.iter_mut().for_each(|v| *v = v.powf(exponent)));
        image
    }

    fn darken(
        &self,
        mut image: Vec<f32>,
        axis: usize,
        planes: Range<usize>,
        grid: &Grid,
    ) -> Vec<f32> {
        let stride: usize = grid.extent[axis + 1..].iter().product();
        image
            .par_chunks_mut(stride * grid.extent[axis])
            .for_each(|block| block[planes.start * stride..planes.end * stride].fill(0.0));
        image
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::seeds::{Seeds, Side, Step};
    use crate::volume::Dimension;

    #[test]
    fn scaling_clips_first_and_is_common_only_when_together() {
        let images = || [vec![-0.5, 0.25, 0.5], vec![0.5, 0.75, 1.5]];
        assert_eq!(
            Host.to_unit(images(), true),
            [vec![0.0, 0.25, 0.5], vec![0.5, 0.75, 1.0]]
        );
        assert_eq!(
            Host.to_unit(images(), false),
            [vec![0.0, 0.5, 1.0], vec![0.0, 0.5, 1.0]]
        );
    }

    #[test]
    fn a_constant_image_becomes_dark() {
        let flat = || vec![0.4; 5];
        let scaled = Host.to_unit([flat(), flat()], false);
        assert_eq!(scaled, [vec![0.0; 5], vec![0.0; 5]]);
    }

    #[test]
    fn painted_labels_have_their_mean_and_deviation() {
        let n = 3 * CHUNK;
        let labels: Vec<u16> = (0..2 * n).map(|x| (x % 2) as u16).collect();
        let tissues = [(0.3, 0.05), (0.7, 0.1)].map(|(mean, sd)| Tissue { mean, sd });
        let seeds = Seeds::new(1, 2);
        let noise = VoxelNoise::new(&seeds, Step::Texture, Side::Moving);
        let image = Host.paint(&labels, &tissues, noise);
        for (label, tissue) in tissues.iter().enumerate() {
            let values = || image.iter().skip(label).step_by(2).map(|v| f64::from(*v));
            let mean = values().sum::<f64>() / n as f64;
            let sd = (values().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
            // Five standard errors of 49152 samples: 0.023 SD for the mean, 0.016 SD for the SD.
            let allowed = 0.023 * f64::from(tissue.sd);
            assert!((mean - f64::from(tissue.mean)).abs() < allowed, "{mean}");
            assert!((sd - f64::from(tissue.sd)).abs() < allowed, "{sd}");
        }
    }

    /// `scipy.ndimage.gaussian_filter1d([0, 0, 0, 0, 1., 0, 0, 0, 0], 0.8, radius=3)`
    const IMPULSE: [f32; 9] = [
        0.0,
        4.407_434e-4,
        2.191_031e-2,
        0.228_310_7,
        0.498_676_5,
        0.228_310_7,
        2.191_031e-2,
        4.407_434e-4,
        0.0,
    ];

    #[test]
    fn an_impulse_gives_the_sampled_gaussian_along_every_axis() {
        for axis in 0..3 {
            let mut extent = [4, 4, 4];
            extent[axis] = 9;
            let grid = Grid::new(Dimension::Three, extent, 0.0).unwrap();
            let strides = [extent[1] * extent[2], extent[2], 1];
            let start: usize = (0..3).filter(|a| *a != axis).map(|a| strides[a]).sum();
            let mut image = vec![0.0; 144];
            image[start + 4 * strides[axis]] = 1.0;
            let blurred = Host.gaussian(image, axis, 0.8, &grid);
            for (i, expected) in IMPULSE.iter().enumerate() {
                // Seven digits are given; f32 rounding of a few sums is below 1e-7.
                let found = blurred[start + i * strides[axis]];
                assert!(
                    (found - expected).abs() < 2e-7,
                    "axis {axis} {i}: {found} {expected}"
                );
            }
            // Nothing leaks to other lines.
            assert!((blurred.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn constants_stay_also_at_the_border() {
        let grid = Grid::new(Dimension::Three, [4, 4, 5], 0.0).unwrap();
        let blurred = Host.gaussian(vec![0.7; 80], 1, 2.5, &grid);
        assert!(blurred.iter().all(|v| (v - 0.7).abs() < 1e-6));
    }
}
