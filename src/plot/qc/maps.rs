//! The values behind the panels: images on the display scale, difference, Jacobian determinant.

use super::QcInput;
use super::view::View;
use crate::eval::quantile;
use crate::metric::{jacobian, sample::linear};
use ndarray::Array3;

/// Intensities that are drawn black and white.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    low: f64,
    high: f64,
}

impl Window {
    /// The 0.5 and 99.5 percentiles of what is finite.
    fn of(image: &Array3<f32>) -> Self {
        let values = spread(image.iter().map(|&v| f64::from(v)), image.shape());
        let (low, high) = (quantile(&values, 0.005), quantile(&values, 0.995));
        if high > low {
            Self { low, high }
        } else {
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let low = if least.is_finite() { least } else { 0.0 };
            let most = values.iter().copied().fold(low, f64::max);
            Self {
                low,
                high: if most > low { most } else { low + 1.0 },
            }
        }
    }

    /// To 0..1, clipped.
    fn scale(self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// The finite ones of some 100,000 values at most, evenly from those of all voxels of an array of this shape, row-major.
fn spread(values: impl Iterator<Item = f64>, shape: &[usize]) -> Vec<f64> {
    let least = shape.iter().product::<usize>().div_ceil(100_000).max(1);
    // A step that shares a divisor with an axis would see some of its planes alone.
    let even = |step: &usize| shape.iter().all(|&size| common_divisor(*step, size) == 1);
    let step = (least..).find(even).unwrap_or(least);
    values.step_by(step).filter(|v| v.is_finite()).collect()
}

/// The greatest one.
fn common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

/// Everything a panel is coloured by.
pub(in crate::plot) struct Maps<'a> {
    pub input: &'a QcInput<'a>,
    fixed: Window,
    /// Of moving and moved alike.
    moving: Window,
    /// Largest difference shown, 0..1.
    pub difference_range: f64,
    pub determinant: Array3<f32>,
    /// Determinants from `1 / range` to `range` are told apart.
    pub determinant_range: f64,
}

impl<'a> Maps<'a> {
    pub fn new(input: &'a QcInput<'a>) -> Self {
        let (fixed, moving) = (
            Window::of(&input.fixed.data),
            Window::of(&input.moving.data),
        );
        let determinant = jacobian(input.field);
        // Not finite where a determinant is not above 0.
        let logs = determinant.iter().map(|d| f64::from(d.log2().abs()));
        let reach = quantile(&spread(logs, determinant.shape()), 0.98);
        let mut maps = Self {
            input,
            fixed,
            moving,
            difference_range: 1.0,
            determinant,
            determinant_range: [1.25_f64, 1.5, 2.0, 3.0]
                .into_iter()
                .find(|range| range.log2() >= reach)
                .unwrap_or(4.0),
        };
        maps.difference_range = maps.largest_difference();
        maps
    }

    /// The 99.5 percentile of both differences over the grid, rounded up to a tenth.
    fn largest_difference(&self) -> f64 {
        let fixed = &self.input.fixed.data;
        let both = [&self.input.moving.data, &self.input.moved.data];
        let of = |other: &Array3<f32>| {
            let pairs = fixed.iter().zip(other.iter());
            let values = pairs.map(|(&f, &m)| self.difference(f64::from(f), f64::from(m)).abs());
            quantile(&spread(values, fixed.shape()), 0.995)
        };
        let largest = both.map(of).into_iter().fold(0.0, f64::max);
        ((10.0 * largest).ceil() / 10.0).clamp(0.1, 1.0)
    }

    fn difference(&self, fixed: f64, other: f64) -> f64 {
        self.moving.scale(other) - self.fixed.scale(fixed)
    }

    /// A value of the fixed image on the display scale, 0..1.
    pub fn fixed_scale(&self, value: f32) -> f64 {
        self.fixed.scale(f64::from(value))
    }

    pub fn fixed_at(&self, place: [f64; 3]) -> f64 {
        self.fixed
            .scale(linear(self.input.fixed.data.view(), place))
    }

    pub fn moving_at(&self, place: [f64; 3]) -> f64 {
        self.moving
            .scale(linear(self.input.moving.data.view(), place))
    }

    pub fn moved_at(&self, place: [f64; 3]) -> f64 {
        self.moving
            .scale(linear(self.input.moved.data.view(), place))
    }

    /// Logarithm of the determinant on the scale shown, -1..1; `None` where it is not above 0.
    pub fn volume_change_at(&self, place: [f64; 3]) -> Option<f64> {
        let nearest = [0, 1, 2].map(|axis| {
            let last = self.determinant.shape()[axis] - 1;
            (place[axis].round().max(0.0) as usize).min(last)
        });
        // A fold is a property of a voxel: never blended away.
        if self.determinant[nearest] > 0.0 {
            let value = linear(self.determinant.view(), place).max(1e-9);
            Some(value.log2() / self.determinant_range.log2())
        } else {
            None
        }
    }

    /// The same over a pixel of a slice; a fold anywhere in it wins.
    pub fn volume_change_over(
        &self,
        view: &View,
        size: [usize; 2],
        pixel: [usize; 2],
    ) -> Option<f64> {
        let mut folded = false;
        let mean = over_pixel(view, size, pixel, |at| {
            let change = self.volume_change_at(at);
            folded |= change.is_none();
            change.unwrap_or(0.0)
        });
        (!folded).then_some(mean)
    }
}

/// The voxel through which slices run: the middle of the fixed labels, or of the grid.
pub(in crate::plot) fn middle(input: &QcInput) -> [usize; 3] {
    let shape = input.field.geometry.shape;
    let mut low = shape;
    let mut high = [0; 3];
    let labels = input
        .labels
        .iter()
        .flat_map(|labels| labels.fixed.data.indexed_iter());
    for ((i, j, k), _) in labels.filter(|(_, label)| **label != 0) {
        for (axis, index) in [i, j, k].into_iter().enumerate() {
            low[axis] = low[axis].min(index);
            high[axis] = high[axis].max(index);
        }
    }
    [0, 1, 2].map(|axis| {
        if low[axis] <= high[axis] {
            (low[axis] + high[axis]) / 2
        } else {
            shape[axis] / 2
        }
    })
}

/// Mean of a value over a pixel: one sample when magnified, several when voxels are smaller.
pub(in crate::plot) fn over_pixel(
    view: &View,
    [width, height]: [usize; 2],
    [x, y]: [usize; 2],
    mut value: impl FnMut([f64; 3]) -> f64,
) -> f64 {
    let per_pixel = |voxels: usize, pixels: usize| voxels.div_ceil(pixels).max(1);
    let (nx, ny) = (
        per_pixel(view.right.voxels, width),
        per_pixel(view.down.voxels, height),
    );
    let mut sum = 0.0;
    for a in 0..nx {
        for b in 0..ny {
            let share = |at: usize, sub: usize, n: usize, size: usize| {
                (at as f64 + (sub as f64 + 0.5) / n as f64) / size as f64
            };
            sum += value(view.place(share(x, a, nx, width), share(y, b, ny, height)));
        }
    }
    sum / (nx * ny) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plane_of_every_axis_is_sampled_alike() {
        // 600,000 voxels would be sampled by sixes, the first slice alone; 400 x 300 x 25 by thirties.
        for shape in [
            [400, 250, 6],
            [6, 400, 250],
            [400, 300, 25],
            [3_000_000, 1, 1],
        ] {
            for axis in 0..3 {
                let voxels = ndarray::indices(shape).into_iter();
                let places = voxels.map(|(i, j, k)| [i, j, k][axis] as f64);
                let sample = spread(places, &shape);
                let mean = (shape[axis] - 1) as f64 / 2.0;
                let found = sample.iter().sum::<f64>() / sample.len() as f64;
                assert!((50_000..=100_000).contains(&sample.len()));
                assert!(
                    (found - mean).abs() <= 0.01 * mean,
                    "{shape:?} {axis} {found}"
                );
            }
        }
    }
}
