//! Tables of a study: CSV, Markdown and LaTeX.

use std::fmt::Write as _;
use std::path::Path;

use super::summary::{ArmKey, MEASURES, MeanRow, TestRow, arms, means, tests};
use super::{CellFacts, Condition, StudyRow, figures};
use crate::error::{Error, Result};
use crate::metric::Metric;
use crate::volume::{write_table, write_text};

/// Writes `summary.csv`, `tests.csv`, `summary.md`, `summary.tex` and the figures below `plots/`.
///
/// # Errors
/// Refusals of the operating system.
pub fn write(folder: &Path, rows: &[StudyRow], cells: &[CellFacts]) -> Result<()> {
    let (means, tests) = (means(rows), tests(rows));
    write_table(folder.join("summary.csv"), &means)?;
    write_table(folder.join("tests.csv"), &tests)?;
    let table = Table::new(rows, &means, cells);
    let text = format!("{}\n{}", table.markdown(), tests_markdown(&tests));
    write_text(folder.join("summary.md"), &text)?;
    write_text(folder.join("summary.tex"), &table.latex())?;
    let plots = folder.join("plots");
    std::fs::create_dir_all(&plots).map_err(|e| Error::io(&plots, e))?;
    figures::draw(&plots, &means)
}

/// A line an arm and condition, a column a measure.
struct Table {
    head: Vec<String>,
    lines: Vec<Vec<String>>,
}

impl Table {
    fn new(rows: &[StudyRow], means: &[MeanRow], cells: &[CellFacts]) -> Self {
        let shown: Vec<Metric> = MEASURES
            .into_iter()
            .filter(|metric| means.iter().any(|row| row.metric == *metric))
            .collect();
        let mut head: Vec<String> = ["training", "n", "images"].map(String::from).to_vec();
        head.extend(shown.iter().map(|metric| title(*metric)));
        head.extend(["parameters", "GFLOP", "subjects x seeds"].map(String::from));
        let mut lines = Vec::new();
        lines.extend(unregistered(means, &shown));
        for arm in arms(rows) {
            let of_arm: Vec<&MeanRow> = means.iter().filter(|row| row.arm() == arm).collect();
            let mut conditions: Vec<&str> = Vec::new();
            for row in &of_arm {
                if !conditions.contains(&row.condition.as_str()) {
                    conditions.push(&row.condition);
                }
            }
            for condition in conditions {
                let here: Vec<&MeanRow> = of_arm
                    .iter()
                    .copied()
                    .filter(|row| row.condition == condition)
                    .collect();
                lines.push(line(&arm, condition, &here, &shown, cells));
            }
        }
        Self { head, lines }
    }

    fn markdown(&self) -> String {
        let mut text = String::from(
            "Means with 95 % intervals over subjects and seeds. Distances are those of structures that both label maps have, so a training that \
             loses some is judged by the others.\n\n",
        );
        let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        text += &row(&self.head);
        text += &row(&vec!["---".to_string(); self.head.len()]);
        self.lines.iter().for_each(|line| text += &row(line));
        text
    }

    fn latex(&self) -> String {
        let row = |cells: &[String]| {
            let escaped = |cell: &String| cell.replace('%', r"\%").replace("^2", "$^2$");
            let cells: Vec<String> = cells.iter().map(escaped).collect();
            format!("{} \\\\\n", cells.join(" & "))
        };
        let columns = format!("ll{}", "r".repeat(self.head.len() - 2));
        let mut text = format!(
            "\\begin{{tabular}}{{{columns}}}\n\\hline\n{}\\hline\n",
            row(&self.head)
        );
        self.lines.iter().for_each(|line| text += &row(line));
        text + "\\hline\n\\end{tabular}\n"
    }
}

fn title(metric: Metric) -> String {
    match metric.unit() {
        "1" => metric.title().into(),
        unit => format!("{} ({unit})", metric.title()),
    }
}

/// The line of the images as they were.
fn unregistered(means: &[MeanRow], shown: &[Metric]) -> Option<Vec<String>> {
    let before = |metric: &Metric| {
        let clean =
            |row: &&MeanRow| row.metric == *metric && row.condition == Condition::Clean.name();
        let value = means.iter().find(clean).and_then(|row| row.before);
        value.map_or_else(String::new, short)
    };
    let cells: Vec<String> = shown.iter().map(before).collect();
    if cells.iter().all(String::is_empty) {
        return None;
    }
    let mut line = vec![
        "not registered".to_string(),
        String::new(),
        Condition::Clean.name().into(),
    ];
    line.extend(cells);
    line.extend([const { String::new() }; 3]);
    Some(line)
}

fn line(
    arm: &ArmKey,
    condition: &str,
    means: &[&MeanRow],
    shown: &[Metric],
    cells: &[CellFacts],
) -> Vec<String> {
    let mut line = vec![arm.label(), arm.subjects(), condition.to_string()];
    for metric in shown {
        let found = means.iter().find(|row| row.metric == *metric);
        line.push(found.map_or_else(String::new, |row| {
            with_interval(row.mean, row.low, row.high)
        }));
    }
    let same = |cell: &&CellFacts| {
        let n = arm.n.is_none_or(|n| cell.n == n);
        cell.paradigm == arm.paradigm && n && cell.alpha == arm.alpha
    };
    let cell = cells.iter().find(same);
    line.push(cell.map_or_else(String::new, |cell| cell.parameters.to_string()));
    line.push(cell.map_or_else(String::new, |cell| short(cell.gflop)));
    line.push(means.first().map_or_else(String::new, |row| {
        format!("{} x {}", row.subjects, row.seeds)
    }));
    line
}

fn tests_markdown(tests: &[TestRow]) -> String {
    let count = |n: Option<usize>| n.map_or_else(|| "all".to_string(), |n| n.to_string());
    let mut text = String::from(
        "Differences on the same pairs and seeds, clean images, with 95 % intervals over subjects and seeds; p not corrected for the number \
         of tests.\n\n\
         | measure | a | n | b | n | a - b | p | subjects x seeds |\n|---|---|---|---|---|---|---|---|\n",
    );
    for test in tests {
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} x {} |",
            test.metric.title(),
            test.a,
            count(test.n_a),
            test.b,
            count(test.n_b),
            with_interval(test.difference, test.low, test.high),
            test.p.map_or_else(String::new, |p| format!("{p:.2e}")),
            test.subjects,
            test.seeds
        )
        .expect("writing to a string cannot fail");
    }
    text
}

/// A mean and, where it is known, its interval.
fn with_interval(mean: f64, low: Option<f64>, high: Option<f64>) -> String {
    let interval = low.zip(high);
    let interval = interval.map(|(low, high)| format!(" [{}, {}]", short(low), short(high)));
    short(mean) + &interval.unwrap_or_default()
}

/// A number with about three digits.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if !(1e-3..1e5).contains(&size) => format!("{value:.2e}"),
        size if size < 0.1 => format!("{value:.5}"),
        size if size < 10.0 => format!("{value:.3}"),
        _ => format!("{value:.1}"),
    }
}
