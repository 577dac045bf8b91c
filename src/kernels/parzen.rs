//! Mutual information of a joint histogram with B-spline Parzen windows (Mattes et al., IEEE TMI 2003).

use rayon::prelude::*;

use super::affine::TASK;

/// Bins that the cubic B-spline needs beside the range of the moving values, on either side.
const PAD: usize = 2;

/// A joint histogram of `B` by `B` bins, fixed by moving.
type Histogram<const B: usize> = [[f64; B]; B];

/// Normalised mutual information of the values of two images, and what it takes to differentiate it; with `B` bins along
/// each axis of the histogram.
///
/// A fixed value counts in its bin alone, a moving value in four by a cubic B-spline, so that the histogram is a smooth
/// function of the moving values; each sample counts by its weight. Normalised (Studholme et al., Pattern Recognition
/// 1999), it does not grow when background leaves the part that both images show.
pub struct Information<const B: usize> {
    /// `(H(F) + H(M)) / H(F, M)`, from 1 to 2.
    pub value: f64,
    /// The weight of all samples.
    pub total: f64,
    /// The derivative by the share of each bin.
    by_share: Box<Histogram<B>>,
}

impl<const B: usize> Information<B> {
    /// Of the `fixed` values and as many samples of the moving image: `moving(n)` is the value of a sample and its weight.
    /// Intensities lie within 0..1. `None` where no sample counts.
    pub fn new(fixed: &[f32], moving: impl Fn(usize) -> [f64; 2] + Sync) -> Option<Self> {
        let total: f64 = (0..fixed.len()).map(|n| moving(n)[1]).sum();
        if total <= 0.0 {
            return None;
        }
        let (value, by_share) = information(&histogram::<B>(fixed, moving, total));
        Some(Self {
            value,
            total,
            by_share,
        })
    }

    /// The derivatives of the information by the value and the weight of a sample.
    pub fn derivatives(&self, fixed: f32, [value, weight]: [f64; 2]) -> [f64; 2] {
        let row = &self.by_share[fixed_bin::<B>(fixed)];
        let (first, spline) = moving_bins::<B>(value);
        let (mut mean, mut slope) = (0.0, 0.0);
        for ((share, by_value), by_share) in spline.into_iter().zip(&row[first..]) {
            mean += share * by_share;
            slope += by_value * by_share;
        }
        // The mean of `by_share` over all samples is 0, so that only the sample's own remains.
        [weight / self.total * slope, mean / self.total]
    }
}

/// Shares of the bins, which sum to 1.
fn histogram<const B: usize>(
    fixed: &[f32],
    moving: impl Fn(usize) -> [f64; 2] + Sync,
    total: f64,
) -> Box<Histogram<B>> {
    let tasks: Vec<Box<Histogram<B>>> = fixed
        .par_chunks(TASK)
        .enumerate()
        .map(|(task, fixed)| {
            let mut joint = Box::new([[0.0; B]; B]);
            for (n, &fixed) in fixed.iter().enumerate() {
                let [value, weight] = moving(task * TASK + n);
                let (first, spline) = moving_bins::<B>(value);
                let row = &mut joint[fixed_bin::<B>(fixed)][first..];
                for (bin, (share, _)) in row.iter_mut().zip(spline) {
                    *bin += weight * share;
                }
            }
            joint
        })
        .collect();
    let mut joint = Box::new([[0.0; B]; B]);
    for task in tasks {
        for (sum, part) in joint.as_flattened_mut().iter_mut().zip(task.as_flattened()) {
            *sum += part / total;
        }
    }
    joint
}

/// The normalised information of the shares, and its derivative by each of them (0 for an empty bin).
fn information<const B: usize>(joint: &Histogram<B>) -> (f64, Box<Histogram<B>>) {
    let rows = joint.map(|row| row.iter().sum::<f64>());
    let mut columns = [0.0; B];
    for row in joint {
        columns.iter_mut().zip(row).for_each(|(sum, p)| *sum += p);
    }
    let [apart_f, apart_m] = [&rows, &columns].map(|shares| entropy(shares));
    let together = entropy(joint.as_flattened());
    let mut by_share = Box::new([[0.0; B]; B]);
    if together <= 0.0 {
        // Both constant: nothing is known, and nothing to be learnt.
        return (1.0, by_share);
    }
    let information = (apart_f + apart_m) / together;
    for ((out, row), in_row) in by_share.iter_mut().zip(joint).zip(rows) {
        for ((out, &p), in_column) in out.iter_mut().zip(row).zip(columns) {
            if p > 0.0 {
                *out = (information * p.ln() - (in_row * in_column).ln()) / together;
            }
        }
    }
    (information, by_share)
}

/// Shannon entropy in nats.
fn entropy(shares: &[f64]) -> f64 {
    let terms = shares.iter().filter(|&&p| p > 0.0).map(|p| -p * p.ln());
    terms.sum()
}

fn fixed_bin<const B: usize>(value: f32) -> usize {
    ((value * B as f32) as usize).min(B - 1)
}

/// The first of the four bins of a moving value, and of each its share and the derivative of that by the value.
fn moving_bins<const B: usize>(value: f64) -> (usize, [(f64, f64); 4]) {
    let scale = (B - 2 * PAD - 1) as f64;
    let place = PAD as f64 + value.clamp(0.0, 1.0) * scale;
    let low = place.floor();
    let t = place - low;
    // Cubic B-spline at distances 1 + t, t, 1 - t and 2 - t.
    let s = 1.0 - t;
    let shares = [
        (s * s * s / 6.0, -s * s / 2.0),
        (
            (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0,
            (3.0 * t - 4.0) * t / 2.0,
        ),
        (
            (4.0 - 6.0 * s * s + 3.0 * s * s * s) / 6.0,
            (4.0 - 3.0 * s) * s / 2.0,
        ),
        (t * t * t / 6.0, t * t / 2.0),
    ];
    (
        low as usize - 1,
        shares.map(|(share, slope)| (share, slope * scale)),
    )
}
