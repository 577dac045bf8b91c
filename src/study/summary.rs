//! What the rows of a study say: means with intervals per arm, and arms against each other.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::bootstrap::{Values, mean_interval, mean_of_all, sign_flip_p};
use super::{Condition, Paradigm, StudyRow};
use crate::metric::Metric;

/// The measures that tables and figures show.
pub const MEASURES: [Metric; 5] = [
    Metric::Dice,
    Metric::Hd95,
    Metric::Mse,
    Metric::FoldedPercent,
    Metric::Seconds,
];

/// An arm as the rows know it.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmKey {
    pub paradigm: String,
    /// Real training subjects; `None` for all, which may be more or fewer in some folds.
    pub n: Option<usize>,
    pub alpha: f64,
}

impl ArmKey {
    fn of(row: &StudyRow) -> Self {
        Self {
            paradigm: row.paradigm.clone(),
            n: (row.paradigm != Paradigm::Real.name()).then_some(row.n),
            alpha: row.alpha,
        }
    }

    /// In the order of tables: by paradigm, then subjects, then alpha.
    fn order(&self) -> (usize, Option<usize>, f64) {
        let paradigms = [
            Paradigm::Synthetic,
            Paradigm::FewShot,
            Paradigm::Transfer,
            Paradigm::Weighted,
            Paradigm::Real,
        ];
        let place = paradigms.iter().position(|one| one.name() == self.paradigm);
        (place.unwrap_or(paradigms.len()), self.n, self.alpha)
    }

    /// The number of real subjects in tables.
    pub fn subjects(&self) -> String {
        self.n.map_or_else(|| "all".into(), |n| n.to_string())
    }

    /// Training and, for weighted transfer, alpha.
    pub fn label(&self) -> String {
        match self.paradigm.as_str() {
            "weighted" => format!("weighted {}", self.alpha),
            other => other.into(),
        }
    }
}

/// Mean of a measure in one arm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeanRow {
    pub paradigm: String,
    /// Real training subjects; empty for all.
    pub n: Option<usize>,
    pub alpha: f64,
    pub condition: String,
    pub metric: Metric,
    /// Mean before registration, where the measure has one.
    pub before: Option<f64>,
    pub mean: f64,
    /// Ends of the 95 % interval over subjects and seeds.
    pub low: f64,
    pub high: f64,
    pub subjects: usize,
    pub seeds: usize,
}

impl MeanRow {
    pub fn arm(&self) -> ArmKey {
        ArmKey {
            paradigm: self.paradigm.clone(),
            n: self.n,
            alpha: self.alpha,
        }
    }
}

/// One arm against another on the same subjects.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestRow {
    pub metric: Metric,
    pub a: String,
    pub n_a: Option<usize>,
    pub b: String,
    pub n_b: Option<usize>,
    /// Mean of a minus b over subjects, and its 95 % interval.
    pub difference: f64,
    pub low: f64,
    pub high: f64,
    /// Two-sided, of a permutation test over subjects; not corrected for the number of tests.
    pub p: f64,
    pub subjects: usize,
}

/// Every arm of the rows, in the order of tables.
pub fn arms(rows: &[StudyRow]) -> Vec<ArmKey> {
    let mut arms: Vec<ArmKey> = Vec::new();
    for row in rows {
        let arm = ArmKey::of(row);
        if !arms.contains(&arm) {
            arms.push(arm);
        }
    }
    arms.sort_by(|a, b| {
        let ((p, n, alpha), (q, m, beta)) = (a.order(), b.order());
        (p, n).cmp(&(q, m)).then(alpha.total_cmp(&beta))
    });
    arms
}

/// The mean of every measure, arm and condition.
pub fn means(rows: &[StudyRow]) -> Vec<MeanRow> {
    let mut out = Vec::new();
    for arm in arms(rows) {
        for condition in conditions(rows) {
            for metric in MEASURES {
                let of_arm = select(rows, &arm, condition, metric);
                out.extend(mean_row(&arm, condition, metric, &of_arm));
            }
        }
    }
    out
}

/// Arms with equally many subjects against each other, and those of any number against `synthetic` and `real`.
pub fn tests(rows: &[StudyRow]) -> Vec<TestRow> {
    let arms = arms(rows);
    let clean = Condition::Clean.name();
    let anchor = |arm: &ArmKey| ["synthetic", "real"].contains(&arm.paradigm.as_str());
    let mut out = Vec::new();
    for metric in [
        Metric::Dice,
        Metric::Hd95,
        Metric::Mse,
        Metric::FoldedPercent,
    ] {
        for (place, a) in arms.iter().enumerate() {
            for b in &arms[..place] {
                if a.n == b.n || anchor(a) || anchor(b) {
                    let sides = [a, b].map(|arm| select(rows, arm, clean, metric));
                    out.extend(test_row(metric, a, b, &sides));
                }
            }
        }
    }
    out
}

fn conditions(rows: &[StudyRow]) -> Vec<&str> {
    let mut found: Vec<&str> = Vec::new();
    for row in rows {
        if !found.contains(&row.condition.as_str()) {
            found.push(&row.condition);
        }
    }
    found
}

fn select<'a>(
    rows: &'a [StudyRow],
    arm: &ArmKey,
    condition: &str,
    metric: Metric,
) -> Vec<&'a StudyRow> {
    let wanted = |row: &&StudyRow| {
        row.metric == metric && row.condition == condition && ArmKey::of(row) == *arm
    };
    rows.iter().filter(wanted).collect()
}

/// Means over the pairs of each fixed subject, by seed.
fn by_subject(
    rows: &[&StudyRow],
    side: fn(&StudyRow) -> Option<f64>,
) -> BTreeMap<String, BTreeMap<u64, f64>> {
    let mut sums: BTreeMap<String, BTreeMap<u64, (f64, usize)>> = BTreeMap::new();
    for row in rows {
        if let Some(value) = side(row).filter(|value| value.is_finite()) {
            let subject = sums.entry(row.subject.clone()).or_default();
            let (sum, count) = subject.entry(row.seed).or_default();
            *sum += value;
            *count += 1;
        }
    }
    let mean = |(seed, (sum, count)): (u64, (f64, usize))| (seed, sum / count as f64);
    sums.into_iter()
        .map(|(subject, seeds)| (subject, seeds.into_iter().map(mean).collect()))
        .collect()
}

fn table(subjects: &BTreeMap<String, BTreeMap<u64, f64>>) -> (Vec<Values>, usize) {
    let seeds: BTreeSet<u64> = subjects
        .values()
        .flat_map(|one| one.keys().copied())
        .collect();
    let row = |one: &BTreeMap<u64, f64>| seeds.iter().map(|seed| one.get(seed).copied()).collect();
    (subjects.values().map(row).collect(), seeds.len())
}

fn mean_row(arm: &ArmKey, condition: &str, metric: Metric, rows: &[&StudyRow]) -> Option<MeanRow> {
    let (values, seeds) = table(&by_subject(rows, |row| row.value));
    let (mean, [low, high]) = mean_interval(&values)?;
    // Over the same subjects with the same weights, so that doing nothing changes nothing.
    let (before, _) = table(&by_subject(rows, |row| row.before));
    Some(MeanRow {
        paradigm: arm.paradigm.clone(),
        n: arm.n,
        alpha: arm.alpha,
        condition: condition.into(),
        metric,
        before: mean_of_all(&before),
        mean,
        low,
        high,
        subjects: values.len(),
        seeds,
    })
}

fn test_row(
    metric: Metric,
    a: &ArmKey,
    b: &ArmKey,
    sides: &[Vec<&StudyRow>; 2],
) -> Option<TestRow> {
    // A pair that has no value in one arm, such as the distance of a lost structure, says nothing about the other.
    let without: BTreeSet<&str> = sides
        .iter()
        .flatten()
        .filter(|row| !row.value.is_some_and(f64::is_finite))
        .map(|row| row.pair.as_str())
        .collect();
    let [of_a, of_b] = sides.each_ref().map(|side| {
        let both = side
            .iter()
            .filter(|row| !without.contains(row.pair.as_str()));
        by_subject(&both.copied().collect::<Vec<_>>(), |row| row.value)
    });
    let mean = |seeds: &BTreeMap<u64, f64>| seeds.values().sum::<f64>() / seeds.len() as f64;
    let differences: Vec<f64> = of_a
        .iter()
        .filter_map(|(subject, seeds)| Some(mean(seeds) - mean(of_b.get(subject)?)))
        .collect();
    let values: Vec<Values> = differences.iter().map(|&d| vec![Some(d)]).collect();
    let (difference, [low, high]) = mean_interval(&values)?;
    Some(TestRow {
        metric,
        a: a.label(),
        n_a: a.n,
        b: b.label(),
        n_b: b.n,
        difference,
        low,
        high,
        p: sign_flip_p(&differences),
        subjects: differences.len(),
    })
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn row(paradigm: Paradigm, alpha: f64, seed: u64, subject: usize, value: f64) -> StudyRow {
        StudyRow {
            cell: String::new(),
            paradigm: paradigm.name().into(),
            n: 5,
            alpha,
            seed,
            fold: 0,
            condition: "clean".into(),
            pair: format!("{subject}"),
            subject: format!("s{subject}"),
            metric: Metric::Dice,
            before: Some(0.5),
            value: Some(value),
            unit: "1".into(),
        }
    }

    /// Two arms, 8 subjects, 2 seeds; weighted is better by 0.1 in each.
    fn rows() -> Vec<StudyRow> {
        let mut rows = Vec::new();
        for subject in 0..8 {
            for seed in 0..2 {
                let value = 0.6 + 0.01 * subject as f64 + 0.02 * seed as f64;
                rows.push(row(Paradigm::Weighted, 0.9, seed, subject, value + 0.1));
                rows.push(row(Paradigm::FewShot, 1.0, seed, subject, value));
            }
        }
        rows
    }

    #[test]
    fn arms_have_their_means_in_a_fixed_order() {
        let found = means(&rows());
        let labels: Vec<String> = found.iter().map(|row| row.arm().label()).collect();
        assert_eq!(labels, ["few-shot", "weighted 0.9"]);
        assert!((found[0].mean - 0.645).abs() < 1e-12);
        assert_eq!((found[0].subjects, found[0].seeds), (8, 2));
        assert_eq!(found[0].before, Some(0.5));
        assert!(found[0].low < 0.645 && found[0].high > 0.645);
    }

    #[test]
    fn paired_differences_are_surer_than_means() {
        let found = tests(&rows());
        let test = &found[0];
        assert_eq!(
            (test.a.as_str(), test.b.as_str()),
            ("weighted 0.9", "few-shot")
        );
        assert!((test.difference - 0.1).abs() < 1e-12 && (test.high - test.low) < 1e-9);
        // Two of the 2^8 sign changes are as extreme.
        assert_eq!(test.p, 2.0 / 256.0);
    }
}
