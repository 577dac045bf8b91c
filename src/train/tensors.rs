//! A batch as tensors: what is in memory is brought to the device, what is not is made there.

use burn::tensor::{Device, Tensor, TensorData};

use super::Synthesis;
use super::one_hot::chosen_labels;
use crate::dataset::Batch;
use crate::error::{Error, Result};
use crate::loss::LossConfig;
use crate::render::DeviceEngine;

/// The images of a batch as tensors `[n, 1, d, h, w]`.
pub struct BatchTensors {
    pub fixed: Tensor<5>,
    pub moving: Tensor<5>,
    /// Per item: what is known about a pair that was made on the device.
    pub(super) truths: Vec<Option<Truth>>,
    /// The labels that the Dice loss compares, where they have been chosen.
    pub(super) chosen: Option<Vec<i32>>,
}

/// What is known about a pair that was made on the device, as far as the loss asks for it.
#[derive(Clone)]
pub(super) struct Truth {
    pub labels: Option<TensorLabels>,
    /// `[1, nf, d, h, w]`, voxels.
    pub field: Option<Tensor<5>>,
}

/// Two label maps: whole numbers `[1, 1, d, h, w]`, the places of the voxels' labels in `ids`. Place 0 is background.
#[derive(Clone)]
pub(super) struct TensorLabels {
    pub fixed: Tensor<5>,
    pub moving: Tensor<5>,
    pub ids: Vec<i32>,
}

impl BatchTensors {
    /// A batch whose items are all in memory.
    pub fn new(batch: &Batch, device: &Device) -> Self {
        assert_eq!(batch.made(batch.len()), batch.len(), "items are missing");
        Self {
            fixed: tensor(&batch.fixed, 1, batch, device),
            moving: tensor(&batch.moving, 1, batch, device),
            truths: vec![None; batch.len()],
            chosen: None,
        }
    }

    /// Any batch; pairs that are not in memory are made by `synthesis`, with what `loss` asks for.
    ///
    /// # Errors
    /// Those of the synthesis.
    pub fn make(
        batch: &Batch,
        synthesis: Option<&Synthesis>,
        loss: &LossConfig,
        device: &Device,
    ) -> Result<Self> {
        if batch.made(batch.len()) == batch.len() {
            return Ok(Self::new(batch, device));
        }
        let (mut fixed, mut moving, mut truths) = (vec![], vec![], vec![]);
        for (n, number) in batch.unmade.iter().enumerate() {
            let Some(number) = number else {
                fixed.push(item(&batch.fixed, 1, n, batch, device));
                moving.push(item(&batch.moving, 1, n, batch, device));
                truths.push(None);
                continue;
            };
            let synthesis = synthesis.ok_or_else(|| {
                Error::invalid(format!("synthetic pair {number}: nothing to make it by"))
            })?;
            let engine = DeviceEngine::new(device);
            let pair = synthesis.recipe(*number).make(&engine)?;
            truths.push(Some(Truth {
                field: loss.needs_field().then(|| pair.field()),
                labels: loss.needs_labels().then_some(TensorLabels {
                    fixed: pair.fixed_labels,
                    moving: pair.moving_labels,
                    ids: pair.ids,
                }),
            }));
            fixed.push(pair.fixed);
            moving.push(pair.moving);
        }
        Ok(Self {
            fixed: Tensor::cat(fixed, 0),
            moving: Tensor::cat(moving, 0),
            truths,
            chosen: None,
        })
    }

    /// Chooses the labels that the Dice loss compares, if there is one; see [`chosen_labels`].
    pub(super) fn choose_labels(&mut self, batch: &Batch, loss: &LossConfig, seed: u64) {
        let dice = loss.dice.as_ref().filter(|_| loss.needs_labels());
        self.chosen = dice.map(|dice| chosen_labels(batch, self, dice.max_labels, seed));
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.fixed.dims()[0]
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Each pair on its own.
    pub fn items(&self) -> impl Iterator<Item = Self> + '_ {
        (0..self.len()).map(|n| Self {
            fixed: self.fixed.clone().slice_dim(0, n..n + 1),
            moving: self.moving.clone().slice_dim(0, n..n + 1),
            truths: vec![self.truths[n].clone()],
            chosen: self.chosen.clone(),
        })
    }

    /// The true fields `[n, nf, d, h, w]` in voxels, zeros for items without one; `None` where there is none.
    pub(super) fn true_field(&self, batch: &Batch, device: &Device) -> Option<Tensor<5>> {
        let components = batch.components();
        if self.truths.iter().all(Option::is_none) {
            return (!batch.field.is_empty())
                .then(|| tensor(&batch.field, components, batch, device));
        }
        let [d, h, w] = batch.extent;
        let fields = self.truths.iter().enumerate().map(|(n, truth)| {
            match truth.as_ref().map(|truth| truth.field.clone()) {
                Some(field) => field,
                None if batch.field.is_empty() => None,
                None => Some(item(&batch.field, components, n, batch, device)),
            }
        });
        let fields: Vec<Option<Tensor<5>>> = fields.collect();
        fields.iter().any(Option::is_some).then(|| {
            let zeros = || Tensor::zeros([1, components, d, h, w], device);
            let fields = fields.into_iter().map(|field| field.unwrap_or_else(zeros));
            Tensor::cat(fields.collect(), 0)
        })
    }
}

/// `values` of all items, `[n, channels, d, h, w]`.
pub(super) fn tensor(values: &[f32], channels: usize, batch: &Batch, device: &Device) -> Tensor<5> {
    let [d, h, w] = batch.extent;
    let n = values.len() / (channels * d * h * w);
    let data = TensorData::new(values.to_vec(), [n, channels, d, h, w]);
    Tensor::from_data(data, device)
}

/// Item `n` alone out of the `values` of all that are in memory.
fn item(values: &[f32], channels: usize, n: usize, batch: &Batch, device: &Device) -> Tensor<5> {
    let each = channels * batch.extent.iter().product::<usize>();
    let values = &values[batch.made(n) * each..][..each];
    tensor(values, channels, batch, device)
}
