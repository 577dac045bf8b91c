//! Mixed precision: a network in 16-bit floats, whose weights, losses and gradients of weights are of 32 (Micikevicius et
//! al., ICLR 2018).
//!
//! Half precision has five bits of exponent, and the gradient of a mean over millions of voxels would be lost in it. So the
//! gradient that enters the network is scaled, anew in each step, by what brings its largest value to the same size; the
//! weights' gradients are divided by that in the end. No step is ever skipped, as it would be with a scale that is tried out.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Tensor};

use super::outcome::undecorated;
use crate::model::Model;

/// The largest value of a gradient behind the last layer: a thousandth of what 16 bits can hold, since it may grow on the way
/// through the others.
const LARGEST: f32 = 64.0;
/// The largest before the last layer, whose weights are small at first.
const LARGEST_OF_FIELD: f32 = 16384.0;
/// Smaller gradients are none, and would be scaled to infinity.
const SMALLEST: f32 = 1e-30;

pub(super) fn narrowed(x: Tensor<5>) -> Tensor<5> {
    x.cast(DType::F16)
}

pub(super) fn widened(x: Tensor<5>) -> Tensor<5> {
    x.cast(DType::F32)
}

/// A gradient that 16 bits can hold.
pub(super) struct Scaled {
    pub gradient: Tensor<5>,
    /// By what it was multiplied, `[1]`; it never comes to the host.
    by: Tensor<1>,
}

impl Scaled {
    /// Of the field that the model predicts.
    pub fn new(gradient: Tensor<5>, model: &Model) -> Self {
        // Axis by axis: no reduction is over many values.
        let largest = (0..5).fold(gradient.clone().abs(), |rest, axis| rest.max_dim(axis));
        let weights = undecorated(model.flow.weight.val()).abs();
        // The most that the last layer makes of a gradient of 1 everywhere.
        let gain = [0, 2, 3, 4]
            .into_iter()
            .fold(weights, |rest, axis| rest.sum_dim(axis));
        let gain = gain.max_dim(1).clamp_min(SMALLEST);
        let wanted = (gain.recip() * LARGEST).clamp(LARGEST, LARGEST_OF_FIELD);
        let by = wanted / largest.clamp_min(SMALLEST);
        Self {
            gradient: gradient * by.clone(),
            by: by.reshape([1]),
        }
    }

    /// The gradients of the parameters as they are without the scale.
    pub fn undo(&self, model: &Model, gradients: GradientsParams) -> GradientsParams {
        let mut undo = Undo {
            gradients,
            by: &self.by,
        };
        model.visit(&mut undo);
        undo.gradients
    }
}

struct Undo<'a> {
    gradients: GradientsParams,
    by: &'a Tensor<1>,
}

impl ModuleVisitor for Undo<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            let by = self.by.clone().reshape([1; D]);
            self.gradients.register(param.id, gradient / by);
        }
    }
}
