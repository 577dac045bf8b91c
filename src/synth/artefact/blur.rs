//! Gaussian blur, separable, with its own width along each axis.

use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::synth::grid::Grid;
use crate::synth::range::{Range, check_probability};

/// Gaussian blur of the image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BlurConfig {
    pub prob: f64,
    /// SD of the kernel, drawn for each axis, voxels. SynthMorph: up to 1.
    pub sd: Range,
}

impl Default for BlurConfig {
    fn default() -> Self {
        Self {
            prob: 1.0,
            sd: Range::new(0.0, 1.0),
        }
    }
}

impl BlurConfig {
    pub(super) fn check(&self) -> Result<()> {
        check_probability("blur.prob", self.prob)?;
        self.sd.check("blur.sd", Range::new(0.0, 100.0))
    }

    pub(super) fn apply(&self, grid: &Grid, rng: &mut impl Rng, mut image: Vec<f32>) -> Vec<f32> {
        for c in 0..grid.axes() {
            image = gaussian(image, grid.extent, grid.axis(c), self.sd.draw(rng));
        }
        image
    }
}

/// `image` convolved along `axis` with a Gaussian of standard deviation `sd` voxels.
///
/// The kernel ends at 3 SD and sums to one; beyond the border the edge value repeats.
pub(super) fn gaussian(image: Vec<f32>, extent: [usize; 3], axis: usize, sd: f64) -> Vec<f32> {
    let taps = kernel(sd);
    if taps.len() == 1 {
        return image;
    }
    let n = extent[axis];
    let stride: usize = extent[axis + 1..].iter().product();
    let mut blurred = vec![0.0; image.len()];
    if stride == 1 {
        let lines = blurred.par_chunks_mut(n).zip(image.par_chunks(n));
        lines.for_each_init(Vec::new, |padded, (out, line)| {
            along_line(out, line, &taps, padded);
        });
    } else {
        // Each output row is a weighted sum of whole input rows.
        let rows = blurred.par_chunks_mut(stride).enumerate();
        rows.for_each(|(row, out)| across_rows(out, &image, row, n, &taps));
    }
    blurred
}

/// Half of a symmetric kernel: the weight at distance 0, 1, 2 ...
fn kernel(sd: f64) -> Vec<f32> {
    if sd < 1e-3 {
        return vec![1.0];
    }
    let radius = (3.0 * sd).ceil() as usize;
    let weight = |x: usize| (-0.5 * (x as f64 / sd).powi(2)).exp();
    let total: f64 = weight(0) + 2.0 * (1..=radius).map(weight).sum::<f64>();
    (0..=radius).map(|x| (weight(x) / total) as f32).collect()
}

fn along_line(out: &mut [f32], line: &[f32], taps: &[f32], padded: &mut Vec<f32>) {
    let (n, radius) = (line.len(), taps.len() - 1);
    padded.clear();
    padded.extend(std::iter::repeat_n(line[0], radius));
    padded.extend_from_slice(line);
    padded.extend(std::iter::repeat_n(line[n - 1], radius));
    for (out, centre) in out.iter_mut().zip(&padded[radius..]) {
        *out = taps[0] * centre;
    }
    for (distance, &tap) in taps.iter().enumerate().skip(1) {
        let before = &padded[radius - distance..];
        let after = &padded[radius + distance..];
        for ((out, before), after) in out.iter_mut().zip(before).zip(after) {
            *out += tap * (before + after);
        }
    }
}

fn across_rows(out: &mut [f32], image: &[f32], row: usize, n: usize, taps: &[f32]) {
    let stride = out.len();
    let (block, at) = (row / n, row % n);
    let input = |at: usize| {
        let start = (block * n + at) * stride;
        &image[start..start + stride]
    };
    for (out, centre) in out.iter_mut().zip(input(at)) {
        *out = taps[0] * centre;
    }
    for (distance, &tap) in taps.iter().enumerate().skip(1) {
        let before = input(at.saturating_sub(distance));
        let after = input((at + distance).min(n - 1));
        for ((out, before), after) in out.iter_mut().zip(before).zip(after) {
            *out += tap * (before + after);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn impulse_gives_the_sampled_gaussian_along_every_axis() {
        for axis in 0..3 {
            let mut extent = [3, 3, 3];
            extent[axis] = 9;
            let strides = [extent[1] * extent[2], extent[2], 1];
            let start: usize = (0..3).filter(|a| *a != axis).map(|a| strides[a]).sum();
            let mut image = vec![0.0; 81];
            image[start + 4 * strides[axis]] = 1.0;
            let blurred = gaussian(image, extent, axis, 0.8);
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
        let blurred = gaussian(vec![0.7; 60], [3, 4, 5], 1, 2.5);
        assert!(blurred.iter().all(|v| (v - 0.7).abs() < 1e-6));
    }
}
