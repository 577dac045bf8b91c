//! Curves of a run, drawn from its logs.

use std::fs;
use std::path::Path;

use super::logs::{METRICS, VALIDATION};
use crate::error::{Error, Result};
use crate::plot::{CurveStyle, Series, curves};

/// One picture of a run.
struct Page {
    file: &'static str,
    title: &'static str,
    y_label: &'static str,
    /// Losses fall over magnitudes; overlaps do not.
    log_y: bool,
}

const LOSS: Page = Page {
    file: "loss.png",
    title: "Loss",
    y_label: "weighted total",
    log_y: true,
};
const TERMS: Page = Page {
    file: "terms.png",
    title: "Terms of the loss in training",
    y_label: "without weight",
    log_y: true,
};
const DICE: Page = Page {
    file: "dice.png",
    title: "Held-out pairs",
    y_label: "mean Dice",
    log_y: false,
};

/// Draws `plots/*.png` of a run folder: the loss, its terms by kind, and Dice where there are labels.
///
/// # Errors
/// Logs that cannot be read, pictures that cannot be written.
pub(super) fn draw(run: &Path) -> Result<()> {
    let folder = run.join("plots");
    fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
    let steps = columns(&run.join(METRICS))?;
    let held_out = columns(&run.join(VALIDATION))?;
    let loss = [
        named(&steps, "total", "training"),
        named(&held_out, "loss", "validation"),
    ];
    LOSS.draw(&folder, loss.into_iter().flatten().collect())?;
    let terms = steps.iter().filter(|one| is_term(&one.name)).cloned();
    TERMS.draw(&folder, terms.collect())?;
    let dice = [
        named(&held_out, "dice_before", "before registration"),
        named(&held_out, "dice", "after"),
    ];
    DICE.draw(&folder, dice.into_iter().flatten().collect())
}

impl Page {
    /// Draws the series that have points; nothing where none has.
    fn draw(&self, folder: &Path, series: Vec<Series>) -> Result<()> {
        let Some(longest) = series.iter().map(|one| one.points.len()).max() else {
            return Ok(());
        };
        // A correlation counts as a negative loss.
        let positive = series.iter().flat_map(|one| &one.points).all(|p| p.1 > 0.0);
        let style = CurveStyle {
            title: self.title.into(),
            x_label: "step".into(),
            y_label: self.y_label.into(),
            log_y: self.log_y && positive,
            smoothing: longest / 40,
        };
        curves(&style, &series)?.write_png(folder.join(self.file))
    }
}

fn is_term(column: &str) -> bool {
    column.contains('/') && !column.ends_with("/items")
}

/// A column under another name.
fn named(columns: &[Series], column: &str, name: &str) -> Option<Series> {
    let found = columns.iter().find(|one| one.name == column)?;
    Some(Series {
        name: name.into(),
        points: found.points.clone(),
        bars: Vec::new(),
    })
}

/// Every column of a log over its steps; empty cells are left out.
fn columns(path: &Path) -> Result<Vec<Series>> {
    let broken = |error| Error::csv(path, error);
    let mut reader = csv::Reader::from_path(path).map_err(broken)?;
    let names = reader.headers().map_err(broken)?.clone();
    let mut columns: Vec<Series> = names
        .iter()
        .map(|name| Series {
            name: name.into(),
            points: Vec::new(),
            bars: Vec::new(),
        })
        .collect();
    for row in reader.records() {
        let row = row.map_err(broken)?;
        let numbers: Vec<Option<f64>> = row.iter().map(|cell| cell.parse().ok()).collect();
        let Some(step) = numbers.first().copied().flatten() else {
            continue;
        };
        for (column, value) in columns.iter_mut().zip(numbers) {
            column.points.extend(value.map(|value| (step, value)));
        }
    }
    columns.retain(|column| !column.points.is_empty());
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_logs_hold_is_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(METRICS, "step,total,real/items,real/mse,synthetic/mse\n");
        write(VALIDATION, "step,loss,dice_before,dice\n");
        draw(folder.path()).unwrap();
        let names = || {
            let plots = fs::read_dir(folder.path().join("plots")).unwrap();
            let mut names: Vec<_> = plots.map(|e| e.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert!(names().is_empty(), "nothing to draw yet");
        write(
            METRICS,
            "step,total,real/items,real/mse\n5,0.3,2,0.3\n10,0.2,2,\n",
        );
        write(
            VALIDATION,
            "step,loss,dice_before,dice\n0,0.4,,\n10,0.2,,\n",
        );
        draw(folder.path()).unwrap();
        assert_eq!(names(), ["loss.png", "terms.png"], "no labels, no Dice");
        let found = columns(&folder.path().join(METRICS)).unwrap();
        let mse = found.iter().find(|one| one.name == "real/mse").unwrap();
        assert_eq!(mse.points, [(5.0, 0.3)]);
    }
}
