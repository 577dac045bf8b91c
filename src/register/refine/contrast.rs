//! Which similarity a pair is optimised by where nobody says so.

use ndarray::Zip;

use super::Channel;
use crate::error::Result;
use crate::linear::Similarity;
use crate::metric::ncc;

/// Share of the range of intensities up to which a voxel may be background: outlines are alike in all contrasts.
const BACKGROUND: f32 = 0.05;

/// Least correlation within both subjects of scans that show one contrast. Linearly registered brains, hippocampi and hearts
/// have 0.62 to 0.96, T1 beside PD 0.26, MR beside ultrasound at most 0.17 (benches/records/2026-11-27-contrast.md).
const ALIKE: f64 = 0.5;

/// Local correlation for scans of one contrast, mutual information where the contrast of a channel differs.
///
/// # Errors
/// Images of different grids.
pub(super) fn suited(channels: &[Channel]) -> Result<Similarity> {
    for channel in channels {
        // Scans that are constant within, such as masks, have no correlation (NaN), and contradict nothing.
        if within(channel)? < ALIKE {
            return Ok(Similarity::Mi);
        }
    }
    Ok(Similarity::Lncc)
}

/// Correlation of intensities over the voxels that count and are no background, in both images.
fn within(channel: &Channel) -> Result<f64> {
    let [fixed, moving] = [channel.fixed, channel.moving].map(|image| &image.data);
    let [counted, also] = channel.masks.map(|mask| &mask.data);
    let inside = Zip::from(fixed)
        .and(moving)
        .and(counted)
        .and(also)
        .map_collect(|&f, &m, &a, &b| f > BACKGROUND && m > BACKGROUND && a * b > 0.0);
    ncc(fixed, moving, Some(&inside))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Affine, Dimension, Geometry, Image};
    use ndarray::Array3;

    /// A disc of tissue in three shades, or in what `shade` makes of them, off the centre by `shift` voxels.
    fn disc(shift: f64, shade: impl Fn(f32) -> f32) -> Image {
        let geometry = Geometry::new([40, 40, 1], Dimension::Two, Affine::identity());
        let data = Array3::from_shape_fn((40, 40, 1), |(i, j, _)| {
            let (x, y) = (i as f64 - 20.0 - shift, j as f64 - 20.0);
            let radius = (x * x + y * y).sqrt();
            match radius {
                ..6.0 => shade(0.9),
                ..12.0 => shade(0.4 + 0.01 * (i % 5) as f32),
                ..16.0 => shade(0.7),
                _ => 0.0,
            }
        });
        Image { data, geometry }
    }

    fn chosen(fixed: &Image, moving: &Image, outside: &Image) -> Similarity {
        let channel = Channel {
            fixed,
            moving,
            masks: [fixed, outside],
            weight: 1.0,
        };
        suited(&[channel]).unwrap()
    }

    #[test]
    fn only_the_contrast_within_both_decides() {
        let one = disc(0.0, |v| v);
        let brighter = disc(1.0, |v| 0.2 + 0.8 * v);
        assert_eq!(chosen(&one, &brighter, &one), Similarity::Lncc);
        let inverted = disc(1.0, |v| 1.1 - v);
        // By the whole images, outlines included, the two would be taken for one contrast.
        assert!(ncc(&one.data, &inverted.data, None).unwrap() > ALIKE);
        assert_eq!(chosen(&one, &inverted, &one), Similarity::Mi);
        let mask = disc(0.0, |_| 1.0);
        assert_eq!(chosen(&mask, &one, &mask), Similarity::Lncc);
    }

    #[test]
    fn what_masks_leave_out_says_nothing() {
        let one = disc(0.0, |v| v);
        let (mut other, mut left_out) = (one.clone(), disc(0.0, |_| 1.0));
        for i in 0..24 {
            for j in 0..40 {
                other.data[[i, j, 0]] = 1.2 - other.data[[i, j, 0]];
                left_out.data[[i, j, 0]] = 0.0;
            }
        }
        assert_eq!(chosen(&one, &other, &left_out), Similarity::Lncc);
        let all = disc(0.0, |_| 1.0);
        assert_eq!(chosen(&one, &other, &all), Similarity::Mi);
    }
}
