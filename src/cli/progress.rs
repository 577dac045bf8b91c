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
    /// Of the first validation.
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

impl Progress<'_> {
    /// Whether held-out labels overlap less than unregistered; without labels, whether the loss is above the first one.
    fn is_worse_than_before(&mut self, validation: &Validation) -> bool {
        let first_loss = *self.first_loss.get_or_insert(validation.loss);
        match (validation.dice_before, validation.dice) {
            (Some(before), Some(after)) => after < before,
            _ => validation.loss > first_loss,
        }
    }
}

impl Watch for Progress<'_> {
    fn step(&mut self, step: u64, means: &Means) {
        self.advance(step, format_args!("{means}  "));
    }

    fn validated(&mut self, step: u64, validation: &Validation, best: bool) {
        let dice = match (validation.dice_before, validation.dice) {
            (Some(before), Some(after)) => format!("  Dice {before:.4} -> {after:.4}"),
            _ => String::new(),
        };
        let verdict = match (best, self.is_worse_than_before(validation)) {
            (_, true) => "  worse than before: train.lr may be too high, or set train.clip_norm",
            (true, _) => "  best",
            (false, _) => "",
        };
        self.line(format!(
            "step {step}  validation loss {:.5}{dice}  folded {:.3} %{verdict}",
            validation.loss, validation.folded_percent,
        ));
    }

    fn warn(&mut self, problem: &Error) {
        self.line(format!("warning: {problem}"));
    }
}
