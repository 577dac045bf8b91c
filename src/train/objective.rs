//! From a batch and a prediction to the weighted total that is differentiated, and the values that are logged.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::dataset::{Batch, Kind};
use crate::error::{Error, Result};
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

/// Weighted terms of one step, on the device.
pub struct Objective {
    /// What is differentiated, `[1]`.
    pub total: Tensor<1>,
    terms: Vec<Evaluated>,
}

/// A term before its weight.
struct Evaluated {
    name: &'static str,
    /// One an item, `[n]`.
    values: Tensor<1>,
    /// To which items the term applies.
    applies: Vec<bool>,
}

/// Values of one step, on the host.
pub struct Outcome {
    pub total: f64,
    /// Of all gradients together, where there are some.
    pub gradient_norm: Option<f64>,
    /// Each term over the items of each kind it applies to, keyed `kind/term`.
    pub terms: BTreeMap<String, TermMean>,
}

/// A term over some items of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TermMean {
    /// Without the term's weight.
    pub mean: f64,
    pub items: usize,
}

impl Objective {
    /// Whether no term applies to any item.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The values, and the norm of the gradient if it is given, brought to the host together: at each transfer a GPU
    /// runs out of work.
    ///
    /// # Errors
    /// A total or norm that is not finite, naming `place`, the pairs of the batch and the terms.
    pub fn read(
        &self,
        gradient_norm: Option<Tensor<1>>,
        place: &str,
        batch: &Batch,
    ) -> Result<Outcome> {
        let terms = self.terms.iter().map(|term| term.values.clone());
        let all = [self.total.clone()]
            .into_iter()
            .chain(terms)
            .map(undecorated)
            .chain(gradient_norm.clone());
        let values: Vec<f32> = Tensor::cat(all.collect(), 0)
            .into_data()
            .try_to_vec()
            .expect("loss values are 32-bit floats");
        let (total, values) = values.split_first().expect("there is a total");
        let mut terms = BTreeMap::new();
        let items = values.chunks(batch.len());
        for (term, values) in self.terms.iter().zip(items) {
            term.note(values, &batch.kinds, &mut terms);
        }
        let outcome = Outcome {
            total: f64::from(*total),
            gradient_norm: gradient_norm.map(|_| f64::from(values[values.len() - 1])),
            terms,
        };
        outcome.require_finite(place, batch)?;
        Ok(outcome)
    }
}

/// A tensor out of the graph of automatic differentiation, where it is part of one.
pub(super) fn undecorated<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    match tensor.device().is_autodiff() {
        true => tensor.inner(),
        false => tensor,
    }
}

impl Outcome {
    fn require_finite(&self, place: &str, batch: &Batch) -> Result<()> {
        let norm = self.gradient_norm.unwrap_or(0.0);
        let values = [("loss", self.total), ("norm of the gradient", norm)];
        let Some((what, value)) = values.into_iter().find(|(_, value)| !value.is_finite()) else {
            return Ok(());
        };
        let terms: Vec<String> = self
            .terms
            .iter()
            .map(|(name, term)| format!("{name} = {:e}", term.mean))
            .collect();
        Err(Error::invalid(format!(
            "{place}: the {what} is {value}; pairs: {}; terms: {}; lower train.lr or set train.clip_norm, and look \
             at these images",
            batch.pair_names(),
            terms.join(", ")
        )))
    }
}

/// Judges a prediction.
///
/// Sampled mixtures average over all items. With `synthetic_weight` the total is the mean over real items plus
/// that weight times the mean over synthetic items: equation 4 of HybridMorph, with weight `(1 - alpha) / alpha`.
///
pub fn objective(
    config: &LossConfig,
    model: &Model,
    batch: &Batch,
    images: &BatchTensors,
    prediction: &Prediction,
    synthetic_weight: Option<f64>,
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
        let weights = item_weights(&applies, &batch.kinds, synthetic_weight);
        let weights: Tensor<1> = Tensor::from_data(weights.as_slice(), &device);
        let weighted = (values.clone() * weights).sum() * weight;
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

/// Weight of each item in the total; items a term does not apply to count zero.
fn item_weights(applies: &[bool], kinds: &[Kind], synthetic_weight: Option<f64>) -> Vec<f32> {
    let count = |kind| kinds.iter().filter(|k| **k == kind).count() as f64;
    let weight_of = |kind| match (synthetic_weight, kind) {
        (None, _) => 1.0 / kinds.len() as f64,
        (Some(_), Kind::Real) => 1.0 / count(Kind::Real),
        (Some(weight), Kind::Synthetic) => weight / count(Kind::Synthetic),
    };
    applies
        .iter()
        .zip(kinds)
        .map(|(&applies, &kind)| if applies { weight_of(kind) as f32 } else { 0.0 })
        .collect()
}

impl Evaluated {
    /// The means of this term over the items of each kind.
    fn note(&self, values: &[f32], kinds: &[Kind], terms: &mut BTreeMap<String, TermMean>) {
        for kind in Kind::ALL {
            let of_kind: Vec<f64> = values
                .iter()
                .zip(&self.applies)
                .zip(kinds)
                .filter(|((_, applies), k)| **applies && **k == kind)
                .map(|((value, _), _)| f64::from(*value))
                .collect();
            if !of_kind.is_empty() {
                let items = of_kind.len();
                let mean = of_kind.iter().sum::<f64>() / items as f64;
                let name = format!("{}/{}", kind.name(), self.name);
                terms.insert(name, TermMean { mean, items });
            }
        }
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
