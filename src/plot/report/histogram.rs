//! How often each Jacobian determinant occurs.

use ndarray::Array3;
use serde::Serialize;

const BARS: usize = 64;

/// Bars over the logarithm of the determinant, symmetric about 1.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Histogram {
    /// Share of the highest bar, 0..1, from the smallest determinants to the largest; the outer bars hold what lies
    /// beyond, folds are not in it.
    bars: Vec<f64>,
    /// Determinants at the ends of the axis are `1 / range` and `range`.
    range: f64,
    /// Share of all voxels in the highest bar, percent.
    highest_percent: f64,
}

impl Histogram {
    pub fn of(determinant: &Array3<f32>, range: f64) -> Self {
        let mut counts = [0_usize; BARS];
        let reach = range.log2();
        for value in determinant.iter().filter(|value| **value > 0.0) {
            let share = (f64::from(value.log2()) / reach + 1.0) / 2.0;
            counts[((share * BARS as f64).max(0.0) as usize).min(BARS - 1)] += 1;
        }
        let highest = counts.iter().copied().max().unwrap_or(0);
        Self {
            bars: counts
                .iter()
                .map(|&count| count as f64 / highest.max(1) as f64)
                .collect(),
            range,
            highest_percent: 100.0 * highest as f64 / determinant.len() as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_and_doubles_lie_at_the_same_distance() {
        // On a scale from 1/4 to 4: 1/2 after a quarter of the bars, 2 after three quarters.
        let values = [0.51, 0.51, 1.99, 0.001, 100.0, -1.0, f32::NAN, 1.01];
        let found = Histogram::of(
            &Array3::from_shape_vec((2, 2, 2), values.to_vec()).unwrap(),
            4.0,
        );
        let filled: Vec<(usize, f64)> = found
            .bars
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, share)| *share > 0.0)
            .collect();
        let expected = [(0, 0.5), (16, 1.0), (32, 0.5), (47, 0.5), (63, 0.5)];
        assert_eq!(filled, expected);
        assert_eq!(found.highest_percent, 25.0);
    }

    #[test]
    fn a_field_of_folds_alone_has_no_bars() {
        let found = Histogram::of(&Array3::from_elem((2, 1, 1), -1.0), 2.0);
        assert!(found.bars.iter().all(|share| *share == 0.0));
    }
}
