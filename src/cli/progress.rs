//! Shows a training run: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::train::{Means, Session, Validation, Watch};

/// Time between plain lines.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// The progress of one run.
pub struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    steps: u64,
    started: Instant,
    first_step: u64,
    last_line: Instant,
}

impl Progress {
    /// Progress from step `resumed` on.
    pub fn new(session: &Session, quiet: bool, resumed: Option<u64>) -> Self {
        let steps = session.config.train.steps();
        let first_step = resumed.unwrap_or(0);
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(steps).with_position(first_step);
            let template = "{bar:30} {pos}/{len}  {msg}  left {eta}";
            bar.set_style(ProgressStyle::with_template(template).expect("a fixed template"));
            bar
        });
        Self {
            bar,
            quiet,
            steps,
            started: Instant::now(),
            first_step,
            last_line: Instant::now(),
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn seconds_per_step(&self, step: u64) -> f64 {
        self.started.elapsed().as_secs_f64() / (step - self.first_step).max(1) as f64
    }

    fn line(&self, text: String) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None if !self.quiet => println!("{text}"),
            None => {}
        }
    }
}

impl Watch for Progress {
    fn step(&mut self, step: u64, means: &Means) {
        let per_step = self.seconds_per_step(step);
        let text = format!("{means}  {per_step:.3} s/step");
        if let Some(bar) = &self.bar {
            bar.set_position(step);
            bar.set_message(text);
        } else if self.last_line.elapsed() >= LINE_EVERY || step == self.steps {
            let left = per_step * (self.steps - step) as f64;
            self.line(format!(
                "step {step}/{}  {text}  left {left:.0} s",
                self.steps
            ));
            self.last_line = Instant::now();
        }
    }

    fn validated(&mut self, step: u64, validation: &Validation, best: bool) {
        let dice = match (validation.dice_before, validation.dice) {
            (Some(before), Some(after)) => format!("  Dice {before:.4} -> {after:.4}"),
            _ => String::new(),
        };
        self.line(format!(
            "step {step}  validation loss {:.5}{dice}  folded {:.3} %{}",
            validation.loss,
            validation.folded_percent,
            if best { "  best" } else { "" }
        ));
    }
}
