//! The cells of a study as runs.

use std::path::{Path, PathBuf};

use super::folds::fold_file;
use super::{Paradigm, StudyConfig};
use crate::config::{LabelOrigin, RunConfig};
use crate::dataset::{Alpha, MixtureConfig, Mode, Ramp};
use crate::error::{Error, Result};

/// What sets a cell apart from others of the same seed and fold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arm {
    pub paradigm: Paradigm,
    /// Real training subjects asked for; `None` for all of them (`real`) or no matter (`synthetic`).
    pub n: Option<usize>,
    /// Share of real pairs in the last part of training.
    pub alpha: f64,
}

/// A run on synthetic images that cells start from.
#[derive(Debug, Clone, PartialEq)]
pub struct Pretraining {
    pub name: String,
    pub settings: RunConfig,
}

/// One cell: a run, and what it is measured for.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub name: String,
    pub arm: Arm,
    pub seed: u64,
    pub fold: usize,
    /// Number of its pretraining in the plan.
    pub pretraining: Option<usize>,
    pub settings: RunConfig,
}

/// What sets the seed of a pretraining off from that of its cells, so that nothing random is alike in both. (The pairs of a run
/// from weights have a seed of their own in any case.)
const PRETRAINING_SEED: u64 = 1 << 32;

/// The runs of a study: pretrainings, then cells that may start from them.
///
/// `folder` holds the manifests of the folds. All cells have the same number of steps, that of their pretraining
/// included.
///
/// # Errors
/// Settings that make no run.
pub fn plan(study: &StudyConfig, folder: &Path) -> Result<(Vec<Pretraining>, Vec<Job>)> {
    study.validate()?;
    let base = study.base()?;
    let (first, rest) = phases(study, &base)?;
    let mut pretrainings: Vec<Pretraining> = Vec::new();
    let mut jobs = Vec::new();
    for &seed in &study.seeds {
        for fold in 0..study.folds {
            for arm in arms(study) {
                let here = Place { seed, fold, arm };
                let pretraining = match arm.paradigm {
                    Paradigm::Transfer | Paradigm::Weighted => {
                        let wanted = here.pretraining(study, &base, folder, first)?;
                        let known = pretrainings.iter().position(|one| one.name == wanted.name);
                        Some(known.unwrap_or_else(|| {
                            pretrainings.push(wanted);
                            pretrainings.len() - 1
                        }))
                    }
                    Paradigm::Real | Paradigm::Synthetic | Paradigm::FewShot => None,
                };
                let epochs = if pretraining.is_some() {
                    rest
                } else {
                    first + rest
                };
                jobs.push(Job {
                    name: here.name(),
                    arm,
                    seed,
                    fold,
                    pretraining,
                    settings: here.settings(study, &base, folder, epochs)?,
                });
            }
        }
    }
    Ok((pretrainings, jobs))
}

/// Epochs on synthetic images before transfer, and after.
fn phases(study: &StudyConfig, base: &RunConfig) -> Result<(usize, usize)> {
    let epochs = base.train.epochs;
    let first = (epochs as f64 * study.pretrain_share).round() as usize;
    if first == 0 || first >= epochs {
        return Err(Error::invalid(format!(
            "study: {epochs} epochs cannot be divided by pretrain_share = {}; use more epochs of fewer steps",
            study.pretrain_share
        )));
    }
    Ok((first, epochs - first))
}

/// Every arm once: the paradigms, those of a few subjects with each number of them, weighted transfer also with each alpha.
fn arms(study: &StudyConfig) -> Vec<Arm> {
    let mut arms = Vec::new();
    for &paradigm in &study.paradigms {
        match paradigm {
            Paradigm::Real => arms.push(Arm {
                paradigm,
                n: None,
                alpha: 1.0,
            }),
            Paradigm::Synthetic => arms.push(Arm {
                paradigm,
                n: None,
                alpha: 0.0,
            }),
            Paradigm::FewShot | Paradigm::Transfer => {
                let arm = |&n| Arm {
                    paradigm,
                    n: Some(n),
                    alpha: 1.0,
                };
                arms.extend(study.n.iter().map(arm));
            }
            Paradigm::Weighted => {
                for &n in &study.n {
                    let arm = |&alpha| Arm {
                        paradigm,
                        n: Some(n),
                        alpha,
                    };
                    arms.extend(study.alphas.iter().map(arm));
                }
            }
        }
    }
    arms
}

/// A point of the grid.
struct Place {
    seed: u64,
    fold: usize,
    arm: Arm,
}

impl Place {
    fn name(&self) -> String {
        let n = match self.arm.n {
            Some(n) => format!("_n{n}"),
            None => String::new(),
        };
        let alpha = match self.arm.paradigm {
            Paradigm::Weighted => format!("_a{}", self.arm.alpha),
            _ => String::new(),
        };
        format!(
            "{}{n}{alpha}_seed{}_fold{}",
            self.arm.paradigm.name(),
            self.seed,
            self.fold
        )
    }

    /// The run on synthetic images; random shapes are the same whatever the fold and the subjects.
    fn pretraining(
        &self,
        study: &StudyConfig,
        base: &RunConfig,
        folder: &Path,
        epochs: usize,
    ) -> Result<Pretraining> {
        let of_subjects = base.synth_labels.source == LabelOrigin::Data;
        let place = match of_subjects {
            true => format!("_n{}_fold{}", self.arm.n.unwrap_or_default(), self.fold),
            false => String::new(),
        };
        let arm = Arm {
            paradigm: Paradigm::Synthetic,
            n: self.arm.n.filter(|_| of_subjects),
            alpha: 0.0,
        };
        let fold = if of_subjects { self.fold } else { 0 };
        let settings = Self {
            arm,
            fold,
            seed: self.seed,
        }
        .settings(study, base, folder, epochs)?;
        Ok(Pretraining {
            name: format!("pretraining{place}_seed{}", self.seed),
            settings: RunConfig {
                seed: self.seed ^ PRETRAINING_SEED,
                ..settings
            },
        })
    }

    fn settings(
        &self,
        study: &StudyConfig,
        base: &RunConfig,
        folder: &Path,
        epochs: usize,
    ) -> Result<RunConfig> {
        let mut run = base.clone();
        run.seed = self.seed;
        run.train.epochs = epochs;
        let alpha = self.arm.alpha;
        let schedule = match (study.alpha_from, self.arm.paradigm) {
            (Some(from), Paradigm::Weighted) => Alpha::Linear(Ramp {
                from,
                to: alpha,
                steps: run.train.steps(),
            }),
            _ => Alpha::Constant(alpha),
        };
        run.mixture = MixtureConfig {
            alpha: schedule,
            mode: if alpha > 0.0 {
                base.mixture.mode
            } else {
                Mode::Sample
            },
        };
        if alpha == 1.0 {
            run.synth = None;
        }
        run.drop_idle_terms();
        if let Some(data) = &mut run.data {
            data.n_train = self.arm.n;
            if study.folds > 1 {
                let manifest: PathBuf = fold_file(folder, self.fold);
                data.manifest = Some(manifest);
                data.images = None;
                data.labels = None;
            }
        }
        run.validate()?;
        Ok(run)
    }
}
