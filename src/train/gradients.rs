//! The gradients of a step, in one pass or with gradient checkpointing.
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
use super::slabs::slabs;
use super::{BatchTensors, Objective};
use crate::model::{Joint, Model, Prediction};

/// What `judge` says about the prediction, and the gradients of its total with respect to the parameters.
///
/// # Errors
/// Those of `judge`.
pub fn gradients<E>(
    model: &Model,
    images: &BatchTensors,
    judge: impl FnOnce(&Prediction) -> Result<Objective, E>,
) -> Result<(Objective, GradientsParams), E> {
    let judged = judge(&model.forward(images.moving.clone(), images.fixed.clone()))?;
    let gradients = GradientsParams::from_grads(judged.total.backward(), model);
    Ok((judged, gradients))
}

/// [`gradients`] with checkpointing: less memory, more time, the same but for the order of sums.
///
/// # Errors
/// Those of `judge`.
pub fn checkpointed_gradients<E>(
    model: &Model,
    images: &BatchTensors,
    judge: impl FnOnce(&Prediction) -> Result<Objective, E>,
) -> Result<(Objective, GradientsParams), E> {
    let plain = model.clone().valid();
    let fields = images.items().map(|item| predicted_field(&plain, item));
    let field = Tensor::from_inner(Tensor::cat(fields.collect(), 0)).require_grad();
    let (moving, fixed) = (images.moving.clone(), images.fixed.clone());
    let judged = judge(&model.predict(field.clone(), moving, fixed))?;
    let upstream = grad(&field, &judged.total.backward());

    let mut sums = Sums::default();
    for (item, upstream) in images.items().zip(upstream.chunk(images.len(), 0)) {
        let joint = model.body(item.moving, item.fixed);
        let features = Joint {
            low: undecorated(joint.low.clone()),
            skip: joint.skip.clone().map(undecorated),
        };
        let upstream = head_gradients(model, &features, &upstream, &mut sums);
        let total = inner_product(joint, upstream);
        // A frozen body has no gradients.
        if total.is_tracked() {
            sums.add(model, total.backward());
        }
    }
    Ok((judged, sums.0.grads()))
}

/// The field that the network predicts for one pair, without any gradient.
fn predicted_field(model: &Model, images: BatchTensors) -> Tensor<5> {
    let joint = model.body(images.moving, images.fixed);
    let slabs = slabs(&joint, model.head_reach());
    let parts = slabs
        .iter()
        .map(|slab| slab.head(model, slab.cut(&joint)))
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
        let wanted = Tensor::from_inner(wanted);
        let gradients = (slab.head(model, cut.clone()) * wanted).sum().backward();
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
fn inner_product(joint: Joint, upstream: Joint) -> Tensor<1> {
    let product = |a: Tensor<5>, b| (a * Tensor::from_inner(b)).sum();
    let low = product(joint.low, upstream.low);
    match joint.skip.zip(upstream.skip) {
        Some((skip, upstream)) => low + product(skip, upstream),
        None => low,
    }
}
