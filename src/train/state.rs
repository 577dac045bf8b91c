//! Where a run stands, and what is due there.

use serde::{Deserialize, Serialize};

use super::{Ending, Means, TrainConfig};

/// Where a run stands. The sampler's whole state is the number of the next batch, which is the step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunState {
    /// Optimiser steps done.
    pub step: u64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Best validation score so far, larger is better.
    pub best: Option<f64>,
    pub best_step: u64,
    /// Validations since then.
    pub since_best: usize,
    /// Step of the last validation.
    pub validated: Option<u64>,
    /// Checksum of the weights that the run began with, if they were given.
    pub start: Option<u32>,
    /// Values since the last row of the log.
    pub means: Means,
}

impl RunState {
    /// Notes a validation score at this step; whether it is the best so far.
    pub fn record(&mut self, score: f64) -> bool {
        let best = self.best.is_none_or(|b| score > b);
        if best {
            self.best = Some(score);
            self.best_step = self.step;
            self.since_best = 0;
        } else {
            self.since_best += 1;
        }
        best
    }

    /// Whether the run is here to be validated: before the first step, every few epochs, at the end.
    pub fn validation_due(&self, config: &TrainConfig) -> bool {
        let here = self.step == 0 || self.at(config, config.validate_every);
        here && self.validated != Some(self.step)
    }

    /// Whether a checkpoint belongs here: every few epochs, at a new best, at the end.
    pub fn checkpoint_due(&self, config: &TrainConfig) -> bool {
        let new_best = self.best.is_some() && self.best_step == self.step;
        self.step > 0 && (new_best || self.at(config, config.checkpoint_every))
    }

    /// How the run came to its end, if nothing is left to do; `validates` says whether it has held-out pairs.
    pub fn ending(&self, config: &TrainConfig, validates: bool) -> Option<Ending> {
        if self.step >= config.steps() && !(validates && self.validation_due(config)) {
            Some(Ending::Complete)
        } else if self.out_of_patience(config) {
            Some(Ending::EarlyStop)
        } else {
            None
        }
    }

    /// Whether no better validation came for as long as `patience` says.
    fn out_of_patience(&self, config: &TrainConfig) -> bool {
        config.patience > 0 && self.since_best >= config.patience
    }

    fn at(&self, config: &TrainConfig, epochs: usize) -> bool {
        let steps = (epochs * config.steps_per_epoch) as u64;
        self.step >= config.steps() || self.step.is_multiple_of(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> TrainConfig {
        TrainConfig {
            epochs: 7,
            steps_per_epoch: 10,
            validate_every: 2,
            checkpoint_every: 3,
            patience: 2,
            ..TrainConfig::default()
        }
    }

    /// Steps 0..=70 for which `due` holds.
    fn steps(due: impl Fn(&RunState) -> bool) -> Vec<u64> {
        let state = |step| RunState {
            step,
            ..RunState::default()
        };
        (0..=70).filter(|&step| due(&state(step))).collect()
    }

    #[test]
    fn validations_and_checkpoints_come_at_their_epochs_and_at_the_end() {
        let config = config();
        let validations = steps(|state| state.validation_due(&config));
        assert_eq!(validations, [0, 20, 40, 60, 70]);
        let checkpoints = steps(|state| state.checkpoint_due(&config));
        assert_eq!(checkpoints, [30, 60, 70]);
    }

    #[test]
    fn a_validation_is_done_once_and_a_new_best_is_kept() {
        let mut state = RunState {
            step: 20,
            ..RunState::default()
        };
        assert!(state.record(0.5));
        state.validated = Some(20);
        assert!(!state.validation_due(&config()) && state.checkpoint_due(&config()));
        state.step = 40;
        assert!(!state.record(0.5), "as good is not better");
        assert!(!state.out_of_patience(&config()));
        assert!(!state.record(0.4));
        assert!(state.out_of_patience(&config()));
        assert_eq!((state.best, state.best_step), (Some(0.5), 20));
    }

    #[test]
    fn a_run_is_over_when_it_is_validated_after_its_last_step() {
        let ending = |step, validated: Option<u64>| {
            let state = RunState {
                step,
                validated,
                ..RunState::default()
            };
            state.ending(&config(), validated.is_some())
        };
        assert_eq!(ending(60, Some(60)), None);
        // Interrupted in its last validation.
        assert_eq!(ending(70, Some(60)), None);
        assert_eq!(ending(70, Some(70)), Some(Ending::Complete));
        // Nothing validates.
        assert_eq!(ending(60, None), None);
        assert_eq!(ending(70, None), Some(Ending::Complete));
        let impatient = RunState {
            step: 40,
            validated: Some(40),
            since_best: 2,
            ..RunState::default()
        };
        assert_eq!(impatient.ending(&config(), true), Some(Ending::EarlyStop));
    }
}
