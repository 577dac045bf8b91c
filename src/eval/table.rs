//! Tables to read and to compute with.

use super::{PairResult, Protocol, Statistics, SummaryRow, per_pair};
use crate::error::Result;
use crate::metric::Metric;
use crate::volume::{write_atomically, write_table};
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;

/// One side of a summary row, flat for CSV.
#[derive(Serialize)]
struct Line<'a> {
    metric: &'a str,
    structure: &'a str,
    unit: &'a str,
    when: &'a str,
    n: usize,
    missing: usize,
    mean: f64,
    sd: f64,
    q1: f64,
    median: f64,
    q3: f64,
    worst: f64,
    q30: f64,
}

impl<'a> Line<'a> {
    fn new(row: &'a SummaryRow, when: &'a str, s: &Statistics) -> Self {
        Self {
            metric: row.metric.name(),
            structure: &row.structure,
            unit: row.metric.unit(),
            when,
            n: s.n,
            missing: s.missing,
            mean: s.mean,
            sd: s.sd,
            q1: s.q1,
            median: s.median,
            q3: s.q3,
            worst: s.worst,
            q30: s.q30,
        }
    }
}

/// Writes the summary as CSV: a line for before and one for after registration.
///
/// # Errors
/// The file cannot be written.
pub fn write_summary(path: impl AsRef<Path>, summary: &[SummaryRow]) -> Result<()> {
    let mut lines = Vec::new();
    for row in summary {
        let sides = [("before", &row.before), ("after", &row.after)];
        for (when, side) in sides {
            lines.extend(side.as_ref().map(|side| Line::new(row, when, side)));
        }
    }
    write_table(path, &lines)
}

/// Writes one line per pair as CSV: `pair,fixed,moving`, then a column (two where there is a value
/// before) of each measure, means over structures, with time and memory last.
///
/// # Errors
/// The file cannot be written.
pub fn write_pairs(path: impl AsRef<Path>, rows: &[PairResult], protocol: Protocol) -> Result<()> {
    let means = per_pair(rows, protocol);
    let columns: Vec<(Metric, bool)> = Metric::ALL
        .into_iter()
        .filter_map(|metric| {
            let mut of_metric = means.iter().filter(|row| row.metric == metric).peekable();
            of_metric.peek()?;
            Some((metric, of_metric.any(|row| row.before.is_some())))
        })
        .collect();
    let mut pairs: Vec<[&str; 3]> = Vec::new();
    for row in &means {
        let key = [row.pair.as_str(), &row.fixed, &row.moving];
        if !pairs.contains(&key) {
            pairs.push(key);
        }
    }
    write_atomically(path, |out| {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(header(&columns))?;
        for key in pairs {
            let of_pair: Vec<&PairResult> = means
                .iter()
                .filter(|row| [row.pair.as_str(), &row.fixed, &row.moving] == key)
                .collect();
            csv.write_record(record(key, &of_pair, &columns))?;
        }
        csv.flush()
    })
}

fn header(columns: &[(Metric, bool)]) -> Vec<String> {
    let mut names: Vec<String> = ["pair", "fixed", "moving"].map(String::from).to_vec();
    for (metric, before) in columns {
        if *before {
            names.push(format!("{}_before", metric.name()));
            names.push(format!("{}_after", metric.name()));
        } else {
            names.push(metric.name().to_owned());
        }
    }
    names
}

fn record(key: [&str; 3], rows: &[&PairResult], columns: &[(Metric, bool)]) -> Vec<String> {
    let cell = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let mut cells: Vec<String> = key.map(String::from).to_vec();
    for (metric, before) in columns {
        let row = rows.iter().find(|row| row.metric == *metric);
        if *before {
            cells.push(cell(row.and_then(|row| row.before)));
        }
        cells.push(cell(row.and_then(|row| row.after)));
    }
    cells
}

/// The summary over pairs (and, with `structures`, of each structure) as a Markdown table.
pub fn summary_markdown(summary: &[SummaryRow], structures: bool) -> String {
    let mut text = String::from(
        "| measure | unit | before: mean ± SD | after: mean ± SD | after: median [quartiles] \
         | after: worst | pairs |\n|---|---|---|---|---|---|---|\n",
    );
    for row in summary {
        if !row.structure.is_empty() && !structures {
            continue;
        }
        let name = match row.structure.as_str() {
            "" => row.metric.title().to_owned(),
            structure => format!("{}: {structure}", row.metric.title()),
        };
        let spread = |side: &Option<Statistics>| {
            side.map_or_else(String::new, |s| match s.n {
                1 => short(s.mean),
                _ => format!("{} ± {}", short(s.mean), short(s.sd)),
            })
        };
        let quartiles = row.after.map_or_else(String::new, |s| {
            format!("{} [{}, {}]", short(s.median), short(s.q1), short(s.q3))
        });
        let worst = row.after.map_or_else(String::new, |s| short(s.worst));
        let unit = if row.metric.unit() == "1" {
            ""
        } else {
            row.metric.unit()
        };
        let (before, after) = (spread(&row.before), spread(&row.after));
        let count = row
            .after
            .or(row.before)
            .map_or_else(String::new, |s| pairs(&s));
        writeln!(
            text,
            "| {name} | {unit} | {before} | {after} | {quartiles} | {worst} | {count} |"
        )
        .expect("writing to a string cannot fail");
    }
    text
}

fn pairs(statistics: &Statistics) -> String {
    match statistics.missing {
        0 => statistics.n.to_string(),
        missing => format!("{} (not finite: {missing})", statistics.n),
    }
}

/// A number with about four digits.
fn short(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return if value.is_nan() {
            "n/a".into()
        } else {
            "inf".into()
        };
    }
    match size {
        _ if value.fract() == 0.0 && size < 1e9 => format!("{value:.0}"),
        _ if !(0.001..1e6).contains(&size) => format!("{value:.2e}"),
        _ if size < 1.0 => format!("{value:.4}"),
        _ if size < 100.0 => format!("{value:.3}"),
        _ => format!("{value:.1}"),
    }
}
