//! Adam, with its state kept by parameter name so that a run resumes bit for bit on any device.
//!
//! burn's own optimiser restores its state on `Device::default()`, which a program with several backends compiled
//! in cannot rely on.

use std::collections::{BTreeMap, HashMap};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use regex::Regex;

use crate::error::{Error, Result};
use crate::model::Model;

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
/// As PyTorch.
const EPSILON: f32 = 1e-8;

/// Adam (Kingma & Ba, 2015) with optional decoupled weight decay (AdamW) and clipping by the global norm.
pub struct Adam {
    weight_decay: f64,
    clip_norm: f64,
    names: HashMap<ParamId, String>,
    frozen: Vec<Regex>,
    step: u64,
    moments: HashMap<ParamId, [Tensor<1>; 2]>,
}

/// What one step did.
pub struct StepReport {
    /// Norm of all gradients together, before clipping.
    pub gradient_norm: f32,
}

impl Adam {
    /// # Errors
    /// A pattern of `freeze` that is no regular expression, or matches no parameter or all.
    pub fn new(
        model: &Model,
        weight_decay: f64,
        clip_norm: f64,
        freeze: &[String],
    ) -> Result<Self> {
        let names = names(model);
        let mut frozen = Vec::new();
        for pattern in freeze {
            let regex = Regex::new(pattern).map_err(|e| {
                Error::invalid(format!(
                    "[train] freeze: {pattern:?} is no regular expression: {e}"
                ))
            })?;
            if !names.values().any(|name| regex.is_match(name)) {
                let known: BTreeMap<_, _> = names.values().map(|n| (n, ())).collect();
                return Err(Error::invalid(format!(
                    "[train] freeze: {pattern:?} matches no parameter; the names are {:?}",
                    known.keys().collect::<Vec<_>>()
                )));
            }
            frozen.push(regex);
        }
        let is_frozen = |name: &String| frozen.iter().any(|r| r.is_match(name));
        if names.values().all(is_frozen) {
            return Err(Error::invalid(
                "[train] freeze matches every parameter: nothing is left to train",
            ));
        }
        Ok(Self {
            weight_decay,
            clip_norm,
            names,
            frozen,
            step: 0,
            moments: HashMap::new(),
        })
    }

    /// One update of the model against its gradients.
    pub fn step(&mut self, model: Model, gradients: Gradients, lr: f64) -> (Model, StepReport) {
        let mut grads = GradientsParams::from_grads(gradients, &model);
        let mut collect = Collect {
            grads: &mut grads,
            flat: HashMap::new(),
        };
        model.visit(&mut collect);
        let mut flat = collect.flat;
        let (names, frozen) = (&self.names, &self.frozen);
        flat.retain(|id, _| !frozen.iter().any(|r| r.is_match(&names[id])));
        let norm = global_norm(&flat);
        let scale = if self.clip_norm > 0.0 && f64::from(norm) > self.clip_norm {
            (self.clip_norm / f64::from(norm)) as f32
        } else {
            1.0
        };
        self.step += 1;
        let model = model.map(&mut Update {
            adam: self,
            flat,
            scale,
            lr,
        });
        (
            model,
            StepReport {
                gradient_norm: norm,
            },
        )
    }

    /// The moments by parameter name (`NAME.first`, `NAME.second`), for a checkpoint.
    pub fn state(&self) -> BTreeMap<String, Vec<f32>> {
        let mut state = BTreeMap::new();
        for (id, [first, second]) in &self.moments {
            let name = &self.names[id];
            state.insert(format!("{name}.first"), values(first));
            state.insert(format!("{name}.second"), values(second));
        }
        state
    }

    /// Takes up the moments of a checkpoint made after `step` steps.
    pub fn restore(&mut self, step: u64, state: &BTreeMap<String, Vec<f32>>, device: &Device) {
        self.step = step;
        let load = |name: &String, which: &str| {
            let data = state.get(&format!("{name}.{which}"))?.clone();
            let length = data.len();
            Some(Tensor::from_data(TensorData::new(data, [length]), device))
        };
        self.moments = self
            .names
            .iter()
            .filter_map(|(id, name)| Some((*id, [load(name, "first")?, load(name, "second")?])))
            .collect();
    }
}

/// The name of each parameter in weights files.
fn names(model: &Model) -> HashMap<ParamId, String> {
    model
        .blocks()
        .flat_map(|(path, block)| {
            [
                (block.weight.id, format!("{path}.weight")),
                (block.bias.id, format!("{path}.bias")),
            ]
        })
        .collect()
}

fn values(tensor: &Tensor<1>) -> Vec<f32> {
    tensor
        .to_data()
        .try_to_vec()
        .expect("moments are 32-bit floats")
}

fn global_norm(flat: &HashMap<ParamId, Tensor<1>>) -> f32 {
    // Summed in a fixed order: the same run must give the same bits.
    let mut ids: Vec<_> = flat.keys().copied().collect();
    ids.sort_by_key(|id| id.val());
    let sum = ids
        .iter()
        .map(|id| (flat[id].clone() * flat[id].clone()).sum())
        .reduce(|a, b| a + b);
    sum.map_or(0.0, |s| s.into_scalar::<f32>().sqrt())
}

/// Takes the gradients out of burn's container, flattened.
struct Collect<'a> {
    grads: &'a mut GradientsParams,
    flat: HashMap<ParamId, Tensor<1>>,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.remove::<D>(param.id) {
            let length = grad.shape().num_elements();
            self.flat.insert(param.id, grad.reshape([length]));
        }
    }
}

struct Update<'a> {
    adam: &'a mut Adam,
    flat: HashMap<ParamId, Tensor<1>>,
    scale: f32,
    lr: f64,
}

impl ModuleMapper for Update<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(grad) = self.flat.remove(&param.id) else {
            return param;
        };
        let id = param.id;
        param.map(|tensor| {
            let shape = tensor.shape();
            let device = tensor.device();
            let value = tensor.inner().reshape([shape.num_elements()]);
            let grad = if self.scale == 1.0 {
                grad
            } else {
                grad * self.scale
            };
            let updated = self.adam.update(id, value, grad, self.lr).reshape(shape);
            let tensor = if device.is_autodiff() {
                Tensor::from_inner(updated)
            } else {
                updated
            };
            tensor.require_grad()
        })
    }
}

impl Adam {
    fn update(&mut self, id: ParamId, value: Tensor<1>, grad: Tensor<1>, lr: f64) -> Tensor<1> {
        let [first, second] = match self.moments.remove(&id) {
            Some([m, v]) => [
                m * BETA_1 + grad.clone() * (1.0 - BETA_1),
                v * BETA_2 + grad.clone() * grad * (1.0 - BETA_2),
            ],
            None => [
                grad.clone() * (1.0 - BETA_1),
                grad.clone() * grad * (1.0 - BETA_2),
            ],
        };
        let steps = self.step as i32;
        let debias_1 = 1.0 - f64::from(BETA_1).powi(steps);
        let debias_2 = 1.0 - f64::from(BETA_2).powi(steps);
        let deviation = second.clone().sqrt() / debias_2.sqrt() + EPSILON;
        let step = first.clone() / deviation * (lr / debias_1);
        self.moments.insert(id, [first, second]);
        let decayed = if self.weight_decay > 0.0 {
            value * (1.0 - lr * self.weight_decay)
        } else {
            value
        };
        decayed - step
    }
}
