//! Tables and box plots of an evaluation.

use crate::error::Result;
use crate::eval::{
    PairResult, Protocol, per_pair, structure_names, summarise, summary_markdown, write_pairs,
    write_summary,
};
use crate::metric::Metric;
use crate::plot::{BoxGroup, box_plot};
use crate::register::ResultFolder;
use crate::volume::{write_table, write_text};

/// More structures than this make a plot that nobody reads.
const STRUCTURES: usize = 60;

/// The summary over pairs, to be read in a terminal.
pub fn table(rows: &[PairResult], protocol: Protocol) -> String {
    summary_markdown(&summarise(rows, protocol), false)
}

/// Writes all tables and plots; their names.
pub fn write(
    folder: &ResultFolder,
    rows: &[PairResult],
    protocol: Protocol,
) -> Result<Vec<String>> {
    write_table(folder.path("results.csv"), rows)?;
    // The variance over a population is of no pair.
    let of_pairs = rows
        .iter()
        .filter(|row| row.metric != Metric::IntensityVariance);
    let of_pairs: Vec<PairResult> = of_pairs.cloned().collect();
    write_pairs(folder.path("pairs.csv"), &of_pairs, protocol)?;
    let summary = summarise(rows, protocol);
    write_summary(folder.path("summary.csv"), &summary)?;
    let text = summary_markdown(&summary, true);
    write_text(folder.path("summary.md"), &text)?;
    let mut files = ["results.csv", "pairs.csv", "summary.csv", "summary.md"]
        .map(String::from)
        .to_vec();
    for metric in Metric::ALL {
        let groups = groups(rows, metric, protocol);
        let drawable = |group: &BoxGroup| {
            group
                .before
                .iter()
                .chain(&group.after)
                .any(|v| v.is_finite())
        };
        if !groups.iter().any(drawable) {
            continue;
        }
        let name = format!("{}.png", metric.name());
        let axis = match metric.unit() {
            "1" => metric.title().to_string(),
            unit => format!("{} ({unit})", metric.title()),
        };
        box_plot(metric.title(), &axis, &groups)?.write_png(folder.path(&name))?;
        files.push(name);
    }
    Ok(files)
}

/// All pairs, then each structure, of a measure that has values before and after.
fn groups(rows: &[PairResult], metric: Metric, protocol: Protocol) -> Vec<BoxGroup> {
    let of_metric = |rows: &[PairResult]| -> Vec<PairResult> {
        let both =
            |row: &&PairResult| row.metric == metric && row.before.is_some() && row.after.is_some();
        rows.iter().filter(both).cloned().collect()
    };
    let pairs = of_metric(&per_pair(rows, protocol));
    if pairs.len() < 2 {
        return Vec::new();
    }
    let group = |label: &str, rows: &[&PairResult]| BoxGroup {
        label: label.into(),
        before: rows.iter().filter_map(|row| row.before).collect(),
        after: rows.iter().filter_map(|row| row.after).collect(),
    };
    let mut groups = vec![group("all pairs", &pairs.iter().collect::<Vec<_>>())];
    let rows = of_metric(rows);
    let names = structure_names(&rows, metric);
    if names.len() <= STRUCTURES {
        for name in names {
            let of_name: Vec<&PairResult> =
                rows.iter().filter(|row| row.structure == name).collect();
            groups.push(group(name, &of_name));
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_boxes_and_landmarks_those_with_names() {
        let row = |pair: &str, structure: &str, metric| PairResult {
            pair: pair.into(),
            fixed: "f".into(),
            moving: "m".into(),
            structure: structure.into(),
            metric,
            before: Some(2.0),
            after: Some(1.0),
        };
        let labels = |names: [&str; 2], metric| -> Vec<String> {
            let rows = ["one", "two"].map(|pair| names.map(|name| row(pair, name, metric)));
            let groups = groups(&rows.concat(), metric, Protocol::Hmorph);
            groups.into_iter().map(|group| group.label).collect()
        };
        let named = ["all pairs", "ac", "pc"];
        assert_eq!(labels(["ac", "pc"], Metric::Dice), named);
        assert_eq!(labels(["ac", "pc"], Metric::Tre), named);
        let numbered = ["landmark 1", "landmark 2"];
        assert_eq!(labels(numbered, Metric::Tre), ["all pairs"]);
    }
}
