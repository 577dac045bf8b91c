//! What is done to held-out images before they are registered, to see what a network can bear.

use ndarray::{Array3, s};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

/// Standard deviation of the noise, as a share of the largest value of the image.
const NOISE: f32 = 0.1;
/// Shift of the moving image along each axis, in voxels of the network grid.
const SHIFT: usize = 4;

/// A change of both images, or of the moving one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// As they are.
    Clean,
    /// The moving image squared: dark tissue darker.
    Contrast,
    /// The moving image with bright and dark exchanged where it is not background (0).
    Inverted,
    /// Gaussian noise on both images, a tenth of the largest value.
    Noise,
    /// The moving image and its labels 4 voxels off along every axis.
    Shift,
}

impl Condition {
    /// The name in settings and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Contrast => "contrast",
            Self::Inverted => "inverted",
            Self::Noise => "noise",
            Self::Shift => "shift",
        }
    }

    /// Whether it takes voxels of 0 for background.
    pub(super) fn needs_background_zero(self) -> bool {
        matches!(self, Self::Contrast | Self::Inverted)
    }

    /// What the network sees instead of the fixed and the moving image; noise is that of the pair `number`.
    pub fn seen(self, fixed: &Array3<f32>, moving: &Array3<f32>, number: u64) -> [Array3<f32>; 2] {
        let largest = moving.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        let changed = match self {
            Self::Clean | Self::Shift => moving.clone(),
            Self::Contrast => moving.mapv(|v| v.abs() * v / largest),
            Self::Inverted => moving.mapv(|v| if v > 0.0 { largest - v } else { v }),
            Self::Noise => noisy(moving, 2 * number + 1),
        };
        let fixed = match self {
            Self::Noise => noisy(fixed, 2 * number),
            _ => fixed.clone(),
        };
        [fixed, changed]
    }
}

fn noisy(image: &Array3<f32>, stream: u64) -> Array3<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    rng.set_stream(stream);
    let largest = image.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let mut next = || -> f32 { StandardNormal.sample(&mut rng) };
    image.mapv(|v| v + NOISE * largest * next())
}

/// Voxels moved along every axis of more than one voxel, zeros coming in.
pub fn shifted<T: Clone + Default>(image: &Array3<T>) -> Array3<T> {
    let size = |n: usize| if n == 1 { 0 } else { SHIFT.min(n) };
    let (a, b, c) = image.dim();
    let (i, j, k) = (size(a), size(b), size(c));
    let mut out = Array3::default(image.dim());
    out.slice_mut(s![i.., j.., k..])
        .assign(&image.slice(s![..a - i, ..b - j, ..c - k]));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Array3<f32> {
        Array3::from_shape_fn((8, 9, 1), |(i, j, _)| (i * 10 + j) as f32)
    }

    #[test]
    fn shifted_images_have_their_voxels_further_on() {
        let moved = shifted(&image());
        assert_eq!(moved[[5, 6, 0]], image()[[1, 2, 0]]);
        assert_eq!(moved[[3, 8, 0]], 0.0);
    }

    #[test]
    fn contrast_changes_leave_background_and_the_fixed_image() {
        for condition in [Condition::Contrast, Condition::Inverted] {
            let [fixed, moving] = condition.seen(&image(), &image(), 0);
            assert_eq!(fixed, image());
            assert_eq!(moving[[0, 0, 0]], 0.0);
            assert_ne!(moving, image());
        }
        let [_, inverted] = Condition::Inverted.seen(&image(), &image(), 0);
        assert_eq!(inverted[[7, 8, 0]], 0.0);
    }

    #[test]
    fn noise_has_the_stated_size_and_repeats() {
        let flat = Array3::from_elem((40, 40, 1), 2.0_f32);
        let [fixed, moving] = Condition::Noise.seen(&flat, &flat, 3);
        assert_eq!(
            Condition::Noise.seen(&flat, &flat, 3),
            [fixed.clone(), moving.clone()]
        );
        assert_ne!(fixed, moving);
        let sd = fixed.mapv(|v| (v - 2.0).powi(2)).mean().unwrap().sqrt();
        assert!((sd - 0.2).abs() < 0.02, "{sd}");
    }
}
