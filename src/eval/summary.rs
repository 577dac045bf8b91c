//! Distributions over pairs.

use super::landmarks::is_numbered;
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
///
/// Structures are left out pair by pair, each method's own: one that loses the small and difficult ones is judged by the others
/// alone, and its mean distance looks better for it. Its overlap does not, which counts what is lost as 0.
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
    let finite = |row: &PairResult| {
        let mut sides = [row.before, row.after].into_iter().flatten();
        sides.all(f64::is_finite)
    };
    let counts = |row: &&&PairResult| protocol != Protocol::Hmorph || finite(row);
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
/// than one, of each structure by its name (not of landmarks that have a number alone, which need not be the same ones in
/// every pair).
pub fn summarise(rows: &[PairResult], protocol: Protocol) -> Vec<SummaryRow> {
    let pairs = per_pair(rows, protocol);
    let mut summary = Vec::new();
    for metric in Metric::ALL {
        let of_metric: Vec<&PairResult> = pairs.iter().filter(|row| row.metric == metric).collect();
        if of_metric.is_empty() {
            continue;
        }
        summary.push(summary_row(metric, "", &of_metric, protocol));
        for structure in structure_names(rows, metric) {
            let group: Vec<&PairResult> = rows
                .iter()
                .filter(|row| row.metric == metric && row.structure == structure)
                .collect();
            summary.push(summary_row(metric, structure, &group, protocol));
        }
    }
    summary
}

/// Names of the structures of a measure that pairs share, in the order of their first appearance, if more than one.
pub fn structure_names(rows: &[PairResult], metric: Metric) -> Vec<&str> {
    let comparable = |name: &&str| !(name.is_empty() || metric.of_landmarks() && is_numbered(name));
    let of_metric = rows.iter().filter(|row| row.metric == metric);
    let listed = of_metric.map(|row| row.structure.as_str());
    let mut names: Vec<&str> = Vec::new();
    for name in listed.filter(comparable) {
        if !names.contains(&name) {
            names.push(name);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pair: &str, structure: &str, metric: Metric, sides: [f64; 2]) -> PairResult {
        PairResult {
            pair: pair.into(),
            fixed: "f".into(),
            moving: "m".into(),
            structure: structure.into(),
            metric,
            before: Some(sides[0]),
            after: Some(sides[1]),
        }
    }

    #[test]
    fn means_of_pairs_leave_out_what_is_lost() {
        let lost = f64::INFINITY;
        let rows = [
            row("all", "1", Metric::Hd95, [4.0, 1.0]),
            row("all", "2", Metric::Hd95, [8.0, 3.0]),
            row("less", "1", Metric::Hd95, [4.0, 1.0]),
            row("less", "2", Metric::Hd95, [8.0, lost]),
            row("less", "3", Metric::Hd95, [f64::NAN, lost]),
        ];
        let means = per_pair(&rows, Protocol::Hmorph);
        let found: Vec<_> = means.iter().map(|row| row.after).collect();
        assert_eq!(found, [Some(2.0), Some(1.0)]);
        assert_eq!(means[1].before, Some(4.0));
        // The challenges leave out what is no number before or after, each by itself, and nothing of landmarks.
        let means = per_pair(&rows, Protocol::Learn2reg);
        assert_eq!((means[1].before, means[1].after), (Some(6.0), Some(lost)));
        let landmarks = [row("p", "ac", Metric::Tre, [1.0, f64::NAN])];
        let mean = per_pair(&landmarks, Protocol::Learn2reg)[0].after;
        assert!(mean.is_some_and(f64::is_nan));
    }

    #[test]
    fn landmarks_are_summarised_by_name() {
        let rows = [
            row("one", "ac", Metric::Tre, [4.0, 1.0]),
            row("one", "pc", Metric::Tre, [6.0, 2.0]),
            row("two", "pc", Metric::Tre, [8.0, 4.0]),
            row("three", "landmark 1", Metric::Tre, [9.0, 9.0]),
            row("three", "landmark 2", Metric::Tre, [9.0, 9.0]),
        ];
        let summary = summarise(&rows, Protocol::Hmorph);
        let found: Vec<(&str, usize, f64)> = summary
            .iter()
            .map(|row| (row.structure.as_str(), row.after.unwrap()))
            .map(|(name, after)| (name, after.n, after.mean))
            .collect();
        assert_eq!(found, [("", 3, 14.5 / 3.0), ("ac", 1, 1.0), ("pc", 2, 3.0)]);
    }
}
