//! Adam, with its state kept by parameter name so that a run resumes bit for bit on any device.
//!
//! burn's own optimiser restores its state on `Device::default()`, which a program with several backends compiled
//! in cannot rely on.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use regex::Regex;

use super::TrainConfig;
use crate::error::{Error, Result};
use crate::model::Model;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
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

impl Adam {
    /// # Errors
    /// A pattern of `freeze` that is no regular expression, or matches no parameter or all.
    pub fn new(
        model: &Model,
        weight_decay: f64,
        clip_norm: f64,
        freeze: &[String],
    ) -> Result<Self> {
        let adam = Self {
            weight_decay,
            clip_norm,
            names: names(model),
            frozen: freeze.iter().map(|p| pattern(p)).collect::<Result<_>>()?,
            step: 0,
            moments: HashMap::new(),
        };
        adam.check_patterns()?;
        Ok(adam)
    }

    /// The optimiser that the settings of a run ask for.
    ///
    /// # Errors
    /// Those of [`Adam::new`].
    pub fn of_run(model: &Model, config: &TrainConfig) -> Result<Self> {
        let (decay, clip) = (config.weight_decay, config.clip_norm);
        Self::new(model, decay, clip, &config.freeze)
    }

    /// Refuses patterns that freeze nothing or everything.
    fn check_patterns(&self) -> Result<()> {
        let names: BTreeSet<&str> = self.names.values().map(String::as_str).collect();
        for pattern in &self.frozen {
            if !names.iter().any(|name| pattern.is_match(name)) {
                return Err(Error::invalid(format!(
                    "[train] freeze: \"{pattern}\" matches no parameter; the names are {}",
                    Vec::from_iter(names).join(", ")
                )));
            }
        }
        if names.iter().all(|name| self.is_frozen(name)) {
            return Err(Error::invalid(
                "[train] freeze matches every parameter: nothing is left to train",
            ));
        }
        Ok(())
    }

    /// One update of the model against its gradients; also their norm all together before clipping, `[1]`, still on
    /// the device.
    pub fn step(
        &mut self,
        model: Model,
        mut grads: GradientsParams,
        lr: f64,
    ) -> (Model, Tensor<1>) {
        let mut collect = Collect {
            grads: &mut grads,
            flat: HashMap::new(),
        };
        model.visit(&mut collect);
        let flat = collect.flat;
        let norm = self.global_norm(&flat);
        let clip = self.clip_norm;
        let scale = (clip > 0.0).then(|| (norm.clone().recip() * clip).clamp_max(1.0));
        self.step += 1;
        let model = model.map(&mut Update {
            adam: self,
            flat,
            scale,
            lr,
        });
        (model, norm)
    }

    /// Summed in the order of names: ids differ from run to run, and the same run must give the same bits.
    fn global_norm(&self, flat: &HashMap<ParamId, Tensor<1>>) -> Tensor<1> {
        let by_name: BTreeMap<&str, &Tensor<1>> = flat
            .iter()
            .map(|(id, grad)| (self.names[id].as_str(), grad))
            .collect();
        let squares = by_name.into_values().map(|g| (g.clone() * g.clone()).sum());
        let sum = squares.reduce(|a, b| a + b);
        sum.expect("not everything is frozen").sqrt()
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
    ///
    /// # Errors
    /// Moments that are missing.
    pub fn restore(
        &mut self,
        step: u64,
        state: &BTreeMap<String, Vec<f32>>,
        device: &Device,
    ) -> Result<()> {
        self.step = step;
        self.moments.clear();
        if step == 0 {
            return Ok(());
        }
        let load = |name: &String, which: &str| -> Result<Tensor<1>> {
            let name = format!("{name}.{which}");
            let data = state.get(&name).ok_or_else(|| {
                Error::invalid(format!("the checkpoint's optimizer state lacks {name}"))
            })?;
            let data = TensorData::new(data.clone(), [data.len()]);
            Ok(Tensor::from_data(data, device))
        };
        let trained = self.names.iter().filter(|(_, name)| !self.is_frozen(name));
        self.moments = trained
            .map(|(id, name)| Ok((*id, [load(name, "first")?, load(name, "second")?])))
            .collect::<Result<_>>()?;
        Ok(())
    }

    /// The model with its frozen parameters out of the differentiation, which saves their gradients.
    pub fn freeze(&self, model: Model) -> Model {
        model.map(&mut Freeze(self))
    }

    fn is_frozen(&self, name: &str) -> bool {
        self.frozen.iter().any(|pattern| pattern.is_match(name))
    }
}

struct Freeze<'a>(&'a Adam);

impl ModuleMapper for Freeze<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.0.is_frozen(&self.0.names[&param.id]) {
            param.set_require_grad(false)
        } else {
            param
        }
    }
}

/// A pattern of `freeze`; its mistakes in one line.
fn pattern(text: &str) -> Result<Regex> {
    Regex::new(text).map_err(|e| {
        let problem = e.to_string();
        let reason = problem.lines().last().unwrap_or_default();
        Error::invalid(format!(
            "[train] freeze: {text:?} is no regular expression: {reason}"
        ))
    })
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
    /// Of the gradients, `[1]`, where their norm is bounded.
    scale: Option<Tensor<1>>,
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
            let grad = match &self.scale {
                Some(scale) => grad * scale.clone(),
                None => grad,
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
        let [debias_1, debias_2] = [BETA_1, BETA_2].map(|beta| 1.0 - beta.powf(self.step as f64));
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
