//! The running average of the weights.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Tensor};

use crate::error::Result;
use crate::model::{Model, WeightsFile};

/// Exponential moving average of a model's weights over its steps, which ends closer to the minimum than the last step does
/// (Polyak & Juditsky, 1992).
pub struct Average {
    decay: f64,
    model: Model,
}

impl Average {
    /// Begins with the weights of `model`; `decay` is the share of the average that a step leaves.
    pub fn new(decay: f64, model: &Model) -> Self {
        Self {
            decay,
            model: model.clone().valid(),
        }
    }

    /// Takes in the weights after step `step`, counted from 1. The first steps weigh more, so that the initial weights are
    /// soon forgotten.
    pub fn update(&mut self, model: &Model, step: u64) {
        let step = step as f64;
        let keep = self.decay.min(step / (step + 10.0));
        let mut current = Values(HashMap::new());
        model.visit(&mut current);
        let mut blend = Blend {
            keep,
            current: current.0,
        };
        self.model = self.model.clone().map(&mut blend);
    }

    /// Goes on from the average of a checkpoint.
    ///
    /// # Errors
    /// Weights of another network.
    pub fn restore(&mut self, weights: &WeightsFile, device: &Device) -> Result<()> {
        let mut values = weights.model(device)?;
        let ids = self
            .model
            .blocks()
            .map(|(_, block)| (block.weight.id, block.bias.id));
        for ((_, block), (weight, bias)) in values.blocks_mut().zip(ids.collect::<Vec<_>>()) {
            block.weight.id = weight;
            block.bias.id = bias;
        }
        self.model = values;
        Ok(())
    }

    /// The model with averaged weights.
    pub fn model(&self) -> &Model {
        &self.model
    }
}

/// Takes the values out of a model, flattened.
struct Values(HashMap<ParamId, Tensor<1>>);

impl ModuleVisitor for Values {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val().inner();
        let length = value.shape().num_elements();
        self.0.insert(param.id, value.reshape([length]));
    }
}

struct Blend {
    keep: f64,
    current: HashMap<ParamId, Tensor<1>>,
}

impl ModuleMapper for Blend {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let current = self.current.remove(&param.id);
        let current = current.expect("both are of one model");
        param.map(|average| {
            let current = current.reshape(average.shape());
            average * self.keep + current * (1.0 - self.keep)
        })
    }
}
