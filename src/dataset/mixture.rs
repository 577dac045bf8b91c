//! How many of the samples are real: HybridMorph's alpha (Roy, Mishra, Raimundo, 2025).
//!
//! With probability alpha a training sample is a real pair, otherwise a synthetic one, so that the
//! expected loss is `alpha E_real[L] + (1 - alpha) E_synth[L]`. The paper's equation 4 divides that by
//! alpha: no sampling, and the synthetic term weighs `(1 - alpha) / alpha`.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Error, Result};

/// Share of real samples and what is done with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MixtureConfig {
    /// Share of real samples, 0 to 1 (default 1): a number, `{ from, to, steps }`, or
    /// `[[step, value], ...]` where each value holds from its step on.
    pub alpha: Alpha,
    /// `"sample"` (default) draws each item's kind; `"weighted"` puts both kinds in every batch and
    /// multiplies the synthetic loss by (1 - alpha) / alpha.
    pub mode: Mode,
}

/// What alpha does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Each item is real with probability alpha.
    Sample,
    /// Half of each batch is real, and the synthetic loss is weighted.
    Weighted,
}

/// Alpha over the optimiser steps.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Alpha {
    Constant(f64),
    Linear(Ramp),
    /// `(step, value)`, steps ascending from 0.
    Steps(Vec<(u64, f64)>),
}

/// A straight line from one value to another, constant afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ramp {
    /// Value at step 0.
    pub from: f64,
    /// Value at `steps` and after.
    pub to: f64,
    /// Length in optimiser steps, at least 1.
    pub steps: u64,
}

impl Default for MixtureConfig {
    fn default() -> Self {
        Self {
            alpha: Alpha::Constant(1.0),
            mode: Mode::Sample,
        }
    }
}

impl Alpha {
    /// Alpha at an optimiser step.
    pub fn at(&self, step: u64) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Linear(Ramp { from, to, steps }) => {
                from + (to - from) * (step.min(*steps) as f64 / *steps as f64)
            }
            Self::Steps(steps) => {
                let after = steps.partition_point(|&(start, _)| start <= step);
                steps[after - 1].1
            }
        }
    }

    /// Smallest and largest value that is written, whether or not a run comes to it.
    pub fn range(&self) -> (f64, f64) {
        extremes(&self.values())
    }

    /// Smallest and largest value over the first `steps` steps.
    pub fn range_over(&self, steps: u64) -> (f64, f64) {
        let last = steps.saturating_sub(1);
        match self {
            // A straight line is outermost at its ends.
            Self::Constant(_) | Self::Linear(_) => extremes(&[self.at(0), self.at(last)]),
            Self::Steps(list) => {
                let begun = list.iter().filter(|(start, _)| *start <= last);
                let values: Vec<f64> = begun.map(|&(_, value)| value).collect();
                extremes(&values)
            }
        }
    }

    /// What is written, but comes after the last of `steps` steps: in one line, if there is something.
    pub fn unreached(&self, steps: u64) -> Option<String> {
        let beyond = match self {
            Self::Constant(_) => None,
            Self::Linear(ramp) => {
                Some((ramp.steps, ramp.to)).filter(|_| ramp.steps > steps && ramp.from != ramp.to)
            }
            Self::Steps(list) => list.iter().copied().find(|(start, _)| *start >= steps),
        };
        let (start, value) = beyond?;
        let last = self.at(steps.saturating_sub(1));
        Some(format!(
            "mixture.alpha = {value} at step {start} is never reached: the run has {steps} steps, and alpha ends at {}; \
             change mixture.alpha or train.epochs",
            (1000.0 * last).round() / 1000.0
        ))
    }

    /// The values that are written out; all others lie between them.
    fn values(&self) -> Vec<f64> {
        match self {
            Self::Constant(value) => vec![*value],
            Self::Linear(ramp) => vec![ramp.from, ramp.to],
            Self::Steps(steps) => steps.iter().map(|&(_, value)| value).collect(),
        }
    }

    fn checked(self) -> Result<Self, String> {
        if let Self::Linear(Ramp { steps: 0, .. }) = self {
            return Err("alpha: steps must be at least 1".into());
        }
        if let Self::Steps(steps) = &self {
            if steps.first().is_none_or(|&(step, _)| step != 0) {
                return Err("alpha: the list must begin at step 0, as in [[0, 1.0], ...]".into());
            }
            if !steps.is_sorted_by(|a, b| a.0 < b.0) {
                return Err("alpha: the steps of the list must ascend".into());
            }
        }
        if let Some(value) = self
            .values()
            .iter()
            .find(|value| !(0.0..=1.0).contains(*value))
        {
            return Err(format!(
                "alpha: expected a share from 0 to 1, found {value}"
            ));
        }
        Ok(self)
    }
}

/// Smallest and largest of some values.
fn extremes(values: &[f64]) -> (f64, f64) {
    let fold = |pick: fn(f64, f64) -> f64| values.iter().copied().reduce(pick).unwrap_or(0.0);
    (fold(f64::min), fold(f64::max))
}

/// In words, as in "0, 0.9 from step 5000".
impl fmt::Display for Alpha {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Constant(value) => write!(f, "{value}"),
            Self::Linear(Ramp { from, to, steps }) => {
                write!(f, "{from} to {to} over {steps} steps")
            }
            Self::Steps(list) => {
                let text = |(start, value): &(u64, f64)| match start {
                    0 => value.to_string(),
                    _ => format!("{value} from step {start}"),
                };
                let texts: Vec<String> = list.iter().map(text).collect();
                f.write_str(&texts.join(", "))
            }
        }
    }
}

impl MixtureConfig {
    /// Factor of the synthetic loss beside the real one at a step: 1 when kinds are sampled.
    pub fn synthetic_weight(&self, step: u64) -> f64 {
        let alpha = self.alpha.at(step);
        match self.mode {
            Mode::Sample => 1.0,
            Mode::Weighted => (1.0 - alpha) / alpha,
        }
    }

    /// Checks that the kinds that alpha asks for can be made, also those that come after the end of the run: what is written
    /// is meant.
    pub fn check(&self, batch: usize, real: bool, synthetic: bool) -> Result<()> {
        let (low, high) = self.alpha.range();
        if high > 0.0 && !real {
            return Err(Error::invalid(format!(
                "mixture.alpha reaches {high}, but there are no real images: add a [data] section or set mixture.alpha = 0"
            )));
        }
        if low < 1.0 && !synthetic {
            return Err(Error::invalid(format!(
                "mixture.alpha falls to {low}, but there are no synthetic images: add a [synth] section or set mixture.alpha = 1"
            )));
        }
        if self.mode == Mode::Weighted && low == 0.0 {
            return Err(Error::invalid(
                "mixture.mode = \"weighted\" divides by alpha: alpha must stay above 0 (or use mode = \"sample\")",
            ));
        }
        if self.mode == Mode::Weighted && low < 1.0 && batch < 2 {
            return Err(Error::invalid(
                "mixture.mode = \"weighted\" puts both kinds in every batch: the batch size must be at least 2 (or use mode = \"sample\")",
            ));
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Alpha {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let alpha = deserializer.deserialize_any(AlphaVisitor)?;
        alpha.checked().map_err(serde::de::Error::custom)
    }
}

/// Tells the three forms apart by their type, so that a mistake inside one is named as such.
struct AlphaVisitor;

impl<'de> Visitor<'de> for AlphaVisitor {
    type Value = Alpha;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a number, { from, to, steps } or [[step, value], ...]")
    }

    fn visit_f64<E>(self, value: f64) -> Result<Alpha, E> {
        Ok(Alpha::Constant(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Alpha, E> {
        Ok(Alpha::Constant(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Alpha, E> {
        Ok(Alpha::Constant(value as f64))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Alpha, A::Error> {
        Ramp::deserialize(MapAccessDeserializer::new(map)).map(Alpha::Linear)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Alpha, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Alpha::Steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixture(text: &str) -> Result<MixtureConfig, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_has_its_values() {
        let at = |text, step| mixture(text).unwrap().alpha.at(step);
        assert_eq!(at("", 7), 1.0);
        assert_eq!(at("alpha = 0", 7), 0.0);
        assert_eq!(at("alpha = 0.7", 7), 0.7);
        let ramp = "alpha = { from = 0.0, to = 1.0, steps = 10 }";
        assert_eq!(
            [0, 5, 10, 99].map(|step| at(ramp, step)),
            [0.0, 0.5, 1.0, 1.0]
        );
        let list = "alpha = [[0, 0.5], [100, 0.9]]";
        assert_eq!(
            [0, 99, 100, 500].map(|step| at(list, step)),
            [0.5, 0.5, 0.9, 0.9]
        );
    }

    #[test]
    fn every_form_survives_a_round_trip() {
        for text in [
            "alpha = 0.25\nmode = \"weighted\"",
            "alpha = { from = 0.0, to = 1.0, steps = 10 }",
            "alpha = [[0, 0.5], [100, 0.9]]",
        ] {
            let first = mixture(text).unwrap();
            assert_eq!(mixture(&toml::to_string(&first).unwrap()).unwrap(), first);
        }
    }

    #[test]
    fn the_range_over_a_run_ends_with_it() {
        let range = |text, steps| mixture(text).unwrap().alpha.range_over(steps);
        assert_eq!(range("alpha = 0.7", 9), (0.7, 0.7));
        let list = "alpha = [[0, 0.0], [10, 0.9], [20, 0.5]]";
        assert_eq!(range(list, 0), (0.0, 0.0));
        // The last of ten steps is step 9.
        assert_eq!(range(list, 10), (0.0, 0.0));
        assert_eq!(range(list, 11), (0.0, 0.9));
        assert_eq!(range(list, 99), (0.0, 0.9));
        let ramp = "alpha = { from = 1.0, to = 0.0, steps = 10 }";
        assert_eq!(range(ramp, 1), (1.0, 1.0));
        assert_eq!(range(ramp, 6), (0.5, 1.0));
        assert_eq!(range(ramp, 99), (0.0, 1.0));
        assert_eq!(mixture(list).unwrap().alpha.range(), (0.0, 0.9));
    }

    #[test]
    fn what_a_run_does_not_come_to_is_told() {
        let told = |text, steps| mixture(text).unwrap().alpha.unreached(steps);
        let list = "alpha = [[0, 0.0], [90000, 0.9]]";
        let line = told(list, 90_000).unwrap();
        for part in [
            "mixture.alpha = 0.9 at step 90000",
            "the run has 90000 steps",
            "alpha ends at 0;",
        ] {
            assert!(line.contains(part), "{line}");
        }
        assert_eq!(told(list, 90_001), None);
        let ramp = "alpha = { from = 0.0, to = 1.0, steps = 1000 }";
        let line = told(ramp, 100).unwrap();
        assert!(line.contains("alpha ends at 0.099;"), "{line}");
        // A study's ramps end with their runs.
        assert_eq!(told(ramp, 1000), None);
        assert_eq!(told("alpha = 0.9", 1), None);
    }

    #[test]
    fn every_form_is_said_in_words() {
        let said = |text| mixture(text).unwrap().alpha.to_string();
        assert_eq!(said("alpha = 0.9"), "0.9");
        assert_eq!(
            said("alpha = { from = 0.0, to = 1.0, steps = 10 }"),
            "0 to 1 over 10 steps"
        );
        assert_eq!(
            said("alpha = [[0, 0.0], [5000, 0.9]]"),
            "0, 0.9 from step 5000"
        );
    }

    #[test]
    fn mistakes_are_named() {
        for (text, reason) in [
            ("alpha = 1.5", "found 1.5"),
            ("alpha = -0.5", "found -0.5"),
            ("alpha = nan", "found NaN"),
            ("alpha = [[0, 0.5], [9, nan]]", "found NaN"),
            ("alpha = \"half\"", "expected a number, { from, to, steps }"),
            (
                "alpha = { from = 0.0, to = 1.0, step = 10 }",
                "unknown field `step`",
            ),
            ("alpha = { from = 0.0, to = 1.0, steps = 0 }", "at least 1"),
            ("alpha = [[5, 0.5]]", "begin at step 0"),
            ("alpha = []", "begin at step 0"),
            ("alpha = [[0, 0.5], [0, 0.6]]", "ascend"),
            ("mode = \"mixed\"", "unknown variant"),
            ("beta = 1", "unknown field `beta`"),
        ] {
            let error = mixture(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn equation_4_weights_the_synthetic_term() {
        let weight = |text| mixture(text).unwrap().synthetic_weight(0);
        assert_eq!(weight("alpha = 0.5\nmode = \"weighted\""), 1.0);
        // (1 - 0.8) / 0.8
        assert!((weight("alpha = 0.8\nmode = \"weighted\"") - 0.25).abs() < 1e-12);
        assert_eq!(weight("alpha = 0.8"), 1.0);
    }

    #[test]
    fn a_mixture_without_its_source_is_refused() {
        let check = |text, batch, real, synthetic| {
            let result = mixture(text).unwrap().check(batch, real, synthetic);
            result
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        assert_eq!(check("alpha = 0.5", 1, true, true), "");
        assert_eq!(check("alpha = 0", 1, false, true), "");
        assert!(check("alpha = 0.5", 1, false, true).contains("[data]"));
        assert!(check("alpha = 0.5", 1, true, false).contains("[synth]"));
        let weighted = "alpha = 0.5\nmode = \"weighted\"";
        assert!(check(weighted, 1, true, true).contains("at least 2"));
        assert!(check("alpha = 0\nmode = \"weighted\"", 2, true, true).contains("above 0"));
    }
}
