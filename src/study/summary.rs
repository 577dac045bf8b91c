//! What the rows of a study say: means with intervals per arm, and arms against each other.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::uncertainty::{Estimate, PairValues, Spread, estimate, mean_of_all};
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
            n: counted(row),
            alpha: row.alpha,
        }
    }

    fn is_of(&self, row: &StudyRow) -> bool {
        self.paradigm == row.paradigm && self.n == counted(row) && self.alpha == row.alpha
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

fn counted(row: &StudyRow) -> Option<usize> {
    (row.paradigm != Paradigm::Real.name()).then_some(row.n)
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
    /// Ends of the 95 % interval over subjects and seeds, where there are enough of them.
    pub low: Option<f64>,
    pub high: Option<f64>,
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

/// One arm against another on the same pairs and seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestRow {
    pub metric: Metric,
    pub a: String,
    pub n_a: Option<usize>,
    pub b: String,
    pub n_b: Option<usize>,
    /// Mean of a minus b over pairs, and its 95 % interval over subjects and seeds.
    pub difference: f64,
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Two-sided; not corrected for the number of tests.
    pub p: Option<f64>,
    pub subjects: usize,
    pub seeds: usize,
}

/// Every arm of the rows, in the order of tables.
pub fn arms(rows: &[StudyRow]) -> Vec<ArmKey> {
    let mut arms: Vec<ArmKey> = Vec::new();
    for row in rows {
        if !arms.iter().any(|arm| arm.is_of(row)) {
            arms.push(ArmKey::of(row));
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
    let wanted =
        |row: &&StudyRow| row.metric == metric && row.condition == condition && arm.is_of(row);
    rows.iter().filter(wanted).collect()
}

/// Values of a measure by pair and seed.
struct PairTable {
    pairs: Vec<PairValues>,
    subjects: usize,
    seeds: usize,
}

impl PairTable {
    fn new(values: &[(&StudyRow, f64)]) -> Self {
        let seeds: BTreeSet<u64> = values.iter().map(|(row, _)| row.seed).collect();
        let seeds: Vec<u64> = seeds.into_iter().collect();
        let of_row = |(row, _): &(&StudyRow, f64)| row.subjects().map(String::from);
        let names: BTreeSet<String> = values.iter().flat_map(of_row).collect();
        let names: Vec<String> = names.into_iter().collect();
        let number = |name: &str| names.partition_point(|other| other.as_str() < name);
        let mut pairs: BTreeMap<&str, PairValues> = BTreeMap::new();
        for (row, value) in values {
            let pair = pairs.entry(&row.pair).or_insert_with(|| PairValues {
                subjects: row.subjects().map(number),
                by_seed: vec![None; seeds.len()],
            });
            pair.by_seed[seeds.partition_point(|&seed| seed < row.seed)] = Some(*value);
        }
        Self {
            pairs: pairs.into_values().collect(),
            subjects: names.len(),
            seeds: seeds.len(),
        }
    }
}

/// Ends of the interval.
fn ends(spread: Option<Spread>) -> [Option<f64>; 2] {
    [0, 1].map(|end| spread.map(|spread| spread.interval[end]))
}

fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

fn mean_row(arm: &ArmKey, condition: &str, metric: Metric, rows: &[&StudyRow]) -> Option<MeanRow> {
    let values = |side: fn(&StudyRow) -> Option<f64>| {
        let found = rows.iter().copied();
        let found = found.filter_map(|row| Some((row, finite(side(row))?)));
        PairTable::new(&found.collect::<Vec<_>>())
    };
    let after = values(|row| row.value);
    let Estimate { mean, spread } = estimate(&after.pairs)?;
    let [low, high] = ends(spread);
    // Over the same pairs with the same weights, so that doing nothing changes nothing.
    let before = mean_of_all(&values(|row| row.before).pairs);
    Some(MeanRow {
        paradigm: arm.paradigm.clone(),
        n: arm.n,
        alpha: arm.alpha,
        condition: condition.into(),
        metric,
        before,
        mean,
        low,
        high,
        subjects: after.subjects,
        seeds: after.seeds,
    })
}

fn test_row(
    metric: Metric,
    a: &ArmKey,
    b: &ArmKey,
    [of_a, of_b]: &[Vec<&StudyRow>; 2],
) -> Option<TestRow> {
    let key = |row: &StudyRow| (row.pair.clone(), row.seed);
    let others: HashMap<(String, u64), f64> = of_b
        .iter()
        .filter_map(|row| Some((key(row), finite(row.value)?)))
        .collect();
    // A pair that has no value in one arm, such as the distance of a lost structure, says nothing about the other.
    let differences = of_a.iter().copied().filter_map(|row| {
        let other = others.get(&key(row))?;
        Some((row, finite(row.value)? - other))
    });
    let table = PairTable::new(&differences.collect::<Vec<_>>());
    let Estimate { mean, spread } = estimate(&table.pairs)?;
    let [low, high] = ends(spread);
    Some(TestRow {
        metric,
        a: a.label(),
        n_a: a.n,
        b: b.label(),
        n_b: b.n,
        difference: mean,
        low,
        high,
        p: spread.map(|spread| spread.p),
        subjects: table.subjects,
        seeds: table.seeds,
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
            fixed_subject: format!("s{subject}"),
            moving_subject: format!("s{subject}"),
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
        assert!(found[0].low < Some(0.645) && found[0].high > Some(0.645));
    }

    #[test]
    fn paired_differences_are_surer_than_means() {
        let found = tests(&rows());
        let test = &found[0];
        assert_eq!(
            (test.a.as_str(), test.b.as_str()),
            ("weighted 0.9", "few-shot")
        );
        assert!((test.difference - 0.1).abs() < 1e-12);
        let (low, high) = (test.low.unwrap(), test.high.unwrap());
        assert!(high - low < 1e-9 && test.p.unwrap() < 1e-3);
        assert_eq!((test.subjects, test.seeds), (8, 2));
    }
}
