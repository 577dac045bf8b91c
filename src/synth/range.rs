//! Numbers drawn uniformly from a stated range, and the checks the settings of all steps share.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A closed interval, written `[low, high]` in TOML; equal ends make a constant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 2]", into = "[f64; 2]")]
pub struct Range {
    pub low: f64,
    pub high: f64,
}

impl Range {
    pub const fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    /// A number uniformly distributed over the range.
    pub fn draw(&self, rng: &mut impl Rng) -> f64 {
        self.low + (self.high - self.low) * rng.random::<f64>()
    }

    /// Both ends multiplied by `factor`.
    pub fn scaled(&self, factor: f64) -> Self {
        Self::new(self.low * factor, self.high * factor)
    }

    /// An error naming `field` unless the ends are finite, in order and within `allowed`.
    pub fn check(&self, field: &str, allowed: Range) -> Result<()> {
        let ordered = self.low.is_finite() && self.high.is_finite() && self.low <= self.high;
        if ordered && self.low >= allowed.low && self.high <= allowed.high {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "synth.{field}: expected [low, high] with {} <= low <= high <= {}, found [{}, {}]",
            allowed.low, allowed.high, self.low, self.high
        )))
    }
}

impl From<[f64; 2]> for Range {
    fn from([low, high]: [f64; 2]) -> Self {
        Self { low, high }
    }
}

impl From<Range> for [f64; 2] {
    fn from(range: Range) -> Self {
        [range.low, range.high]
    }
}

/// Ranges a setting may be limited to.
pub(super) const NOT_NEGATIVE: Range = Range::new(0.0, f64::MAX);
pub(super) const ANY: Range = Range::new(f64::MIN, f64::MAX);
pub(super) const UNIT: Range = Range::new(0.0, 1.0);

/// An error naming `field` unless `probability` lies in [0, 1].
pub(super) fn check_probability(field: &str, probability: f64) -> Result<()> {
    if (0.0..=1.0).contains(&probability) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "synth.{field}: expected a probability from 0 to 1, found {probability}"
    )))
}

/// An error naming `field` unless there is at least one length and all are finite and positive.
pub(super) fn check_lengths(field: &str, lengths: &[f64]) -> Result<()> {
    if !lengths.is_empty() && lengths.iter().all(|l| l.is_finite() && *l > 0.0) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "synth.{field}: expected one or more lengths above 0 voxels, found {lengths:?}"
    )))
}
