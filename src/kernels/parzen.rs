//! Mutual information of a joint histogram with B-spline Parzen windows (Mattes et al., IEEE TMI 2003).

use rayon::prelude::*;

use super::affine::{Sample, TASK};

/// Bins along each axis of the joint histogram.
pub const BINS: usize = 20;

/// Bins that the cubic B-spline needs beside the range of the moving values, on either side.
const PAD: usize = 2;

type Histogram = [[f64; BINS]; BINS];

/// Mutual information (nats) of `fixed` and the samples, intensities within 0..1, and its derivatives by the value and
/// the weight of each sample.
///
/// A fixed value counts in its bin alone, a moving value in four by a cubic B-spline, so that the histogram is a smooth
/// function of the moving values; each sample counts by its weight. `None` where no sample counts.
pub fn mutual_information(fixed: &[f32], moving: &[Sample]) -> Option<(f64, Vec<[f64; 2]>)> {
    let total: f64 = moving.iter().map(|sample| sample.weight).sum();
    if total <= 0.0 {
        return None;
    }
    let joint = histogram(fixed, moving, total);
    let logarithms = logarithms(&joint);
    let terms = joint.iter().flatten().zip(logarithms.iter().flatten());
    let information: f64 = terms.map(|(p, l)| p * l).sum();
    let by_sample = fixed
        .par_iter()
        .zip(moving)
        .with_min_len(TASK)
        .map(|(&fixed, sample)| {
            let row = &logarithms[fixed_bin(fixed)];
            let (first, spline) = moving_bins(sample.value);
            let (mut mean, mut slope) = (0.0, 0.0);
            for ((weight, by_value), l) in spline.into_iter().zip(&row[first..]) {
                mean += weight * l;
                slope += by_value * l;
            }
            [sample.weight / total * slope, (mean - information) / total]
        })
        .collect();
    Some((information, by_sample))
}

/// Shares of the bins, which sum to 1.
fn histogram(fixed: &[f32], moving: &[Sample], total: f64) -> Box<Histogram> {
    let tasks: Vec<Box<Histogram>> = fixed
        .par_chunks(TASK)
        .zip(moving.par_chunks(TASK))
        .map(|(fixed, moving)| {
            let mut joint = Box::new([[0.0; BINS]; BINS]);
            for (&fixed, sample) in fixed.iter().zip(moving) {
                let (first, spline) = moving_bins(sample.value);
                let row = &mut joint[fixed_bin(fixed)][first..];
                for (bin, (weight, _)) in row.iter_mut().zip(spline) {
                    *bin += sample.weight * weight;
                }
            }
            joint
        })
        .collect();
    let mut joint = Box::new([[0.0; BINS]; BINS]);
    for task in tasks {
        for (sum, part) in joint.as_flattened_mut().iter_mut().zip(task.as_flattened()) {
            *sum += part / total;
        }
    }
    joint
}

/// `ln(p(f, m) / (p(f) p(m)))`; 0 for an empty bin.
fn logarithms(joint: &Histogram) -> Box<Histogram> {
    let rows = joint.map(|row| row.iter().sum::<f64>());
    let mut columns = [0.0; BINS];
    for row in joint {
        columns.iter_mut().zip(row).for_each(|(sum, p)| *sum += p);
    }
    let mut logarithms = Box::new([[0.0; BINS]; BINS]);
    for ((out, row), in_row) in logarithms.iter_mut().zip(joint).zip(rows) {
        for ((out, &p), in_column) in out.iter_mut().zip(row).zip(columns) {
            if p > 0.0 {
                *out = (p / (in_row * in_column)).ln();
            }
        }
    }
    logarithms
}

fn fixed_bin(value: f32) -> usize {
    ((value * BINS as f32) as usize).min(BINS - 1)
}

/// The first of the four bins of a moving value, and of each its share and the derivative of that by the value.
fn moving_bins(value: f64) -> (usize, [(f64, f64); 4]) {
    let scale = (BINS - 2 * PAD - 1) as f64;
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
