//! Mean, spread and quantiles of a measure over pairs.

use crate::metric::Better;
use serde::Serialize;

/// A distribution in a few numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Statistics {
    /// Values that count.
    pub n: usize,
    /// Values that are not finite.
    pub missing: usize,
    pub mean: f64,
    pub sd: f64,
    pub q1: f64,
    pub median: f64,
    pub q3: f64,
    /// Least value of a measure that should be high, largest of one that should be low.
    pub worst: f64,
    /// The 0.3 quantile: Learn2Reg's robust score.
    pub q30: f64,
}

impl Statistics {
    /// Over the finite values; the others are counted. SD divides by n - 1. All `NaN` without a value.
    pub fn of_finite(values: &[f64], better: Better) -> Self {
        let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        let squares = squared_deviations(&finite);
        Self {
            missing: values.len() - finite.len(),
            sd: (squares / (finite.len() as f64 - 1.0)).sqrt(),
            ..Self::of_all(&finite, better)
        }
    }

    /// As numpy: over all values, what is not a number makes everything so. SD divides by n.
    pub fn of_all(values: &[f64], better: Better) -> Self {
        let n = values.len();
        let mean = values.iter().sum::<f64>() / n as f64;
        let at = |q| quantile(values, q);
        Self {
            n,
            missing: values.iter().filter(|v| !v.is_finite()).count(),
            mean,
            sd: (squared_deviations(values) / n as f64).sqrt(),
            q1: at(0.25),
            median: at(0.5),
            q3: at(0.75),
            worst: match better {
                Better::Higher => at(0.0),
                Better::Lower => at(1.0),
            },
            q30: at(0.3),
        }
    }
}

fn squared_deviations(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

/// Quantile `q` (0..1) with linear interpolation, as `numpy.quantile`; `NaN` of no values or of any
/// that is not a number.
pub fn quantile(values: &[f64], q: f64) -> f64 {
    if values.is_empty() || values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = q * (sorted.len() - 1) as f64;
    let (low, rest) = (sorted[place as usize], place.fract());
    let high = sorted[(place as usize + 1).min(sorted.len() - 1)];
    // Not `low + rest * (high - low)`, which is no number between equal infinities.
    if rest == 0.0 || low == high {
        low
    } else {
        low + rest * (high - low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numpy() {
        // a = numpy.array([3., 1, 4, 1, 5, 9]); a.mean(), a.std(ddof=1), numpy.quantile(a, [.25, .5, .75, .3])
        let found = Statistics::of_finite(
            &[3.0, 1.0, 4.0, f64::NAN, 1.0, 5.0, f64::INFINITY, 9.0],
            Better::Lower,
        );
        let expected = [3.8333333333333335, 2.994439290863427, 1.5, 3.5, 4.75, 2.0];
        let values = [
            found.mean,
            found.sd,
            found.q1,
            found.median,
            found.q3,
            found.q30,
        ];
        for (value, expected) in values.into_iter().zip(expected) {
            assert!((value - expected).abs() < 1e-12, "{value} and {expected}");
        }
        assert_eq!((found.n, found.missing, found.worst), (6, 2, 9.0));
        // a.std()
        let all = Statistics::of_all(&[3.0, 1.0, 4.0, 1.0, 5.0, 9.0], Better::Higher);
        assert!((all.sd - 2.7335365778094545).abs() < 1e-12);
        assert_eq!(all.worst, 1.0);
    }

    #[test]
    fn unknown_values_are_passed_on_or_left_out() {
        let all = Statistics::of_all(&[1.0, f64::NAN], Better::Higher);
        assert!(all.mean.is_nan() && all.median.is_nan() && all.q30.is_nan());
        let none = Statistics::of_finite(&[f64::NAN], Better::Higher);
        assert_eq!((none.n, none.missing), (0, 1));
        assert!(none.mean.is_nan() && none.worst.is_nan());
        let infinite = [1.0, f64::INFINITY, f64::INFINITY];
        assert_eq!(quantile(&infinite, 0.75), f64::INFINITY);
        assert!(Statistics::of_finite(&[2.0], Better::Higher).sd.is_nan());
    }
}
