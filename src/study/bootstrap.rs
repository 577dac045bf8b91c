//! Uncertainty of a mean over pairs of subjects, and over seeds.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::eval::quantile;

/// Draws of an interval.
const DRAWS: usize = 4000;

/// A measure of one pair of held-out images.
#[derive(Debug, Clone, PartialEq)]
pub struct PairValues {
    /// Numbers of the subjects of the fixed and the moving image.
    pub subjects: [usize; 2],
    /// By seed; `None` where it was not measured.
    pub by_seed: Vec<Option<f64>>,
}

/// A mean with its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub mean: f64,
    /// Ends of the 95 % interval.
    pub interval: [f64; 2],
    /// Two-sided, that the mean is 0: how often draws lie on the other side of it.
    pub p: f64,
}

/// Mean over pairs of their means over seeds, and what a bootstrap says of it that draws subjects and seeds with replacement.
///
/// A pair counts as often as both of its subjects are drawn, since a subject that is hard to register is so in all of its
/// pairs (vertex bootstrap: Snijders & Borgatti, Connections 22(2), 1999). Seeds are drawn for all pairs at once; a single one
/// says nothing of what another training would give. Interval and p are percentiles of the draws (Efron & Tibshirani,
/// 1993). `None` without a value.
pub fn estimate(pairs: &[PairValues]) -> Option<Estimate> {
    let (subjects, seeds) = extent(pairs)?;
    let mean = mean_of_all(pairs)?;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let means: Vec<f64> = (0..DRAWS)
        .filter_map(|_| {
            let (of_subjects, of_seeds) = (draw(&mut rng, subjects), draw(&mut rng, seeds));
            weighted_mean(pairs, &of_subjects, &of_seeds)
        })
        .collect();
    Some(Estimate {
        mean,
        interval: [0.025, 0.975].map(|q| quantile(&means, q)),
        p: two_sided(&means),
    })
}

/// Mean over pairs of their means over seeds; `None` without a value.
pub fn mean_of_all(pairs: &[PairValues]) -> Option<f64> {
    let (subjects, seeds) = extent(pairs)?;
    weighted_mean(pairs, &vec![1; subjects], &vec![1; seeds])
}

/// Numbers of subjects and seeds.
fn extent(pairs: &[PairValues]) -> Option<(usize, usize)> {
    let last = pairs.iter().flat_map(|pair| pair.subjects).max()?;
    Some((last + 1, pairs[0].by_seed.len()))
}

/// How often each of `count` is among `count` draws.
fn draw(rng: &mut ChaCha8Rng, count: usize) -> Vec<u32> {
    let mut times = vec![0; count];
    for _ in 0..count {
        times[rng.random_range(0..count)] += 1;
    }
    times
}

fn weighted_mean(pairs: &[PairValues], of_subjects: &[u32], of_seeds: &[u32]) -> Option<f64> {
    let mut sum = 0.0;
    let mut total = 0.0;
    for pair in pairs {
        let weight = match pair.subjects {
            [fixed, moving] if fixed == moving => of_subjects[fixed],
            [fixed, moving] => of_subjects[fixed] * of_subjects[moving],
        };
        if let Some(value) = mean_over_seeds(&pair.by_seed, of_seeds).filter(|_| weight > 0) {
            sum += f64::from(weight) * value;
            total += f64::from(weight);
        }
    }
    (total > 0.0).then(|| sum / total)
}

fn mean_over_seeds(values: &[Option<f64>], of_seeds: &[u32]) -> Option<f64> {
    let mut sum = 0.0;
    let mut total = 0;
    for (value, &times) in values.iter().zip(of_seeds) {
        if let Some(value) = value {
            sum += f64::from(times) * value;
            total += times;
        }
    }
    (total > 0).then(|| sum / f64::from(total))
}

fn two_sided(means: &[f64]) -> f64 {
    let beyond = |side: fn(&f64) -> bool| means.iter().filter(|mean| side(mean)).count();
    let least = beyond(|mean| *mean <= 0.0).min(beyond(|mean| *mean >= 0.0));
    // The sample itself is one of the draws.
    (2.0 * (least + 1) as f64 / (means.len() + 1) as f64).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(fixed: usize, moving: usize, by_seed: &[f64]) -> PairValues {
        PairValues {
            subjects: [fixed, moving],
            by_seed: by_seed.iter().copied().map(Some).collect(),
        }
    }

    /// All ordered pairs of `count` subjects; the value is the sum of what `of` says of each.
    fn all_pairs(count: usize, of: impl Fn(usize) -> f64) -> Vec<PairValues> {
        let every = (0..count).flat_map(|f| (0..count).map(move |m| (f, m)));
        every
            .filter(|(fixed, moving)| fixed != moving)
            .map(|(fixed, moving)| pair(fixed, moving, &[of(fixed) + of(moving)]))
            .collect()
    }

    #[test]
    fn the_interval_of_unrelated_pairs_is_about_two_standard_errors() {
        // 100 subjects, each with itself, of values 0..99: SD 29.0, standard error 2.90.
        let pairs: Vec<PairValues> = (0..100).map(|n| pair(n, n, &[n as f64])).collect();
        let found = estimate(&pairs).unwrap();
        assert_eq!(found.mean, 49.5);
        let [low, high] = found.interval;
        assert!((found.mean - low - 1.96 * 2.9).abs() < 0.5, "{low}");
        assert!((high - found.mean - 1.96 * 2.9).abs() < 0.5, "{high}");
    }

    #[test]
    fn a_subject_counts_on_both_sides_of_its_pairs() {
        // A mean of sums of two is twice the mean of 20 subjects of SD 5.77: standard error 2 x 1.29. Subjects drawn as
        // fixed images alone would leave half of it.
        let found = estimate(&all_pairs(20, |n| n as f64)).unwrap();
        assert!((found.mean - 19.0).abs() < 1e-12);
        let width = found.interval[1] - found.interval[0];
        assert!((width - 2.0 * 1.96 * 2.58).abs() < 1.0, "{width}");
    }

    #[test]
    fn seeds_widen_the_interval() {
        let pairs: Vec<PairValues> = (0..30).map(|n| pair(n, n, &[0.0, 1.0])).collect();
        let found = estimate(&pairs).unwrap();
        assert_eq!((found.mean, found.interval), (0.5, [0.0, 1.0]));
        let nothing = PairValues {
            subjects: [0, 1],
            by_seed: vec![None, None],
        };
        assert_eq!(estimate(&[nothing]), None);
        assert_eq!(estimate(&[]), None);
    }

    #[test]
    fn p_says_how_often_the_other_side_is_drawn() {
        let same = estimate(&all_pairs(12, |_| 0.1)).unwrap();
        assert_eq!(same.p, 2.0 / (DRAWS + 1) as f64);
        let around = |n: usize| if n % 2 == 0 { 0.1 } else { -0.1 };
        assert!(estimate(&all_pairs(12, around)).unwrap().p > 0.8);
    }

    #[test]
    fn equal_trainings_rarely_seem_different() {
        // Six subjects in each of four folds, three seeds, differences that hang on subjects and trainings: of 200 studies
        // about 10 should fall below 0.05.
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut normal = || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        let below = (0..200)
            .filter(|_| {
                let hard: Vec<f64> = (0..24).map(|_| normal()).collect();
                let training: Vec<f64> = (0..12).map(|_| 0.3 * normal()).collect();
                let pairs = all_pairs(24, |n| hard[n]);
                let mut pairs: Vec<PairValues> = pairs
                    .into_iter()
                    .filter(|pair| pair.subjects[0] / 6 == pair.subjects[1] / 6)
                    .collect();
                for pair in &mut pairs {
                    let fold = pair.subjects[0] / 6;
                    let value = pair.by_seed[0].unwrap_or_default();
                    let of_seed =
                        |seed: usize| Some(value + training[3 * fold + seed] + 0.3 * normal());
                    pair.by_seed = (0..3).map(of_seed).collect();
                }
                estimate(&pairs).is_some_and(|found| found.p < 0.05)
            })
            .count();
        assert!((1..=24).contains(&below), "{below}");
    }
}
