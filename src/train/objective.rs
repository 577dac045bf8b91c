//! From a batch and a prediction to the weighted total that is differentiated.

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::outcome::{Evaluated, Objective};
use crate::dataset::{Batch, Kind};
use crate::loss::{Items, LossConfig, LossInput, OneHot, Used};
use crate::model::{Model, Prediction};
use crate::ops::warp;

/// The images of a batch as tensors `[n, 1, d, h, w]`.
pub struct BatchTensors {
    pub fixed: Tensor<5>,
    pub moving: Tensor<5>,
}

impl BatchTensors {
    pub fn new(batch: &Batch, device: &Device) -> Self {
        Self {
            fixed: image(&batch.fixed, 1, batch, device),
            moving: image(&batch.moving, 1, batch, device),
        }
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
        })
    }
}

fn image(values: &[f32], channels: usize, batch: &Batch, device: &Device) -> Tensor<5> {
    let [d, h, w] = batch.extent;
    let data = TensorData::new(values.to_vec(), [batch.len(), channels, d, h, w]);
    Tensor::from_data(data, device)
}

/// What the values of one item count in the total.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ItemWeights {
    real: f64,
    synthetic: f64,
}

impl ItemWeights {
    /// The total is the mean over all items of a batch.
    pub fn mean(batch: &Batch) -> Self {
        let each = 1.0 / batch.len() as f64;
        Self {
            real: each,
            synthetic: each,
        }
    }

    /// The total is the mean over real items plus `synthetic_weight` times the mean over synthetic items: equation 4 of
    /// HybridMorph, with weight `(1 - alpha) / alpha`.
    pub fn by_kind(batch: &Batch, synthetic_weight: f64) -> Self {
        let count = |kind| batch.kinds.iter().filter(|k| **k == kind).count() as f64;
        Self {
            real: 1.0 / count(Kind::Real),
            synthetic: synthetic_weight / count(Kind::Synthetic),
        }
    }

    fn of(self, kind: Kind) -> f64 {
        match kind {
            Kind::Real => self.real,
            Kind::Synthetic => self.synthetic,
        }
    }
}

/// Judges a prediction.
pub fn objective(
    config: &LossConfig,
    model: &Model,
    batch: &Batch,
    images: &BatchTensors,
    prediction: &Prediction,
    weights: ItemWeights,
) -> Objective {
    let device = images.fixed.device();
    let input = LossInput {
        fixed: &images.fixed,
        moving: &images.moving,
        prediction,
        velocity_factor: model.config().velocity_factor()[1],
        labels: match &config.dice {
            Some(dice) => one_hot(batch, prediction, dice.max_labels, model, &device),
            None => None,
        },
        true_field: (!batch.field.is_empty())
            .then(|| image(&batch.field, batch.components(), batch, &device)),
    };
    let mut total: Option<Tensor<1>> = None;
    let mut terms = Vec::new();
    for Used {
        name,
        weight,
        items,
        term,
    } in config.terms()
    {
        let usable = |n: usize| match (term.needs_labels(), term.needs_field()) {
            (true, _) => input.labels.is_some() && batch.has_labels[n],
            (_, true) => batch.has_field[n],
            _ => true,
        };
        let applies: Vec<bool> = (0..batch.len())
            .map(|n| usable(n) && matches_kind(items, batch.kinds[n]))
            .collect();
        if !applies.contains(&true) {
            continue;
        }
        let values = term.evaluate(&input);
        let counts = |(&applies, &kind)| {
            if applies {
                weights.of(kind) as f32
            } else {
                0.0
            }
        };
        let counts: Vec<f32> = applies.iter().zip(&batch.kinds).map(counts).collect();
        let counts: Tensor<1> = Tensor::from_data(counts.as_slice(), &device);
        let weighted = (values.clone() * counts).sum() * weight;
        terms.push(Evaluated {
            name,
            values,
            applies,
        });
        total = Some(match total {
            Some(sum) => sum + weighted,
            None => weighted,
        });
    }
    let total = total.unwrap_or_else(|| Tensor::zeros([1], &device));
    Objective { total, terms }
}

fn matches_kind(items: Items, kind: Kind) -> bool {
    match items {
        Items::All => true,
        Items::Real => kind == Kind::Real,
        Items::Synthetic => kind == Kind::Synthetic,
    }
}

/// Both label maps of a batch as one channel a label, the moving ones moved; `None` where no item has both.
fn one_hot(
    batch: &Batch,
    prediction: &Prediction,
    max_labels: usize,
    model: &Model,
    device: &Device,
) -> Option<OneHot> {
    let labels = chosen_labels(batch, max_labels);
    if labels.is_empty() {
        return None;
    }
    let channels = |map: &[i32]| {
        let voxels: usize = batch.extent.iter().product();
        let mut values = Vec::with_capacity(batch.len() * labels.len() * voxels);
        for item in map.chunks_exact(voxels) {
            for label in &labels {
                values.extend(item.iter().map(|v| f32::from(v == label)));
            }
        }
        image(&values, labels.len(), batch, device)
    };
    let moving = channels(&batch.moving_labels);
    Some(OneHot {
        fixed: channels(&batch.fixed_labels),
        moved: warp(
            moving,
            prediction.displacement.clone(),
            model.config().border,
        ),
    })
}

/// The labels of the fixed images whose moving images have labels, too; a random few of them (seeded by the batch) where
/// they are too many to hold.
fn chosen_labels(batch: &Batch, max_labels: usize) -> Vec<i32> {
    let voxels: usize = batch.extent.iter().product();
    let maps = batch.fixed_labels.chunks_exact(voxels);
    let mut labels: Vec<i32> = maps
        .zip(&batch.has_labels)
        .filter(|(_, both)| **both)
        .flat_map(|(map, _)| map.iter().copied().filter(|&label| label != 0))
        .collect();
    labels.sort_unstable();
    labels.dedup();
    if max_labels > 0 && labels.len() > max_labels {
        labels.shuffle(&mut ChaCha8Rng::seed_from_u64(batch.number));
        labels.truncate(max_labels);
        labels.sort_unstable();
    }
    labels
}
