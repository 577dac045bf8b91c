//! Distributions over pairs.

use super::{PairResult, Protocol, Statistics};
use crate::metric::Metric;
use std::collections::HashMap;

/// How one measure is distributed over pairs, before and after registration.
#[derive(Debug, Clone, PartialEq)]
pub struct SummaryRow {
    pub metric: Metric,
    /// Empty: each pair counts once, with its mean over structures.
    pub structure: String,
    pub before: Option<Statistics>,
    pub after: Option<Statistics>,
}

/// One row per pair and measure: means over its structures (or landmarks), in the order of the rows.
///
/// Under the rules of hmorph over the structures that are finite before and after, so that both means are of the same ones (a
/// structure that is lost has no distance); under those of the challenges over the numbers, except that one lost landmark
/// makes the mean `NaN`.
pub fn per_pair(rows: &[PairResult], protocol: Protocol) -> Vec<PairResult> {
    let mut groups: Vec<Vec<&PairResult>> = Vec::new();
    let mut places = HashMap::new();
    for row in rows {
        let key = (&row.pair, &row.fixed, &row.moving, row.metric);
        let place = *places.entry(key).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(row);
    }
    groups
        .iter()
        .map(|group| mean_of(group, protocol))
        .collect()
}

/// The mean over the structures of one pair.
fn mean_of(group: &[&PairResult], protocol: Protocol) -> PairResult {
    let metric = group[0].metric;
    let counts = |row: &&&PairResult| {
        let mut sides = [row.before, row.after].into_iter().flatten();
        protocol != Protocol::Hmorph || sides.all(f64::is_finite)
    };
    let counted: Vec<&&PairResult> = group.iter().filter(counts).collect();
    let over = |side: fn(&PairResult) -> Option<f64>| {
        let any = group.iter().any(|row| side(row).is_some());
        let values: Option<Vec<f64>> = counted.iter().map(|row| side(row)).collect();
        let values = values.filter(|_| any);
        values.map(|values| pair_mean(&values, metric, protocol))
    };
    PairResult {
        structure: String::new(),
        before: over(|row| row.before),
        after: over(|row| row.after),
        ..group[0].clone()
    }
}

fn pair_mean(values: &[f64], metric: Metric, protocol: Protocol) -> f64 {
    let counts = |value: &f64| match (protocol, metric) {
        (Protocol::Hmorph, _) | (_, Metric::Tre | Metric::TreVoxels) => true,
        _ => !value.is_nan(),
    };
    let counted: Vec<f64> = values.iter().copied().filter(counts).collect();
    counted.iter().sum::<f64>() / counted.len() as f64
}

/// Summary of all measures, in the order of [`Metric::ALL`]: first over pairs, then, where there is more
/// than one, of each structure (not of landmarks, which need not be the same in every pair).
pub fn summarise(rows: &[PairResult], protocol: Protocol) -> Vec<SummaryRow> {
    let pairs = per_pair(rows, protocol);
    let mut summary = Vec::new();
    for metric in Metric::ALL {
        let of_metric: Vec<&PairResult> = pairs.iter().filter(|row| row.metric == metric).collect();
        if of_metric.is_empty() {
            continue;
        }
        summary.push(summary_row(metric, "", &of_metric, protocol));
        for structure in structures(rows, metric) {
            let group: Vec<&PairResult> = rows
                .iter()
                .filter(|row| row.metric == metric && row.structure == structure)
                .collect();
            summary.push(summary_row(metric, structure, &group, protocol));
        }
    }
    summary
}

/// Names of the structures of a measure in the order of their first appearance, if more than one.
fn structures(rows: &[PairResult], metric: Metric) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    if matches!(metric, Metric::Tre | Metric::TreVoxels) {
        return names;
    }
    for row in rows.iter().filter(|row| row.metric == metric) {
        if !row.structure.is_empty() && !names.contains(&row.structure.as_str()) {
            names.push(&row.structure);
        }
    }
    if names.len() > 1 { names } else { Vec::new() }
}

fn summary_row(
    metric: Metric,
    structure: &str,
    rows: &[&PairResult],
    protocol: Protocol,
) -> SummaryRow {
    let over = |side: fn(&PairResult) -> Option<f64>| {
        let values: Vec<f64> = rows.iter().filter_map(|row| side(row)).collect();
        (!values.is_empty()).then(|| match protocol {
            Protocol::Hmorph => Statistics::of_finite(&values, metric.better()),
            Protocol::Learn2reg | Protocol::Lumir => Statistics::of_all(&values, metric.better()),
        })
    };
    SummaryRow {
        metric,
        structure: structure.to_owned(),
        before: over(|row| row.before),
        after: over(|row| row.after),
    }
}
