//! Mutual information of a joint histogram.

use super::paired::Paired;
use crate::error::Result;
use ndarray::Array3;

/// Bins along each axis of the joint histogram.
pub const BINS: usize = 64;

/// `H(F) + H(M) - H(F, M)` in nats, from a histogram of [`BINS`] x [`BINS`] equal bins between the
/// least and the largest intensity of each image (Viola & Wells 1997, by plain counting).
///
/// Over the voxels of `mask` that are finite in both images; 0 when an image is constant there, `NaN`
/// when no voxel is left.
///
/// # Errors
/// Shapes differ.
pub fn mutual_information(
    fixed: &Array3<f32>,
    moved: &Array3<f32>,
    mask: Option<&Array3<bool>>,
) -> Result<f64> {
    let pairs = Paired::new(fixed, moved, mask)?;
    let fixed_bins = Bins::over(pairs.values().map(|(f, _)| f));
    let moved_bins = Bins::over(pairs.values().map(|(_, m)| m));
    let mut joint = vec![0_u64; BINS * BINS];
    for (f, m) in pairs.values() {
        joint[fixed_bins.index(f) * BINS + moved_bins.index(m)] += 1;
    }
    let rows: Vec<u64> = joint.chunks(BINS).map(|row| row.iter().sum()).collect();
    let columns: Vec<u64> = (0..BINS)
        .map(|column| joint.iter().skip(column).step_by(BINS).sum())
        .collect();
    Ok(entropy(&rows) + entropy(&columns) - entropy(&joint))
}

/// Equal bins over a range; the largest value belongs to the last.
struct Bins {
    low: f64,
    high: f64,
}

impl Bins {
    fn over(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        Self { low, high }
    }

    fn index(&self, value: f64) -> usize {
        let range = self.high - self.low;
        if range == 0.0 {
            return 0;
        }
        (((value - self.low) / range * BINS as f64) as usize).min(BINS - 1)
    }
}

/// Shannon entropy in nats.
fn entropy(counts: &[u64]) -> f64 {
    let total = counts.iter().sum::<u64>() as f64;
    if total == 0.0 {
        return f64::NAN;
    }
    counts
        .iter()
        .filter(|&&count| count > 0)
        .map(|&count| count as f64 / total)
        .map(|share| -share * share.ln())
        .sum()
}
