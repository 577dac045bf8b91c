//! Shows how far long work is: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::Common;
use crate::error::Error;
use crate::train::{Means, Validation, Watch};

/// Time between plain lines.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// The progress of `total` equal parts of work.
pub struct Progress<'a> {
    common: &'a Common,
    /// What a part is called.
    unit: &'static str,
    bar: Option<ProgressBar>,
    total: u64,
    first: u64,
    started: Instant,
    last_line: Instant,
    /// Of the validation before the first step, where this process made it.
    first_loss: Option<f64>,
}

impl<'a> Progress<'a> {
    /// Progress of work of which `done` parts are already there.
    pub fn new(common: &'a Common, unit: &'static str, total: u64, done: u64) -> Self {
        let bar = (!common.quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(total).with_position(done);
            let template = "{bar:30} {pos}/{len}  {msg}  left {eta}";
            bar.set_style(ProgressStyle::with_template(template).expect("a fixed template"));
            bar
        });
        Self {
            common,
            unit,
            bar,
            total,
            first: done,
            started: Instant::now(),
            last_line: Instant::now(),
            first_loss: None,
        }
    }

    /// Says that `done` parts are there, with what else is to be said.
    pub fn advance(&mut self, done: u64, detail: impl std::fmt::Display) {
        let elapsed = self.started.elapsed().as_secs_f64();
        let each = elapsed / (done - self.first).max(1) as f64;
        let text = format!("{detail}{each:.3} s/{}", self.unit);
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(text);
        } else if self.last_line.elapsed() >= LINE_EVERY || done == self.total {
            let left = each * (self.total - done) as f64;
            let (unit, total) = (self.unit, self.total);
            self.line(format!("{unit} {done}/{total}  {text}  left {left:.0} s"));
            self.last_line = Instant::now();
        }
    }

    /// A line above the bar.
    pub fn line(&self, text: String) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => self.common.say(text),
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Watch for Progress<'_> {
    fn step(&mut self, step: u64, means: &Means) {
        self.advance(step, format_args!("{means}  "));
    }

    fn validated(&mut self, step: u64, validation: &Validation, best: bool) {
        if step == 0 {
            self.first_loss = Some(validation.loss);
        }
        let told = in_words(validation, best, self.first_loss);
        self.line(format!("step {step}  {told}"));
    }

    fn warn(&mut self, problem: &Error) {
        self.line(format!("warning: {problem}"));
    }
}

/// What is measured of held-out pairs, and what is wrong with it: overlap below that of unregistered pairs, which may be so early
/// in a healthy run, or a loss above the first.
fn in_words(validation: &Validation, best: bool, first_loss: Option<f64>) -> String {
    let Validation {
        loss,
        folded_percent,
        ..
    } = *validation;
    let dice = validation.dice_before.zip(validation.dice);
    let overlap = dice.map_or(String::new(), |(before, after)| {
        format!("  Dice {before:.4} -> {after:.4}")
    });
    let below = dice.filter(|(before, after)| after < before);
    let below = below.map(|(before, _)| format!("  Dice below unregistered ({before:.3})"));
    let rose = first_loss.filter(|first| loss > *first).map(|first| {
        format!(
            "  loss above the first ({first:.5}): train.lr may be too high, or set train.clip_norm"
        )
    });
    let (below, rose) = (below.unwrap_or_default(), rose.unwrap_or_default());
    let best = if best { "  best" } else { "" };
    format!("validation loss {loss:.5}{overlap}  folded {folded_percent:.3} %{best}{below}{rose}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_comes_only_where_the_loss_rose() {
        let told = |loss, dice: Option<f64>, first| {
            let validation = Validation {
                loss,
                dice_before: dice.and(Some(0.64)),
                dice,
                folded_percent: 0.0,
            };
            in_words(&validation, true, first)
        };
        let healthy = told(0.5, Some(0.63), Some(0.6));
        assert!(
            healthy.ends_with("  Dice below unregistered (0.640)"),
            "{healthy}"
        );
        let diverging = told(0.7, Some(0.63), Some(0.6));
        for part in [
            "Dice below unregistered (0.640)",
            "loss above the first (0.60000): train.lr",
        ] {
            assert!(diverging.contains(part), "{diverging}");
        }
        assert!(told(0.7, None, Some(0.6)).contains("loss above the first"));
        // A process that goes on does not know the first loss.
        for fine in [told(0.7, None, None), told(0.5, Some(0.65), Some(0.6))] {
            assert!(fine.ends_with("folded 0.000 %  best"), "{fine}");
        }
    }
}
