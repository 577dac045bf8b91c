//! Uncertainty of a mean over subjects and seeds, and paired tests.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::eval::quantile;

/// Draws of an interval and sign changes of a test.
const DRAWS: usize = 4000;
/// With so many subjects at most, all sign changes are counted.
const ALL_SIGNS: usize = 14;

/// Values of one subject by seed; `None` where it was not measured.
pub type Values = Vec<Option<f64>>;

/// Mean over subjects of the means over seeds, with the 95 % interval of a bootstrap that draws subjects and, for
/// them all, seeds with replacement (percentiles; Efron & Tibshirani, 1993).
pub fn mean_interval(values: &[Values]) -> Option<(f64, [f64; 2])> {
    let subjects = values.len();
    let seeds = values.first()?.len();
    let mean = mean_of_all(values)?;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut draw =
        |count: usize| -> Vec<usize> { (0..count).map(|_| rng.random_range(0..count)).collect() };
    let means: Vec<f64> = (0..DRAWS)
        .filter_map(|_| {
            let (rows, columns) = (draw(subjects), draw(seeds));
            mean_of(values, rows, &columns)
        })
        .collect();
    Some((mean, [0.025, 0.975].map(|q| quantile(&means, q))))
}

/// Mean over subjects of the means over seeds.
pub fn mean_of_all(values: &[Values]) -> Option<f64> {
    let every: Vec<usize> = (0..values.first()?.len()).collect();
    mean_of(values, 0..values.len(), &every)
}

fn mean_of(
    values: &[Values],
    rows: impl IntoIterator<Item = usize>,
    columns: &[usize],
) -> Option<f64> {
    let of_subject = |row: usize| {
        let found: Vec<f64> = columns
            .iter()
            .filter_map(|&column| values[row][column])
            .collect();
        (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
    };
    let means: Vec<f64> = rows.into_iter().filter_map(of_subject).collect();
    (!means.is_empty()).then(|| means.iter().sum::<f64>() / means.len() as f64)
}

/// Two-sided p value of the mean of paired differences under random signs (permutation test; Fisher, 1935).
pub fn sign_flip_p(differences: &[f64]) -> f64 {
    let count = differences.len();
    if count == 0 {
        return f64::NAN;
    }
    let observed = differences.iter().sum::<f64>().abs();
    // Sums of the same numbers in other orders differ by rounding.
    let limit = observed - 1e-12 * differences.iter().map(|d| d.abs()).sum::<f64>();
    let reaches = |sign: &mut dyn FnMut(usize) -> bool| {
        let signed = differences.iter().enumerate();
        let sum: f64 = signed.map(|(n, d)| if sign(n) { *d } else { -d }).sum();
        sum.abs() >= limit
    };
    if count <= ALL_SIGNS {
        let all = 1_u32 << count;
        let extreme = (0..all)
            .filter(|signs| reaches(&mut |n| (signs >> n) & 1 == 1))
            .count();
        return extreme as f64 / f64::from(all);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let extreme = (0..DRAWS)
        .filter(|_| reaches(&mut |_| rng.random::<bool>()))
        .count();
    // The observed signs are one of the draws.
    (extreme + 1) as f64 / (DRAWS + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_mean_is_about_two_standard_errors() {
        // 100 subjects with values 0..99: SD 29.0, standard error 2.90.
        let values: Vec<Values> = (0..100).map(|n| vec![Some(f64::from(n))]).collect();
        let (mean, [low, high]) = mean_interval(&values).unwrap();
        assert_eq!(mean, 49.5);
        assert!((mean - low - 1.96 * 2.9).abs() < 0.5, "{low}");
        assert!((high - mean - 1.96 * 2.9).abs() < 0.5, "{high}");
    }

    #[test]
    fn seeds_widen_the_interval() {
        let values = vec![vec![Some(0.0), Some(1.0)]; 30];
        let (mean, [low, high]) = mean_interval(&values).unwrap();
        assert_eq!((mean, low, high), (0.5, 0.0, 1.0));
        assert_eq!(mean_interval(&[vec![None, None]]), None);
    }

    #[test]
    fn p_values_count_signs() {
        // Of 2^5 sign changes two reach the sum of five equal differences.
        assert_eq!(sign_flip_p(&[1.0; 5]), 2.0 / 32.0);
        assert_eq!(sign_flip_p(&[1.0, -1.0]), 1.0);
        // Far beyond chance: no random draw reaches it.
        assert!(sign_flip_p(&[1.0; 40]) < 1e-3);
    }
}
