//! The gradients of a step: in one pass, with activations in 16 bits, or with gradient checkpointing.
//!
//! Checkpointing (Chen et al., 2016) makes activations again in the backward pass instead of keeping them. Most of what
//! a registration network keeps are its features at full resolution. So it is cut after its last skip connection. The
//! body before the cut runs twice; the head behind it runs slab by slab, each with the margin that its convolutions
//! read, so that the features of one slab of one pair exist at a time. The gradients are those of the plain pass but
//! for the order of sums.

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Gradients, Tensor};

use super::outcome::undecorated;
use super::precision::{Scaled, narrowed, widened};
use super::slabs::slabs;
use super::{BatchTensors, Objective, TrainConfig};
use crate::model::{Joint, Model, Prediction};
use crate::ops::seed;

/// How the activations of the network are kept for the backward pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct Activations {
    /// Made again instead: gradient checkpointing.
    pub made_again: bool,
    /// In 16-bit floats: mixed precision.
    pub half: bool,
}

impl Activations {
    /// As the settings of a run say.
    pub fn of_run(config: &TrainConfig) -> Self {
        Self {
            made_again: config.gradient_checkpointing,
            half: config.mixed_precision,
        }
    }
}

/// What `judge` says about the prediction, and the gradients of its total with respect to the parameters.
///
/// # Errors
/// Those of `judge`.
pub fn gradients<E>(
    model: &Model,
    images: &BatchTensors,
    activations: Activations,
    judge: impl FnOnce(&Prediction) -> Result<Objective, E>,
) -> Result<(Objective, GradientsParams), E> {
    let half = activations.half;
    if activations.made_again {
        checkpointed(model, images, half, judge)
    } else if half {
        mixed(model, images, judge)
    } else {
        let judged = judge(&model.forward(images.moving.clone(), images.fixed.clone()))?;
        let gradients = GradientsParams::from_grads(judged.total.backward(), model);
        Ok((judged, gradients))
    }
}

/// [`gradients`] through a network in 16 bits. It is cut behind the network, so that the gradient that enters it can be
/// scaled.
fn mixed<E>(
    model: &Model,
    images: &BatchTensors,
    judge: impl FnOnce(&Prediction) -> Result<Objective, E>,
) -> Result<(Objective, GradientsParams), E> {
    let field = widened(model.head(body(model, images, true)));
    let (judged, upstream) = judged(model, images, undecorated(field.clone()), judge)?;
    let scaled = Scaled::new(upstream, model);
    let start = seed(field, scaled.gradient.clone());
    let gradients = GradientsParams::from_grads(start.backward(), model);
    Ok((judged, scaled.undo(model, gradients)))
}

/// [`gradients`] with checkpointing: less memory, more time, the same but for the order of sums.
fn checkpointed<E>(
    model: &Model,
    images: &BatchTensors,
    half: bool,
    judge: impl FnOnce(&Prediction) -> Result<Objective, E>,
) -> Result<(Objective, GradientsParams), E> {
    let plain = model.clone().valid();
    let fields = images
        .items()
        .map(|item| predicted_field(&plain, &item, half));
    let field = Tensor::cat(fields.collect(), 0);
    let (judged, upstream) = judged(model, images, field, judge)?;
    let scaled = half.then(|| Scaled::new(upstream.clone(), model));
    let upstream = scaled.as_ref().map_or(upstream, |s| s.gradient.clone());

    let mut sums = Sums::default();
    for (item, upstream) in images.items().zip(upstream.chunk(images.len(), 0)) {
        let joint = body(model, &item, half);
        let features = Joint {
            low: undecorated(joint.low.clone()),
            skip: joint.skip.clone().map(undecorated),
        };
        let upstream = head_gradients(model, &features, &upstream, &mut sums);
        let start = seeds(joint, upstream);
        // A frozen body has no gradients.
        if start.is_tracked() {
            sums.add(model, start.backward());
        }
    }
    let gradients = sums.0.grads();
    Ok((
        judged,
        match scaled {
            Some(scaled) => scaled.undo(model, gradients),
            None => gradients,
        },
    ))
}

/// What `judge` says about a predicted field, and the gradient of its total with respect to it.
fn judged<E>(
    model: &Model,
    images: &BatchTensors,
    field: Tensor<5>,
    judge: impl FnOnce(&Prediction) -> Result<Objective, E>,
) -> Result<(Objective, Tensor<5>), E> {
    let field = Tensor::from_inner(field).require_grad();
    let (moving, fixed) = (images.moving.clone(), images.fixed.clone());
    let judged = judge(&model.predict(field.clone(), moving, fixed))?;
    let upstream = grad(&field, &judged.total.backward());
    Ok((judged, upstream))
}

/// The first part of the network, in 16 bits if it says so.
fn body(model: &Model, images: &BatchTensors, half: bool) -> Joint {
    let stored = |image: &Tensor<5>| match half {
        true => narrowed(image.clone()),
        false => image.clone(),
    };
    model.body(stored(&images.moving), stored(&images.fixed))
}

/// The field that the network predicts for one pair, without any gradient.
fn predicted_field(model: &Model, images: &BatchTensors, half: bool) -> Tensor<5> {
    let joint = body(model, images, half);
    let slabs = slabs(&joint, model.head_reach());
    let parts = slabs
        .iter()
        .map(|slab| widened(slab.head(model, slab.cut(&joint))))
        .collect();
    Tensor::cat(parts, slabs[0].axis)
}

/// Gradients of the parameters, summed over the parts of the network.
#[derive(Default)]
struct Sums(GradientsAccumulator<Model>);

impl Sums {
    fn add(&mut self, model: &Model, part: Gradients) {
        let part = GradientsParams::from_grads(part, model);
        self.0.accumulate(model, part);
    }
}

/// The gradients of the features that enter the head, from those of the field that leaves it; those of the head's
/// parameters go to `sums`.
fn head_gradients(model: &Model, joint: &Joint, upstream: &Tensor<5>, sums: &mut Sums) -> Joint {
    let mut low = joint.low.zeros_like();
    let mut skip = joint.skip.as_ref().map(Tensor::zeros_like);
    for slab in slabs(joint, model.head_reach()) {
        let cut = slab.cut(joint);
        let cut = Joint {
            low: Tensor::from_inner(cut.low).require_grad(),
            skip: cut.skip.map(|skip| Tensor::from_inner(skip).require_grad()),
        };
        let wanted = upstream.clone().slice_dim(slab.axis, slab.planes.clone());
        let field = widened(slab.head(model, cut.clone()));
        let gradients = seed(field, wanted).backward();
        low = slab.add(low, slab.low_reach(joint), grad(&cut.low, &gradients));
        if let Some((whole, cut)) = skip.take().zip(cut.skip) {
            skip = Some(slab.add(whole, slab.reach.clone(), grad(&cut, &gradients)));
        }
        sums.add(model, gradients);
    }
    Joint { low, skip }
}

fn grad(leaf: &Tensor<5>, gradients: &Gradients) -> Tensor<5> {
    leaf.grad(gradients)
        .expect("every feature and every field takes part in the total")
}

/// The scalar whose gradient with respect to the features is `upstream`.
fn seeds(joint: Joint, upstream: Joint) -> Tensor<1> {
    let low = seed(joint.low, upstream.low);
    match joint.skip.zip(upstream.skip) {
        Some((skip, upstream)) => low + seed(skip, upstream),
        None => low,
    }
}
