//! One optimiser step.

use std::time::Instant;

use burn::optim::GradientsParams;
use burn::tensor::Device;

use super::feed::Ready;
use super::{
    Activations, Adam, BatchTensors, ItemWeights, Means, Objective, Outcome, Session, gradients,
    objective,
};
use crate::dataset::{Batch, Kind, Mode};
use crate::error::{Error, Result};
use crate::model::{Model, Prediction};

/// A model in training, and its optimiser.
pub(super) struct Trainee {
    /// On a device with automatic differentiation.
    pub model: Model,
    pub adam: Adam,
}

impl Trainee {
    /// # Errors
    /// Patterns of `train.freeze` that match no parameter, or all.
    pub fn new(model: Model, session: &Session) -> Result<Self> {
        let adam = Adam::of_run(&model, &session.config.train)?;
        Ok(Self {
            model: adam.freeze(model),
            adam,
        })
    }

    /// Forward, backward, update; the values of the step go to `means`. What is to be done `meanwhile` begins when all this
    /// has been launched, and before a GPU is waited for.
    ///
    /// # Errors
    /// A loss or gradient that is not finite; a batch that no term of the loss applies to.
    pub fn step(
        &mut self,
        session: &Session,
        Ready { batch, images }: Ready,
        lr: f64,
        means: &mut Means,
        meanwhile: impl FnOnce(),
    ) -> Result<()> {
        let place = format!("step {}", batch.number + 1);
        let (judged, gradients) = self.differentiate(session, &batch, images, &place)?;
        let (model, norm) = self.adam.step(self.model.clone(), gradients, lr);
        meanwhile();
        let outcome = judged.read(Some(norm), &place, &batch)?;
        self.model = model;
        means.add("lr", lr);
        note(&outcome, &batch, means);
        Ok(())
    }

    /// The loss, and the gradients of its total.
    fn differentiate(
        &self,
        session: &Session,
        batch: &Batch,
        images: Option<BatchTensors>,
        place: &str,
    ) -> Result<(Objective, GradientsParams)> {
        let mixture = &session.config.mixture;
        let weights = match mixture.mode {
            Mode::Sample => ItemWeights::mean(batch),
            Mode::Weighted => {
                let synthetic = mixture.synthetic_weight(batch.number);
                ItemWeights::by_kind(batch, synthetic)
            }
        };
        let work = |device: &Device, model: &Model, part: &Batch| {
            let images = session.tensors(part, device)?;
            Ok(differentiate(session, model, part, images, weights))
        };
        let found = match (&session.others, images) {
            (Some(others), _) => others.share(&session.device, &self.model, batch, work)?,
            (None, Some(images)) => differentiate(session, &self.model, batch, images, weights),
            (None, None) => work(&session.device, &self.model, batch)?,
        };
        found.ok_or_else(|| {
            Error::invalid(format!(
                "{place}: no term of the loss applies to {}; give these items a term, or labels if it needs them",
                batch.pair_names()
            ))
        })
    }
}

/// The loss over the items of `batch`, and the gradients of its total; `None` where no term applies to any of them.
///
/// The images are constants: only what meets the parameters is differentiated.
fn differentiate(
    session: &Session,
    model: &Model,
    batch: &Batch,
    mut images: BatchTensors,
    weights: ItemWeights,
) -> Option<(Objective, GradientsParams)> {
    let config = &session.config;
    images.choose_labels(batch, &config.loss, session.pairs_seed);
    let images = &images;
    let judge = |prediction: &Prediction| {
        let judged = objective(&config.loss, model, batch, images, prediction, weights);
        (!judged.is_empty()).then_some(judged).ok_or(())
    };
    let activations = Activations::of_run(&config.train);
    gradients(model, images, activations, judge).ok()
}

/// Terms weigh by their items, so that means over steps are means over items.
fn note(outcome: &Outcome, batch: &Batch, means: &mut Means) {
    means.add("total", outcome.total);
    if let Some(norm) = outcome.gradient_norm {
        means.add("gradient_norm", norm);
    }
    for (name, term) in &outcome.terms {
        means.add_weighted(name, term.mean, term.items as f64);
    }
    for kind in Kind::ALL {
        let items = batch.kinds.iter().filter(|k| **k == kind).count();
        means.add(&format!("{}/items", kind.name()), items as f64);
    }
}

/// Median seconds of a training step, from `count` steps whose result is thrown away.
///
/// # Errors
/// Those of a step.
pub fn time_steps(session: &Session, count: usize) -> Result<f64> {
    let device = session.device.clone().autodiff();
    let mut trainee = Trainee::new(session.model(&device)?, session)?;
    let mut seconds = Vec::new();
    // The first step also pays for starting up.
    for number in 0..=count as u64 {
        let ready = Ready {
            batch: session.sampler.batch(number)?,
            images: None,
        };
        let started = Instant::now();
        trainee.step(session, ready, 0.0, &mut Means::default(), || ())?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    let measured = &mut seconds[1..];
    measured.sort_by(f64::total_cmp);
    Ok(measured[measured.len() / 2])
}
