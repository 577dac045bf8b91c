//! Self-similarity context descriptors (Heinrich et al., MICCAI 2013): how a place resembles its surroundings, which is
//! much the same in images of different contrast.

use rayon::prelude::*;

use super::Extent;
use super::boxsum::box_sum;

/// Pairs of neighbours that are compared: 12 in 3-D, 4 in 2-D.
pub const PAIRS_3D: usize = 12;
pub const PAIRS_2D: usize = 4;

/// Side of the patches compared, in voxels.
const PATCH: usize = 3;

/// Bounds of the local noise estimate, relative to its mean over the image.
const NOISE: [f64; 2] = [1e-3, 1e3];

/// The descriptor of every voxel, `C` numbers from 0 to 1: [`PAIRS_3D`] of volumes, [`PAIRS_2D`] of images, whose
/// neighbours lie along the last two axes. The caller chooses: a volume may have one voxel along an axis, too.
///
/// Entry `c` is `exp(-(d_c - min d) / v)` with `d_c` the mean squared difference of the patches around the two neighbours
/// of pair `c`, and `v` the mean over `c` of the numerator.
pub fn descriptors<const C: usize>(image: &[f32], extent: Extent) -> Vec<[f32; C]> {
    let window = extent.map(|n| if n == 1 { 1 } else { PATCH });
    let distances: Vec<Vec<f32>> = pairs::<C>()
        .iter()
        .map(|[a, b]| {
            box_sum(
                &squared_difference(image, extent, *a, *b),
                1,
                extent,
                window,
            )
        })
        .collect();
    let mut out: Vec<[f32; C]> = (0..image.len())
        .into_par_iter()
        .map(|voxel| {
            let values: [f32; C] = std::array::from_fn(|c| distances[c][voxel]);
            let least = values.iter().copied().fold(f32::INFINITY, f32::min);
            values.map(|value| value - least)
        })
        .collect();
    let noise = |values: &[f32; C]| values.iter().map(|&v| f64::from(v)).sum::<f64>() / C as f64;
    let mean = out.iter().map(noise).sum::<f64>() / out.len().max(1) as f64;
    out.par_iter_mut().for_each(|values| {
        // The smallest positive number keeps an image without any difference from dividing 0 by 0.
        let variance = noise(values)
            .clamp(NOISE[0] * mean, NOISE[1] * mean)
            .max(1e-30) as f32;
        *values = values.map(|value| (-value / variance).exp());
    });
    out
}

/// Neighbours along the axes that are next to each other: all pairs but the opposite ones.
fn pairs<const C: usize>() -> Vec<[[isize; 3]; 2]> {
    const {
        assert!(C == PAIRS_2D || C == PAIRS_3D);
    }
    let axes = if C == PAIRS_2D { 1..3 } else { 0..3 };
    let steps: Vec<(usize, [isize; 3])> = axes
        .flat_map(|axis| [-1, 1].map(|step| (axis, step)))
        .map(|(axis, step)| {
            let mut offset = [0; 3];
            offset[axis] = step;
            (axis, offset)
        })
        .collect();
    let pairs = steps.iter().enumerate().flat_map(|(n, first)| {
        let others = steps[n + 1..].iter().filter(|other| other.0 != first.0);
        others.map(|other| [first.1, other.1])
    });
    pairs.collect()
}

/// `(image(x + a) - image(x + b))^2`; the edge voxel continues outside.
fn squared_difference(image: &[f32], extent: Extent, a: [isize; 3], b: [isize; 3]) -> Vec<f32> {
    let [_, h, w] = extent;
    let shifted =
        |n: usize, step: isize, axis: usize| n.saturating_add_signed(step).min(extent[axis] - 1);
    let mut out = vec![0.0; image.len()];
    out.par_chunks_mut(w).enumerate().for_each(|(row, out)| {
        let (d, y) = (row / h, row % h);
        let [from_a, from_b] = [a, b].map(|step| {
            let line = shifted(d, step[0], 0) * h + shifted(y, step[1], 1);
            &image[line * w..][..w]
        });
        for (x, out) in out.iter_mut().enumerate() {
            let difference = from_a[shifted(x, a[2], 2)] - from_b[shifted(x, b[2], 2)];
            *out = difference * difference;
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(extent: Extent) -> Vec<f32> {
        let voxels: usize = extent.iter().product();
        (0..voxels)
            .map(|n| ((n * n * 7 + 3 * n) % 31) as f32 / 31.0)
            .collect()
    }

    #[test]
    fn other_contrast_same_descriptor() {
        let extent = [5, 6, 7];
        let image = scene(extent);
        let inverted: Vec<f32> = image.iter().map(|v| 3.0 - 2.0 * v).collect();
        let [a, b] = [&image, &inverted].map(|x| descriptors::<PAIRS_3D>(x, extent));
        for (a, b) in a.as_flattened().iter().zip(b.as_flattened()) {
            // Squares of differences of values up to 3 in float32.
            approx::assert_abs_diff_eq!(a, b, epsilon = 1e-4);
        }
    }

    #[test]
    fn a_voxel_in_two_dimensions_by_hand() {
        // One bright voxel below the centre of a 7 x 7 image: around the centre only patches that hold it differ.
        let mut image = vec![0.0; 49];
        image[5 * 7 + 3] = 1.0;
        let found = descriptors::<PAIRS_2D>(&image, [1, 7, 7])[4 * 7 + 3];
        // Squared differences of the neighbours summed over 3 x 3: pairs (up, left), (up, right), (down, left),
        // (down, right) of the patch centred at row 4: the bright voxel is met as `down` at row 4 and as left/right at
        // row 5, columns 4 and 2; as `up` only at row 6, outside the patch.
        let distances = [1.0_f64, 1.0, 2.0, 2.0];
        let noise = distances.iter().map(|d| d - 1.0).sum::<f64>() / 4.0;
        for (found, distance) in found.iter().zip(distances) {
            approx::assert_abs_diff_eq!(
                f64::from(*found),
                (-(distance - 1.0) / noise).exp(),
                epsilon = 1e-6
            );
        }
    }

    #[test]
    fn a_volume_of_one_slice_has_neighbours_along_every_axis() {
        // The same sheet of voxels lying across the first axis and across the last. Across the sheet the voxel itself
        // takes the place of both neighbours, as everywhere at an edge.
        let sheet = scene([1, 6, 7]);
        let [across_first, across_last] =
            [[1, 6, 7], [6, 7, 1]].map(|extent| descriptors::<PAIRS_3D>(&sheet, extent));
        for (first, last) in across_first.iter().zip(&across_last) {
            // The same pairs in another order, since they are listed axis by axis.
            let [first, last] = [first, last].map(sorted);
            for (a, b) in first.iter().zip(&last) {
                // Distances of up to 9, summed in float32 in another order.
                approx::assert_abs_diff_eq!(a, b, epsilon = 1e-4);
            }
        }
    }

    fn sorted(descriptor: &[f32; PAIRS_3D]) -> [f32; PAIRS_3D] {
        let mut values = *descriptor;
        values.sort_by(f32::total_cmp);
        values
    }

    #[test]
    fn a_constant_image_is_like_itself_everywhere() {
        let found = descriptors::<PAIRS_3D>(&[2.0; 60], [3, 4, 5]);
        assert!(found.as_flattened().iter().all(|&v| v == 1.0));
    }
}
