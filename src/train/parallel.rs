//! Data-parallel training: several devices take a part of each batch.
//!
//! The thread that trains works on the first device, and each other device has a thread that keeps to it, since a
//! device's streams and pools of memory are those of threads. A worker gets a copy of the weights and differentiates its
//! items, which count as they do in the whole batch (but where the Dice loss takes a random few of many labels, each part
//! draws its own). The gradients are summed on the first device in the order of ranks, so that the result does not depend
//! on who is done first; the optimiser works there alone.
//!
//! Between devices tensors go by way of the host, which works everywhere, and all of them in one piece, since the host
//! waits for a device at each reading.

use std::collections::{BTreeMap, HashMap};
use std::iter::once;
use std::sync::{Mutex, PoisonError};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};
use rayon::ThreadPool;

use super::Objective;
use super::outcome::{joined, undecorated};
use crate::dataset::Batch;
use crate::error::{Error, Result};
use crate::model::Model;

/// The devices beside the first one, and a thread for each of them.
pub struct Others {
    devices: Vec<Device>,
    threads: ThreadPool,
}

/// What is found about a part of a batch.
type Found = Result<Option<(Objective, GradientsParams)>>;

impl Others {
    /// # Errors
    /// A system that gives no threads.
    pub fn new(devices: Vec<Device>) -> Result<Self> {
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(devices.len())
            .build()
            .map_err(|error| Error::invalid(format!("threads for the devices: {error}")))?;
        Ok(Self { devices, threads })
    }

    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// `work` on a part of the batch for each device, and the sum of what it finds, on the device `first`.
    ///
    /// # Errors
    /// The first of `work`.
    pub(super) fn share(
        &self,
        first: &Device,
        model: &Model,
        batch: &Batch,
        work: impl Fn(&Device, &Model, &Batch) -> Found + Sync,
    ) -> Found {
        let parts = batch.parts(self.devices.len() + 1);
        let weights = weights(model);
        let other = |n: usize| -> Result<Option<Packed>> {
            let device = &self.devices[n];
            let model = copied(model, &weights, device);
            let found = work(device, &model, &parts[n + 1])?;
            Ok(found.map(|found| Packed::new(found, &model)))
        };
        let others = Mutex::new(BTreeMap::new());
        let own = self.threads.in_place_scope(|scope| {
            scope.spawn_broadcast(|_, thread| {
                let found = other(thread.index());
                let mut others = others.lock().unwrap_or_else(PoisonError::into_inner);
                others.insert(thread.index(), found);
            });
            work(first, model, &parts[0])
        });
        let others = others.into_inner().unwrap_or_else(PoisonError::into_inner);
        let others = others
            .into_values()
            .map(|found| Ok(found?.map(|packed| packed.unpacked(model, first))));
        let mut sum = GradientsAccumulator::new();
        let mut judged = Vec::new();
        for (part, found) in parts.iter().zip(once(own).chain(others)) {
            let found = found?.map(|(judged, gradients)| {
                sum.accumulate(model, gradients);
                judged
            });
            judged.push((part.len(), found));
        }
        let judged = joined(&judged, first);
        Ok((!judged.is_empty()).then(|| (judged, sum.grads())))
    }
}

/// The weights of a model on the host, behind each other.
fn weights(model: &Model) -> Vec<f32> {
    struct Weights(Vec<Tensor<1>>);
    impl ModuleVisitor for Weights {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(undecorated(param.val()).reshape([-1]));
        }
    }
    let mut weights = Weights(vec![]);
    model.visit(&mut weights);
    read(weights.0)
}

/// A copy of the model on `device`, a tensor of its own for each of the `weights` there.
fn copied(model: &Model, weights: &[f32], device: &Device) -> Model {
    struct Place {
        weights: Tensor<1>,
        used: usize,
    }
    impl ModuleMapper for Place {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| {
                let shape = tensor.shape();
                let places = self.used..self.used + shape.num_elements();
                self.used = places.end;
                let value = self.weights.clone().slice([places]).reshape(shape);
                Tensor::from_inner(value).set_require_grad(tensor.is_require_grad())
            })
        }
    }
    model.clone().map(&mut Place {
        weights: Tensor::from_data(weights, device),
        used: 0,
    })
}

/// What a worker found, in the memory of the host.
struct Packed {
    judged: Objective,
    /// The parameters that have gradients.
    ids: Vec<ParamId>,
    /// The values of the objective, then the gradients, behind each other.
    values: Vec<f32>,
    lengths: Vec<usize>,
}

impl Packed {
    fn new((judged, gradients): (Objective, GradientsParams), model: &Model) -> Self {
        struct Flatten {
            gradients: GradientsParams,
            flat: Vec<(ParamId, Tensor<1>)>,
        }
        impl ModuleVisitor for Flatten {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if let Some(gradient) = self.gradients.remove::<D>(param.id) {
                    self.flat.push((param.id, gradient.reshape([-1])));
                }
            }
        }
        let mut flatten = Flatten {
            gradients,
            flat: vec![],
        };
        model.visit(&mut flatten);
        let (ids, gradients): (Vec<_>, Vec<_>) = flatten.flat.into_iter().unzip();
        let tensors = [judged.values(), gradients].concat();
        Self {
            judged,
            ids,
            lengths: tensors.iter().map(|tensor| tensor.dims()[0]).collect(),
            values: read(tensors),
        }
    }

    /// The same on `device`.
    fn unpacked(self, model: &Model, device: &Device) -> (Objective, GradientsParams) {
        struct Shape {
            flat: HashMap<ParamId, Tensor<1>>,
            gradients: GradientsParams,
        }
        impl ModuleVisitor for Shape {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if let Some(flat) = self.flat.remove(&param.id) {
                    let gradient: Tensor<D> = flat.reshape(param.shape());
                    self.gradients.register(param.id, gradient);
                }
            }
        }
        let values: Tensor<1> = Tensor::from_data(self.values.as_slice(), device);
        let mut values = values.split_with_sizes(self.lengths, 0);
        let gradients = values.split_off(values.len() - self.ids.len());
        let mut shape = Shape {
            flat: self.ids.into_iter().zip(gradients).collect(),
            gradients: GradientsParams::new(),
        };
        model.visit(&mut shape);
        (self.judged.with_values(values), shape.gradients)
    }
}

/// Tensors on the host, behind each other, in one reading.
fn read(tensors: Vec<Tensor<1>>) -> Vec<f32> {
    let all = Tensor::cat(tensors, 0).into_data();
    all.try_to_vec().expect("these are 32-bit floats")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelConfig;
    use crate::train::Adam;
    use crate::train::outcome::Evaluated;

    fn small() -> Model {
        let config = ModelConfig {
            encoder_features: vec![2],
            decoder_features: vec![3, 2],
            ..ModelConfig::default()
        };
        let model = Model::new(&config, 3, &Device::flex().autodiff()).unwrap();
        let adam = Adam::new(&model, 0.0, 0.0, &["^encoder".into()]).unwrap();
        adam.freeze(model)
    }

    #[test]
    fn a_copy_has_the_same_weights_and_trains_the_same_of_them() {
        let model = small();
        let found = copied(&model, &weights(&model), &Device::flex());
        for ((name, a), (_, b)) in model.blocks().zip(found.blocks()) {
            assert_eq!(a.weight.id, b.weight.id);
            let [of_a, of_b] = [a, b].map(|block| block.weight.val());
            assert_eq!(of_a.is_require_grad(), of_b.is_require_grad(), "{name}");
            assert_eq!(of_b.is_require_grad(), !name.starts_with("encoder"));
            assert_eq!(of_a.into_data(), of_b.into_data(), "{name}");
            let [of_a, of_b] = [a, b].map(|block| block.bias.val());
            assert_eq!(of_a.into_data(), of_b.into_data(), "{name}");
        }
    }

    #[test]
    fn what_is_found_stays_itself_on_its_way() {
        let device = Device::flex();
        let model = small();
        let mut gradients = GradientsParams::new();
        for (_, block) in model.blocks().skip(1) {
            gradients.register(block.weight.id, undecorated(block.weight.val()) * 2.0);
            gradients.register(block.bias.id, undecorated(block.bias.val()) + 1.0);
        }
        let term = |name, values: [f32; 2]| Evaluated {
            name,
            values: Tensor::from_data(values, &device),
            applies: vec![true, false],
        };
        let judged = Objective {
            total: Tensor::from_data([7.0], &device),
            terms: vec![term("mse", [1.0, 2.0]), term("dice", [3.0, 4.0])],
        };
        let (judged, found) = Packed::new((judged, gradients), &model).unpacked(&model, &device);
        assert_eq!(read(judged.values()), [7.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(judged.terms[1].name, "dice");
        let (_, frozen) = model.blocks().next().unwrap();
        assert!(found.get::<5>(frozen.weight.id).is_none());
        for (name, block) in model.blocks().skip(1) {
            let weight = found.get::<5>(block.weight.id).unwrap();
            let expected = undecorated(block.weight.val()) * 2.0;
            assert_eq!(weight.into_data(), expected.into_data(), "{name}");
            let bias = found.get::<1>(block.bias.id).unwrap();
            let expected = undecorated(block.bias.val()) + 1.0;
            assert_eq!(bias.into_data(), expected.into_data(), "{name}");
        }
    }
}
