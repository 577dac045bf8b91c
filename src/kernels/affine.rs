//! Values and gradients of an image at positions that a matrix maps into it.

use rayon::prelude::*;

use super::Extent;

/// Positions of one parallel task. Sums are made task by task, so they do not depend on the number of threads.
pub(super) const TASK: usize = 2048;

/// From positions to voxels of an image: row `a` gives the voxel position along tensor axis `a`.
pub type Map = [[f64; 4]; 3];

/// An image of `C` values a voxel, voxel by voxel, and what each voxel counts.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a, const C: usize> {
    /// `[extent, C]`.
    pub values: &'a [[f32; C]],
    /// From 0 to 1, `[extent]`; 1 everywhere where absent.
    pub weights: Option<&'a [f32]>,
    pub extent: Extent,
}

/// What an image says at one position; slopes are per voxel along the tensor axes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sample {
    pub value: f64,
    pub slope: [f64; 3],
    /// 1 inside the image, falling to 0 over one voxel beyond its outermost centres, times the voxels' weights.
    pub weight: f64,
    pub weight_slope: [f64; 3],
}

/// The image at `map(position)`, linear between voxels, edge values outside.
pub fn sample(source: Source<1>, positions: &[[f32; 3]], map: &Map) -> Vec<Sample> {
    let read = |_, place: [f64; 3]| {
        let taps = Taps::new(source.extent, place);
        let (mut value, mut slope) = (0.0, [0.0; 3]);
        taps.visit(|offset, weight, weight_slope| {
            let voxel = f64::from(source.values[offset][0]);
            value += weight * voxel;
            add(&mut slope, voxel, weight_slope);
        });
        Sample {
            value,
            slope: taps.inside(slope),
            ..taps.weighted(source.weights)
        }
    };
    each(positions, map, read)
}

/// The mean squared difference of the `C` values at `map(position)` from `targets`, as the value of the sample.
pub fn squared_distance<const C: usize>(
    source: Source<C>,
    targets: &[[f32; C]],
    positions: &[[f32; 3]],
    map: &Map,
) -> Vec<Sample> {
    let read = |index: usize, place: [f64; 3]| {
        let taps = Taps::new(source.extent, place);
        let (mut values, mut slopes) = ([0.0; C], [[0.0; 3]; C]);
        taps.visit(|offset, weight, weight_slope| {
            let voxel = &source.values[offset];
            for ((value, slope), &v) in values.iter_mut().zip(&mut slopes).zip(voxel) {
                let v = f64::from(v);
                *value += weight * v;
                add(slope, v, weight_slope);
            }
        });
        let (mut sum, mut slope) = (0.0, [0.0; 3]);
        for ((value, &target), channel) in values.iter().zip(&targets[index]).zip(slopes) {
            let difference = value - f64::from(target);
            sum += difference * difference;
            add(&mut slope, 2.0 * difference / C as f64, channel);
        }
        Sample {
            value: sum / C as f64,
            slope: taps.inside(slope),
            ..taps.weighted(source.weights)
        }
    };
    each(positions, map, read)
}

/// The gradient with respect to `map` of a function whose derivatives by the value and the weight of each sample are
/// `by_sample`.
pub fn chain(samples: &[Sample], by_sample: &[[f64; 2]], positions: &[[f32; 3]]) -> Map {
    let tasks: Vec<Map> = samples
        .par_chunks(TASK)
        .zip(by_sample.par_chunks(TASK))
        .zip(positions.par_chunks(TASK))
        .map(|((samples, by_sample), positions)| {
            let mut sum = Map::default();
            for ((sample, [by_value, by_weight]), position) in
                samples.iter().zip(by_sample).zip(positions)
            {
                for axis in 0..3 {
                    let by_place =
                        by_value * sample.slope[axis] + by_weight * sample.weight_slope[axis];
                    for (sum, &x) in sum[axis].iter_mut().zip(position) {
                        *sum += by_place * f64::from(x);
                    }
                    sum[axis][3] += by_place;
                }
            }
            sum
        })
        .collect();
    tasks.iter().fold(Map::default(), |mut total, task| {
        for (total, task) in total.as_flattened_mut().iter_mut().zip(task.as_flattened()) {
            *total += task;
        }
        total
    })
}

fn each(
    positions: &[[f32; 3]],
    map: &Map,
    read: impl Fn(usize, [f64; 3]) -> Sample + Sync,
) -> Vec<Sample> {
    let place = |p: &[f32; 3]| {
        map.map(|[a, b, c, d]| a * f64::from(p[0]) + b * f64::from(p[1]) + c * f64::from(p[2]) + d)
    };
    positions
        .par_iter()
        .with_min_len(TASK)
        .enumerate()
        .map(|(index, position)| read(index, place(position)))
        .collect()
}

fn add(sum: &mut [f64; 3], factor: f64, vector: [f64; 3]) {
    for (sum, v) in sum.iter_mut().zip(vector) {
        *sum += factor * v;
    }
}

/// The eight voxels around a position.
struct Taps {
    /// Offsets of the lower voxel along each axis, and of the upper one.
    offsets: [[usize; 2]; 3],
    part: [f64; 3],
    /// 1 inside the grid, less up to a voxel beyond it; and the slope of that.
    cover: [f64; 3],
    cover_slope: [f64; 3],
}

impl Taps {
    #[inline]
    fn new(extent: Extent, place: [f64; 3]) -> Self {
        let strides = [extent[1] * extent[2], extent[2], 1];
        let mut taps = Self {
            offsets: [[0; 2]; 3],
            part: [0.0; 3],
            cover: [1.0; 3],
            cover_slope: [0.0; 3],
        };
        for axis in 0..3 {
            let last = extent[axis] - 1;
            let place = place[axis];
            let clamped = place.clamp(0.0, last as f64);
            let beyond = place - clamped;
            if beyond != 0.0 {
                let cover = 1.0 - beyond.abs();
                taps.cover[axis] = cover.max(0.0);
                taps.cover_slope[axis] = if cover > 0.0 { -beyond.signum() } else { 0.0 };
            }
            // Of the last voxel the lower neighbour is taken, so that the slope at it is one-sided.
            let low = (clamped as usize).min(last.saturating_sub(1));
            taps.part[axis] = clamped - low as f64;
            taps.offsets[axis] = [low, (low + 1).min(last)].map(|n| n * strides[axis]);
        }
        taps
    }

    /// Calls `at` with the offset, the weight and the slope of the weight of each voxel.
    #[inline]
    fn visit(&self, mut at: impl FnMut(usize, f64, [f64; 3])) {
        let [[i0, i1], [j0, j1], [k0, k1]] = self.offsets;
        let [ti, tj, tk] = self.part;
        for (i, wi, si) in [(i0, 1.0 - ti, -1.0), (i1, ti, 1.0)] {
            for (j, wj, sj) in [(j0, 1.0 - tj, -1.0), (j1, tj, 1.0)] {
                let wij = wi * wj;
                for (k, wk, sk) in [(k0, 1.0 - tk, -1.0), (k1, tk, 1.0)] {
                    at(i + j + k, wij * wk, [si * wj * wk, wi * sj * wk, wij * sk]);
                }
            }
        }
    }

    /// Beyond the grid values are constant along the axis.
    #[inline]
    fn inside(&self, mut slope: [f64; 3]) -> [f64; 3] {
        for (slope, cover) in slope.iter_mut().zip(self.cover) {
            if cover < 1.0 {
                *slope = 0.0;
            }
        }
        slope
    }

    /// A sample with the weight alone.
    #[inline]
    fn weighted(&self, weights: Option<&[f32]>) -> Sample {
        let [a, b, c] = self.cover;
        let [da, db, dc] = self.cover_slope;
        let (cover, cover_slope) = (a * b * c, [da * b * c, a * db * c, a * b * dc]);
        let Some(weights) = weights else {
            return Sample {
                weight: cover,
                weight_slope: cover_slope,
                ..Sample::default()
            };
        };
        let (mut weight, mut slope) = (0.0, [0.0; 3]);
        self.visit(|offset, tap, tap_slope| {
            let voxel = f64::from(weights[offset]);
            weight += tap * voxel;
            add(&mut slope, voxel, tap_slope);
        });
        let mut weight_slope = self.inside(slope).map(|s| s * cover);
        add(&mut weight_slope, weight, cover_slope);
        Sample {
            weight: cover * weight,
            weight_slope,
            ..Sample::default()
        }
    }
}
