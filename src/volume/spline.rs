//! Cubic B-spline interpolation: exact at the voxels, mirrored at the outermost ones, as
//! `scipy.ndimage.map_coordinates` (order 3) and ITK's `BSplineInterpolateImageFunction` do it.
//!
//! Prefilter of Unser, Aldroubi & Eden (IEEE TSP 1993).

use ndarray::{Array3, ArrayView1, ArrayView3, Axis};
use rayon::prelude::*;

/// B-spline coefficients of a scalar grid.
#[derive(Debug, Clone)]
pub struct Spline {
    coefficients: Array3<f64>,
}

impl Spline {
    pub fn new(grid: ArrayView3<f32>) -> Self {
        let mut coefficients = grid.mapv(f64::from);
        for axis in 0..3 {
            if coefficients.len_of(Axis(axis)) > 1 {
                prefilter_along(&mut coefficients, axis);
            }
        }
        Self { coefficients }
    }

    /// Value at a finite position in voxels; beyond the grid that of the mirrored image.
    pub fn at(&self, position: [f64; 3]) -> f64 {
        let shape = self.coefficients.shape();
        let [ii, jj, kk] = [0, 1, 2].map(|axis| taps(position[axis], shape[axis]));
        let mut sum = 0.0;
        for (i, wi) in ii {
            for (j, wj) in jj {
                for (k, wk) in kk {
                    sum += wi * wj * wk * self.coefficients[[i, j, k]];
                }
            }
        }
        sum
    }
}

/// Filters every line along `axis`, plane by plane of another axis.
fn prefilter_along(coefficients: &mut Array3<f64>, axis: usize) {
    let across = usize::from(axis == 0);
    // A plane has lost the axis `across`.
    let within = axis.saturating_sub(usize::from(across < axis));
    let planes = coefficients.axis_iter_mut(Axis(across)).par_bridge();
    planes.for_each(|mut plane| {
        for mut line in plane.lanes_mut(Axis(within)) {
            let mut values = line.to_vec();
            prefilter(&mut values);
            line.assign(&ArrayView1::from(&values));
        }
    });
}

/// Samples to coefficients, in place; at least two samples.
fn prefilter(line: &mut [f64]) {
    let pole = 3.0_f64.sqrt() - 2.0;
    let gain = (1.0 - pole) * (1.0 - 1.0 / pole);
    let last = line.len() - 1;
    line.iter_mut().for_each(|value| *value *= gain);
    line[0] = mirrored_start(line, pole);
    for x in 1..=last {
        line[x] += pole * line[x - 1];
    }
    line[last] = pole / (pole * pole - 1.0) * (pole * line[last - 1] + line[last]);
    for x in (0..last).rev() {
        line[x] = pole * (line[x + 1] - line[x]);
    }
}

/// The causal filter's first value: the sum over the whole mirrored line.
fn mirrored_start(line: &[f64], pole: f64) -> f64 {
    let last = line.len() - 1;
    let end = pole.powi(last as i32);
    let mut sum = line[0] + end * line[last];
    let mut power = pole;
    for x in 1..last {
        sum += power * (line[x] + end * line[last - x]);
        power *= pole;
    }
    sum / (1.0 - end * end)
}

/// The four neighbours of `x` on a line of `n` (mirrored about its ends) with their weights.
fn taps(x: f64, n: usize) -> [(usize, f64); 4] {
    let floor = x.floor();
    let t = x - floor;
    let weights = [
        (1.0 - t).powi(3) / 6.0,
        (4.0 - 6.0 * t * t + 3.0 * t.powi(3)) / 6.0,
        (1.0 + 3.0 * t + 3.0 * t * t - 3.0 * t.powi(3)) / 6.0,
        t.powi(3) / 6.0,
    ];
    [0, 1, 2, 3].map(|tap| (mirror(floor as isize - 1 + tap as isize, n), weights[tap]))
}

fn mirror(index: isize, n: usize) -> usize {
    if n == 1 {
        return 0;
    }
    let period = 2 * (n as isize - 1);
    let folded = index.rem_euclid(period);
    folded.min(period - folded) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn equals_scipy_on_a_line() {
        let line =
            Array3::from_shape_vec((7, 1, 1), vec![0.0_f32, 1., 0., 0., 2., 5., 1.]).unwrap();
        let spline = Spline::new(line.view());
        // a = numpy.array([0., 1, 0, 0, 2, 5, 1])
        // scipy.ndimage.map_coordinates(a, [[0, .3, .5, 1.2, 2.7, 5.4, 6]])
        let expected = [
            (0.0, 0.0),
            (0.3, 0.20025),
            (0.5, 0.46875),
            (1.2, 0.96),
            (2.7, -0.17325),
            (5.4, 3.34),
            (6.0, 1.0),
        ];
        for (x, value) in expected {
            assert!((spline.at([x, 0.0, 0.0]) - value).abs() < 1e-12, "{x}");
        }
    }

    #[test]
    fn equals_scipy_on_a_volume() {
        let volume = Array3::from_shape_fn((4, 3, 5), |(i, j, k)| {
            ((7 * i * i + 3 * j + 5 * k * k * (j + 1)) % 11) as f32
        });
        let spline = Spline::new(volume.view());
        // i, j, k = numpy.indices((4, 3, 5)); v = (7*i*i + 3*j + 5*k*k*(j+1)) % 11.
        // scipy.ndimage.map_coordinates(v.astype(float), [[.4, 2.9, 3.], [1.7, .1, 2.], [3.3, .6, .5]])
        let expected = [6.500279032250001, 4.577265527785717, 4.517857142857147];
        let places = [[0.4, 1.7, 3.3], [2.9, 0.1, 0.6], [3.0, 2.0, 0.5]];
        for (place, value) in places.into_iter().zip(expected) {
            assert!((spline.at(place) - value).abs() < 1e-11, "{place:?}");
        }
    }
}
