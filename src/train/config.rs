//! Settings of a training run.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How the learning rate changes over the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    #[default]
    Constant,
    /// Straight down to `lr_end`.
    Linear,
    /// Half a cosine down to `lr_end`.
    Cosine,
}

/// Where synthetic pairs are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SynthesisPlace {
    /// Where the network trains, if that is a GPU.
    #[default]
    Auto,
    /// By the threads that prepare batches.
    Host,
    /// On the device that trains.
    Device,
}

/// Settings of the training loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// With more of them a finished run goes on, if its schedule is `constant`.
    pub epochs: usize,
    /// Optimiser steps of one epoch; an epoch is only a unit of reporting, validation and checkpoints.
    pub steps_per_epoch: usize,
    /// Pairs a step.
    pub batch: usize,
    /// Learning rate of Adam.
    pub lr: f64,
    pub schedule: Schedule,
    /// Learning rate at the end of a `linear` or `cosine` schedule.
    pub lr_end: f64,
    /// Steps over which the learning rate rises from 0 to `lr`, where the schedule begins; fewer than all.
    pub warmup: usize,
    /// Decoupled weight decay (AdamW, Loshchilov & Hutter, 2019); 0 is plain Adam.
    pub weight_decay: f64,
    /// Largest norm of all gradients together; 0 never clips.
    pub clip_norm: f64,
    /// Makes the network's activations again in the backward pass instead of keeping them: a third (batch of 4) to two thirds
    /// (batch of 1) of the memory, steps twice as long, gradients that differ by the order of sums.
    pub gradient_checkpointing: bool,
    /// Keeps the network's activations, up to the field it predicts, in 16-bit floats, which halves their memory on a GPU; weights,
    /// transforms and losses stay in 32. On a CPU it only shows what the rounding does: slower, no less memory.
    pub mixed_precision: bool,
    /// Held-out pairs measured at each validation; 0 skips validation.
    pub validation_pairs: usize,
    /// Epochs between validations.
    pub validate_every: usize,
    /// Epochs between checkpoints.
    pub checkpoint_every: usize,
    /// Validations without a better result before the run stops early; 0 never stops early.
    pub patience: usize,
    /// Steps between rows of `metrics.csv`; their values are means over those steps. The last row is of what is left of the run.
    pub log_every: usize,
    /// Threads that prepare batches ahead; 0 prepares them in the training thread. By default one beside a CPU that
    /// trains, beside a GPU all but one, or one where the GPU makes all pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<usize>,
    /// Where synthetic pairs are made: `"auto"` (default) on the device where that is a GPU; `"host"` by the workers;
    /// `"device"`. Seeds mean the same shapes, deformations and contrasts everywhere; the noise of single voxels is another
    /// sample of the same distribution on the device.
    pub synthesis: SynthesisPlace,
    /// Parameters that `finetune` keeps as they are: regular expressions on names such as `encoder.0.weight` or `flow.bias`.
    pub freeze: Vec<String>,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 100,
            steps_per_epoch: 100,
            batch: 1,
            lr: 1e-4,
            schedule: Schedule::Constant,
            lr_end: 0.0,
            warmup: 0,
            weight_decay: 0.0,
            clip_norm: 0.0,
            gradient_checkpointing: false,
            mixed_precision: false,
            validation_pairs: 20,
            validate_every: 5,
            checkpoint_every: 5,
            patience: 0,
            log_every: 10,
            workers: None,
            synthesis: SynthesisPlace::Auto,
            freeze: Vec::new(),
        }
    }
}

impl TrainConfig {
    /// No run uses as many pairs.
    pub(super) const MOST_PAIRS: u64 = 1 << 48;

    /// Refuses settings that no run can follow.
    pub fn validate(&self) -> Result<()> {
        let counts = [
            ("epochs", self.epochs),
            ("steps_per_epoch", self.steps_per_epoch),
            ("batch", self.batch),
            ("validate_every", self.validate_every),
            ("checkpoint_every", self.checkpoint_every),
            ("log_every", self.log_every),
        ];
        for (name, value) in counts {
            if value == 0 {
                return Err(Error::invalid(format!(
                    "[train] {name} is 0; expected at least 1"
                )));
            }
        }
        let pairs = [self.epochs, self.steps_per_epoch, self.batch]
            .into_iter()
            .try_fold(1, |product: u64, n| product.checked_mul(n as u64));
        if pairs.is_none_or(|pairs| pairs >= Self::MOST_PAIRS) {
            return Err(Error::invalid(
                "[train] epochs x steps_per_epoch x batch is beyond any run; expected less than 2^48 pairs",
            ));
        }
        self.check_rates()
    }

    /// The part of [`Self::validate`] that is about the learning rate and other real numbers.
    fn check_rates(&self) -> Result<()> {
        let rates = [
            ("lr_end", self.lr_end),
            ("weight_decay", self.weight_decay),
            ("clip_norm", self.clip_norm),
        ];
        for (name, value) in rates {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::invalid(format!(
                    "[train] {name} is {value}; expected a number >= 0"
                )));
            }
        }
        if !(self.lr.is_finite() && self.lr > 0.0) {
            return Err(Error::invalid(format!(
                "[train] lr is {}; expected a number above 0",
                self.lr
            )));
        }
        if self.warmup as u64 >= self.steps() {
            return Err(Error::invalid(format!(
                "[train] warmup is {}; expected less than the {} steps of the run (epochs x steps_per_epoch)",
                self.warmup,
                self.steps()
            )));
        }
        Ok(())
    }

    /// Optimiser steps of the whole run.
    pub fn steps(&self) -> u64 {
        // Settings that are yet to be checked may have any size.
        (self.epochs as u64).saturating_mul(self.steps_per_epoch as u64)
    }

    /// Learning rate of step `step`, counted from 0.
    pub fn lr_at(&self, step: u64) -> f64 {
        let warmup = self.warmup as u64;
        if step < warmup {
            return self.lr * (step + 1) as f64 / warmup as f64;
        }
        // Counted from the end of the warm-up, so that the rate does not jump there.
        let done = (step - warmup) as f64 / (self.steps() - warmup) as f64;
        let left = match self.schedule {
            Schedule::Constant => return self.lr,
            Schedule::Linear => 1.0 - done,
            Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
        };
        self.lr_end + (self.lr - self.lr_end) * left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_start_at_lr_and_end_at_lr_end() {
        for schedule in [Schedule::Linear, Schedule::Cosine] {
            let config = TrainConfig {
                epochs: 10,
                lr: 1e-3,
                lr_end: 1e-5,
                schedule,
                ..Default::default()
            };
            assert_eq!(config.lr_at(0), 1e-3);
            assert!((config.lr_at(config.steps()) - 1e-5).abs() < 1e-12);
            // Half way, both are half way between the two rates.
            assert!((config.lr_at(config.steps() / 2) - 0.5 * (1e-3 + 1e-5)).abs() < 1e-9);
        }
    }

    #[test]
    fn a_schedule_begins_where_the_warmup_ends() {
        for schedule in [Schedule::Linear, Schedule::Cosine] {
            let config = TrainConfig {
                epochs: 1,
                steps_per_epoch: 100,
                warmup: 20,
                lr: 1e-3,
                lr_end: 1e-5,
                schedule,
                ..Default::default()
            };
            assert_eq!([19, 20].map(|step| config.lr_at(step)), [1e-3; 2]);
            assert!((config.lr_at(60) - 0.5 * (1e-3 + 1e-5)).abs() < 1e-9);
            assert!((config.lr_at(100) - 1e-5).abs() < 1e-12);
        }
    }

    #[test]
    fn a_warmup_ends_before_the_run() {
        let problem = |warmup| {
            let config = TrainConfig {
                epochs: 2,
                steps_per_epoch: 5,
                warmup,
                ..Default::default()
            };
            config.validate().err().map(|error| error.to_string())
        };
        assert_eq!(problem(9), None);
        let text = problem(10).unwrap();
        assert!(
            text.contains("warmup is 10; expected less than the 10 steps"),
            "{text}"
        );
    }

    #[test]
    fn warmup_rises_in_equal_steps() {
        let config = TrainConfig {
            warmup: 4,
            lr: 1.0,
            ..Default::default()
        };
        let rates: Vec<f64> = (0..5).map(|s| config.lr_at(s)).collect();
        assert_eq!(rates, [0.25, 0.5, 0.75, 1.0, 1.0]);
    }
}
