//! Gaussian smoothing.

use rayon::prelude::*;

use super::Extent;

/// Standard deviations beyond which the kernel ends.
const REACH: f64 = 3.0;

/// Smoothing narrower than this, in voxels, changes nothing worth the time.
const NARROWEST: f64 = 0.2;

/// Smooths an image of `extent` with standard deviations `sigma` in voxels along each tensor axis, one axis after the
/// other; the edge voxel continues outside.
pub fn gaussian(x: &[f32], extent: Extent, sigma: [f64; 3]) -> Vec<f32> {
    let mut smooth = x.to_vec();
    for (axis, &sigma) in sigma.iter().enumerate() {
        if sigma >= NARROWEST && extent[axis] > 1 {
            smooth = along(&smooth, extent, axis, &weights(sigma));
        }
    }
    smooth
}

/// Half of a symmetric kernel, from the centre outwards; the whole sums to 1.
fn weights(sigma: f64) -> Vec<f32> {
    let reach = (REACH * sigma).ceil() as usize;
    let half: Vec<f64> = (0..=reach)
        .map(|n| (-0.5 * (n as f64 / sigma).powi(2)).exp())
        .collect();
    let sum = half[0] + 2.0 * half[1..].iter().sum::<f64>();
    half.iter().map(|w| (w / sum) as f32).collect()
}

/// One axis: `stride` neighbours in memory are smoothed alike, so the inner loop runs along them.
fn along(x: &[f32], extent: Extent, axis: usize, weights: &[f32]) -> Vec<f32> {
    let stride: usize = extent[axis + 1..].iter().product();
    let length = extent[axis];
    let mut out = vec![0.0; x.len()];
    out.par_chunks_mut(stride)
        .enumerate()
        .for_each(|(line, out)| {
            let (block, at) = (line / length, line % length);
            let row = |n: usize| &x[(block * length + n) * stride..][..stride];
            for (out, x) in out.iter_mut().zip(row(at)) {
                *out = weights[0] * x;
            }
            for (n, &weight) in weights.iter().enumerate().skip(1) {
                let (below, above) = (row(at.saturating_sub(n)), row((at + n).min(length - 1)));
                for ((out, a), b) in out.iter_mut().zip(below).zip(above) {
                    *out += weight * (a + b);
                }
            }
        });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_scipy() {
        // numpy/scipy: x = ((arange(2*5*4) * 7) % 11).reshape(2, 5, 4).astype('f8')
        // gaussian_filter(x, [0, 1.0, 0.6], mode='nearest', radius=[0, 3, 2]).ravel()[[0, 5, 13, 39]]
        let x: Vec<f32> = (0..40).map(|n| ((n * 7) % 11) as f32).collect();
        let smooth = gaussian(&x, [2, 5, 4], [0.0, 1.0, 0.6]);
        let expected = [
            2.2548611446884532,
            4.864246268621063,
            5.793017638619547,
            6.745263995629593,
        ];
        for (at, expected) in [0, 5, 13, 39].into_iter().zip(expected) {
            approx::assert_abs_diff_eq!(f64::from(smooth[at]), expected, epsilon = 1e-5);
        }
    }

    #[test]
    fn keeps_constants_and_leaves_axes_of_one_voxel() {
        let x = [3.5; 24];
        let smooth = gaussian(&x, [1, 6, 4], [2.0, 1.5, 5.0]);
        assert!(smooth.iter().all(|v| (v - 3.5).abs() < 1e-5));
    }
}
