//! The figures of the paper, for every measure: against the number of real subjects, and against alpha.

use std::path::Path;

use super::summary::{MEASURES, MeanRow};
use super::{Condition, Paradigm};
use crate::error::Result;
use crate::metric::Metric;
use crate::plot::{CurveStyle, Series, curves};

/// Draws `MEASURE_by_subjects.png` and `MEASURE_by_alpha.png`, where these have at least two points.
///
/// # Errors
/// Pictures that cannot be written.
pub fn draw(folder: &Path, means: &[MeanRow]) -> Result<()> {
    for metric in MEASURES {
        let clean: Vec<&MeanRow> = means
            .iter()
            .filter(|row| row.metric == metric && row.condition == Condition::Clean.name())
            .collect();
        let pages = [
            ("subjects", "real training subjects", by_subjects(&clean)),
            ("alpha", "alpha, share of real pairs", by_alpha(&clean)),
        ];
        for (name, x_label, series) in pages {
            if series.iter().any(|one| one.points.len() > 1) {
                let style = CurveStyle {
                    title: format!("{} of held-out pairs", metric.title()),
                    x_label: x_label.into(),
                    y_label: axis(metric),
                    log_y: false,
                    smoothing: 0,
                };
                let file = format!("{}_by_{name}.png", metric.name());
                curves(&style, &series)?.write_png(folder.join(file))?;
            }
        }
    }
    Ok(())
}

fn axis(metric: Metric) -> String {
    match metric.unit() {
        "1" => "mean, 95 % interval".into(),
        unit => format!("{unit}, mean, 95 % interval"),
    }
}

/// Few-shot, transfer and each alpha of weighted transfer over n; what has no n of its own runs level.
fn by_subjects(means: &[&MeanRow]) -> Vec<Series> {
    let counted = means.iter().filter(|row| !level(row));
    let numbers: Vec<f64> = counted.filter_map(|row| Some(row.n? as f64)).collect();
    let ends = [
        numbers.iter().copied().fold(f64::INFINITY, f64::min),
        numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    ];
    let mut series: Vec<Series> = Vec::new();
    for row in means {
        let name = row.arm().label();
        let n = row.n.unwrap_or_default() as f64;
        let at = |x: f64| (x, row.mean);
        let bar = |x: f64| Some((x, row.low?, row.high?));
        match series.iter_mut().find(|one| one.name == name) {
            Some(one) => {
                one.points.push(at(n));
                one.bars.extend(bar(n));
            }
            None if level(row) && ends[0] < ends[1] => series.push(Series {
                name,
                points: ends.map(at).to_vec(),
                bars: Vec::new(),
            }),
            None if level(row) => {}
            None => series.push(Series {
                name,
                points: vec![at(n)],
                bars: Vec::from_iter(bar(n)),
            }),
        }
    }
    series
}

fn level(row: &MeanRow) -> bool {
    [Paradigm::Synthetic, Paradigm::Real]
        .map(Paradigm::name)
        .contains(&row.paradigm.as_str())
}

/// Weighted transfer over alpha for each n, with synthetic training as alpha 0 and transfer as alpha 1.
fn by_alpha(means: &[&MeanRow]) -> Vec<Series> {
    let mut numbers: Vec<usize> = means
        .iter()
        .filter(|row| row.paradigm == Paradigm::Weighted.name())
        .filter_map(|row| row.n)
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    let of = |n: usize| {
        let belongs = |row: &&&MeanRow| {
            let paradigm = row.paradigm.as_str();
            paradigm == Paradigm::Synthetic.name()
                || row.n == Some(n)
                    && [Paradigm::Weighted, Paradigm::Transfer]
                        .map(Paradigm::name)
                        .contains(&paradigm)
        };
        let mut rows: Vec<&&MeanRow> = means.iter().filter(belongs).collect();
        rows.sort_by(|a, b| a.alpha.total_cmp(&b.alpha));
        Series {
            name: format!("{n} subjects"),
            points: rows.iter().map(|row| (row.alpha, row.mean)).collect(),
            bars: rows
                .iter()
                .filter_map(|row| Some((row.alpha, row.low?, row.high?)))
                .collect(),
        }
    };
    numbers.into_iter().map(of).collect()
}
