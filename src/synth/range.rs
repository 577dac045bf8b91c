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
        // Numbers that are found are printed as `{:?}`, which takes no 300 digits for 1e300.
        Err(Error::invalid(format!(
            "synth.{field}: expected finite numbers [low, high] with {}, found [{:?}, {:?}]",
            allowed.around("low <= high"),
            self.low,
            self.high
        )))
    }

    /// `what` between the ends of this range; the upper one may limit nothing.
    fn around(&self, what: &str) -> String {
        let high = match self.high < f64::MAX {
            true => format!(" <= {}", self.high),
            false => String::new(),
        };
        format!("{} <= {what}{high}", self.low)
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
pub(super) const UNIT: Range = Range::new(0.0, 1.0);
/// Strengths and shifts, in voxels or of noise: more than any image has use for, and far from where 32-bit floats end.
pub(super) const STRENGTH: Range = Range::new(0.0, LARGE);
pub(super) const SHIFT: Range = Range::new(-LARGE, LARGE);
const LARGE: f64 = 1e4;

/// An error naming `field` unless the one number that it takes is finite and within `allowed`.
pub(super) fn check_number(field: &str, number: f64, allowed: Range) -> Result<()> {
    if number.is_finite() && (allowed.low..=allowed.high).contains(&number) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "synth.{field}: expected one finite number x with {}, found {number:?}",
        allowed.around("x")
    )))
}

/// An error naming `field` unless `probability` lies in [0, 1].
pub(super) fn check_probability(field: &str, probability: f64) -> Result<()> {
    if (0.0..=1.0).contains(&probability) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "synth.{field}: expected a probability from 0 to 1, found {probability:?}"
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

#[cfg(test)]
mod tests {
    use super::*;

    fn text(result: Result<()>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn an_end_that_limits_nothing_is_left_out_of_messages() {
        let falling = Range::new(3.0, 1.0);
        for (allowed, expected) in [
            (NOT_NEGATIVE, "0 <= low <= high"),
            (SHIFT, "-10000 <= low <= high <= 10000"),
            (UNIT, "0 <= low <= high <= 1"),
        ] {
            assert_eq!(
                text(falling.check("a", allowed)),
                format!(
                    "synth.a: expected finite numbers [low, high] with {expected}, found [3.0, 1.0]"
                )
            );
        }
        let huge = text(Range::new(1e300, 1.0).check("a", SHIFT));
        assert!(huge.ends_with("found [1e300, 1.0]"), "{huge}");
    }

    #[test]
    fn a_single_number_is_not_told_to_be_a_range() {
        check_number("a", 3.0, Range::new(0.0, 3.0)).unwrap();
        assert_eq!(
            text(check_number("a", 5.0, Range::new(0.0, 3.0))),
            "synth.a: expected one finite number x with 0 <= x <= 3, found 5.0"
        );
        assert_eq!(
            text(check_number("a", f64::INFINITY, NOT_NEGATIVE)),
            "synth.a: expected one finite number x with 0 <= x, found inf"
        );
        assert!(check_number("a", f64::NAN, SHIFT).is_err());
    }
}
