//! Uncertainty of a mean over pairs of subjects, and over seeds.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// A measure of one pair of held-out images.
#[derive(Debug, Clone, PartialEq)]
pub struct PairValues {
    /// Numbers of the subjects of the fixed and the moving image.
    pub subjects: [usize; 2],
    /// By seed; `None` where it was not measured.
    pub by_seed: Vec<Option<f64>>,
}

impl PairValues {
    fn mean(&self) -> Option<f64> {
        mean(self.by_seed.iter().copied().flatten())
    }

    fn is_of(&self, subject: usize) -> bool {
        self.subjects.contains(&subject)
    }
}

/// A mean with its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub mean: f64,
    /// Ends of the 95 % interval, and two-sided p that the mean is 0; `None` with fewer than three subjects.
    pub spread: Option<Spread>,
}

/// How sure a mean is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub interval: [f64; 2],
    pub p: f64,
}

/// Mean over pairs of their means over seeds, and how far another choice of subjects and seeds might lie from it.
///
/// A subject that is hard to register is so in all of its pairs, so the variance is that of a jackknife which leaves out one
/// subject at a time with all of its pairs (Efron & Stein, Annals of Statistics 9(3), 1981; of relations between
/// subjects: Snijders & Borgatti, Connections 22(2), 1999). Where pairs of one subject have nothing in common it is too
/// large, never too small. What another training would give adds the variance of the mean over seeds; a single seed says
/// nothing of that. Interval and p are those of Student's t, whose degrees of freedom follow from both (Satterthwaite,
/// Biometrics Bulletin 2(6), 1946).
///
/// `None` without a value.
pub fn estimate(pairs: &[PairValues]) -> Option<Estimate> {
    let mean = mean_of_all(pairs)?;
    let parts = [of_subjects(pairs, mean), of_seeds(pairs)];
    Some(Estimate {
        mean,
        spread: parts[0].map(|_| spread(mean, parts.into_iter().flatten())),
    })
}

/// Mean over pairs of their means over seeds; `None` without a value.
pub fn mean_of_all(pairs: &[PairValues]) -> Option<f64> {
    mean(pairs.iter().filter_map(PairValues::mean))
}

/// A variance of the mean, and its degrees of freedom.
#[derive(Clone, Copy)]
struct Variance {
    value: f64,
    freedom: f64,
}

/// Means without one subject after the other; `None` if fewer than two of them leave a pair.
fn of_subjects(pairs: &[PairValues], whole: f64) -> Option<Variance> {
    let last = pairs.iter().flat_map(|pair| pair.subjects).max()?;
    let present = (0..=last).filter(|&subject| pairs.iter().any(|pair| pair.is_of(subject)));
    let without = |subject: usize| {
        let others = pairs.iter().filter(|pair| !pair.is_of(subject));
        mean(others.filter_map(PairValues::mean))
    };
    let means: Vec<f64> = present.filter_map(without).collect();
    let count = means.len() as f64;
    let squares: f64 = means.iter().map(|mean| (mean - whole).powi(2)).sum();
    (means.len() > 1).then(|| Variance {
        value: (count - 1.0) / count * squares,
        freedom: count - 1.0,
    })
}

/// Means of one seed after the other; `None` with a single one.
fn of_seeds(pairs: &[PairValues]) -> Option<Variance> {
    let of_seed = |seed: usize| mean(pairs.iter().filter_map(|pair| pair.by_seed[seed]));
    let means: Vec<f64> = (0..pairs.first()?.by_seed.len())
        .filter_map(of_seed)
        .collect();
    let count = means.len() as f64;
    let whole = mean(means.iter().copied())?;
    let squares: f64 = means.iter().map(|mean| (mean - whole).powi(2)).sum();
    (means.len() > 1).then(|| Variance {
        value: squares / (count - 1.0) / count,
        freedom: count - 1.0,
    })
}

fn spread(mean: f64, parts: impl Iterator<Item = Variance> + Clone) -> Spread {
    let variance: f64 = parts.clone().map(|part| part.value).sum();
    let error = variance.sqrt();
    let weighed: f64 = parts.map(|part| part.value.powi(2) / part.freedom).sum();
    let student = StudentsT::new(0.0, 1.0, variance.powi(2) / weighed);
    match student {
        Ok(student) => {
            let reach = student.inverse_cdf(0.975) * error;
            Spread {
                interval: [mean - reach, mean + reach],
                p: 2.0 * student.sf((mean / error).abs()),
            }
        }
        // Nothing varies.
        Err(_) => Spread {
            interval: [mean; 2],
            p: f64::from(mean == 0.0),
        },
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn pair(fixed: usize, moving: usize, by_seed: &[f64]) -> PairValues {
        PairValues {
            subjects: [fixed, moving],
            by_seed: by_seed.iter().copied().map(Some).collect(),
        }
    }

    /// All ordered pairs of subjects of one fold; the value is the sum of what `of` says of each.
    fn all_pairs(folds: usize, size: usize, of: impl Fn(usize) -> f64) -> Vec<PairValues> {
        let mut pairs = Vec::new();
        for fixed in 0..folds * size {
            let fold = fixed / size * size;
            for moving in (fold..fold + size).filter(|&moving| moving != fixed) {
                pairs.push(pair(fixed, moving, &[of(fixed) + of(moving)]));
            }
        }
        pairs
    }

    fn spread_of(pairs: &[PairValues]) -> Spread {
        estimate(pairs).unwrap().spread.unwrap()
    }

    #[test]
    fn subjects_without_relations_have_the_textbook_interval() {
        // Five subjects, each with itself: mean 2, standard error sqrt(2.5 / 5), t of 4 degrees of freedom 2.776.
        let pairs: Vec<PairValues> = (0..5).map(|n| pair(n, n, &[n as f64])).collect();
        let found = estimate(&pairs).unwrap();
        assert_eq!(found.mean, 2.0);
        let [low, high] = found.spread.unwrap().interval;
        let reach = 2.776_445_1 * 0.5_f64.sqrt();
        assert_relative_eq!(low, 2.0 - reach, epsilon = 1e-6);
        assert_relative_eq!(high, 2.0 + reach, epsilon = 1e-6);
        // R: 2 * pt(-2 / sqrt(0.5), 4)
        assert_relative_eq!(spread_of(&pairs).p, 0.047_420_6, epsilon = 1e-6);
    }

    #[test]
    fn a_subject_counts_on_both_sides_of_its_pairs() {
        // The mean of sums of two is twice the mean of 20 subjects, whose standard error is 5.916 / sqrt(20).
        let pairs = all_pairs(1, 20, |n| n as f64);
        let [low, high] = spread_of(&pairs).interval;
        let reach = 2.093_024 * 2.0 * 5.916_08 / 20_f64.sqrt();
        assert_relative_eq!((high - low) / 2.0, reach, epsilon = 1e-3);
    }

    #[test]
    fn seeds_widen_the_interval() {
        let of_seeds = |values: &[f64]| {
            let pairs: Vec<PairValues> = (0..30).map(|n| pair(n, n, values)).collect();
            spread_of(&pairs).interval
        };
        assert_eq!(of_seeds(&[0.5, 0.5]), [0.5, 0.5]);
        // Two means, standard error 0.5, t of one degree of freedom 12.706.
        let [low, high] = of_seeds(&[0.0, 1.0]);
        assert_relative_eq!(low, 0.5 - 12.706_2 * 0.5, epsilon = 1e-3);
        assert_relative_eq!(high, 0.5 + 12.706_2 * 0.5, epsilon = 1e-3);
    }

    #[test]
    fn two_subjects_tell_no_interval_and_nothing_no_mean() {
        let found = estimate(&all_pairs(1, 2, |_| 0.1)).unwrap();
        assert_eq!((found.mean, found.spread), (0.2, None));
        let nothing = PairValues {
            subjects: [0, 1],
            by_seed: vec![None, None],
        };
        assert_eq!(estimate(&[nothing]), None);
        assert_eq!(estimate(&[]), None);
    }

    #[test]
    fn equal_trainings_rarely_seem_different() {
        // Differences that hang on subjects and trainings alone, in studies of many and of few subjects: of 400 about 20
        // should fall below 0.05, and 33 are three standard errors more.
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for (folds, size) in [(4, 6), (4, 3), (1, 5), (1, 3)] {
            let mut normal = || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
            let below = (0..400)
                .filter(|_| {
                    let hard: Vec<f64> = (0..folds * size).map(|_| normal()).collect();
                    let training: Vec<f64> = (0..3 * folds).map(|_| 0.3 * normal()).collect();
                    let mut pairs = all_pairs(folds, size, |n| hard[n]);
                    for pair in &mut pairs {
                        let fold = pair.subjects[0] / size;
                        let value = pair.by_seed[0].unwrap_or_default();
                        let of_seed =
                            |seed: usize| Some(value + training[3 * fold + seed] + 0.3 * normal());
                        pair.by_seed = (0..3).map(of_seed).collect();
                    }
                    spread_of(&pairs).p < 0.05
                })
                .count();
            assert!((1..=33).contains(&below), "{folds} x {size}: {below}");
        }
    }
}
