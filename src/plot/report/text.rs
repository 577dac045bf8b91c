//! What a report says in words and numbers.

use serde::Serialize;

use crate::metric::Better;

/// Everything on the page of a registration but its pictures.
#[derive(Debug, Clone, Serialize)]
pub struct ReportText {
    pub fixed: String,
    pub moving: String,
    /// The few measures to be seen first.
    pub highlights: Vec<Change>,
    /// All measures.
    pub measures: Vec<Change>,
    /// Dice of each label.
    pub structures: Vec<Change>,
    /// Error of each landmark.
    pub landmarks: Vec<Change>,
    /// What the errors of landmarks are.
    pub landmarks_note: String,
    /// Inputs, settings, versions.
    pub sections: Vec<Section>,
    pub command: String,
}

/// A measure before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    pub name: String,
    /// Empty for pure numbers.
    pub unit: String,
    before: Option<String>,
    after: Option<String>,
    difference: Option<String>,
    /// Whether it became better; nothing where it did not change.
    improved: Option<bool>,
}

impl Change {
    /// A measure with this many decimals.
    pub fn new(
        name: impl Into<String>,
        unit: impl Into<String>,
        before: Option<f64>,
        after: Option<f64>,
        decimals: usize,
        better: Better,
    ) -> Self {
        let written = |value: f64| format!("{value:.decimals$}");
        let difference = before.zip(after).map(|(before, after)| after - before);
        let step = 0.5 * 10.0_f64.powi(-(decimals as i32));
        let changed = difference.filter(|d| d.abs() >= step);
        Self {
            name: name.into(),
            unit: unit.into(),
            before: before.map(written),
            after: after.map(written),
            difference: difference.map(|d| format!("{d:+.decimals$}")),
            improved: changed.map(|d| (d > 0.0) == (better == Better::Higher)),
        }
    }
}

/// A table of names and values under a title.
#[derive(Debug, Clone, Serialize)]
pub struct Section {
    pub title: String,
    pub facts: Vec<Fact>,
}

/// A name and its value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fact {
    pub name: String,
    pub value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_better_depends_on_the_measure() {
        let change =
            |before, after, better| Change::new("x", "", before, after, 2, better).improved;
        assert_eq!(change(Some(1.0), Some(2.0), Better::Higher), Some(true));
        assert_eq!(change(Some(1.0), Some(2.0), Better::Lower), Some(false));
        assert_eq!(change(Some(1.0), Some(1.001), Better::Lower), None);
        assert_eq!(change(None, Some(1.0), Better::Lower), None);
        let shown = Change::new("x", "mm", Some(3.14459), Some(2.0), 2, Better::Lower);
        assert_eq!(shown.difference.as_deref(), Some("-1.14"));
    }
}
