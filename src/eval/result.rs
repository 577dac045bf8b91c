//! One measured value before and after registration, and the tidy table of them.

use crate::eval::Pair;
use crate::metric::Metric;
use serde::{Serialize, Serializer};

/// A row of the tidy table: one measure of one structure of one pair.
#[derive(Debug, Clone, PartialEq)]
pub struct PairResult {
    pub pair: String,
    pub fixed: String,
    pub moving: String,
    /// Name or number of a structure or landmark; empty for what concerns the whole image.
    pub structure: String,
    pub metric: Metric,
    /// `None` where the measure has no value before registration (or after); `NaN` where it has one
    /// that is undefined.
    pub before: Option<f64>,
    pub after: Option<f64>,
}

impl PairResult {
    pub(super) fn new(
        pair: &Pair,
        structure: impl Into<String>,
        metric: Metric,
        before: Option<f64>,
        after: Option<f64>,
    ) -> Self {
        Self {
            pair: pair.id.to_owned(),
            fixed: pair.fixed.to_owned(),
            moving: pair.moving.to_owned(),
            structure: structure.into(),
            metric,
            before,
            after,
        }
    }
}

/// Columns `pair,fixed,moving,structure,metric,before,after,unit`; an absent value is an empty cell.
impl Serialize for PairResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut row = serializer.serialize_struct("PairResult", 8)?;
        row.serialize_field("pair", &self.pair)?;
        row.serialize_field("fixed", &self.fixed)?;
        row.serialize_field("moving", &self.moving)?;
        row.serialize_field("structure", &self.structure)?;
        row.serialize_field("metric", self.metric.name())?;
        row.serialize_field("before", &self.before)?;
        row.serialize_field("after", &self.after)?;
        row.serialize_field("unit", self.metric.unit())?;
        row.end()
    }
}
