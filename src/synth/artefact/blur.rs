//! Gaussian blur, separable, with its own width along each axis.

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::kernels::gaussian;
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

/// `image` convolved along `axis` with a Gaussian of standard deviation `sd` voxels, as [`gaussian::smooth`].
pub(super) fn gaussian(image: Vec<f32>, extent: [usize; 3], axis: usize, sd: f64) -> Vec<f32> {
    let mut along = [0.0; 3];
    along[axis] = sd;
    gaussian::smooth(&image, 1, extent, along)
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
