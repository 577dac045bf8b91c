//! From a batch and a prediction to the weighted total that is differentiated.

use burn::tensor::Tensor;

use super::BatchTensors;
use super::one_hot::one_hot;
use super::outcome::{Evaluated, Objective};
use crate::dataset::{Batch, Kind};
use crate::loss::{Items, LossConfig, LossInput, Used};
use crate::model::{Model, Prediction};

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
            Some(dice) if config.needs_labels() => {
                one_hot(batch, images, prediction, dice.max_labels, model, &device)
            }
            _ => None,
        },
        true_field: match config.needs_field() {
            true => images.true_field(batch, &device),
            false => None,
        },
    };
    let mut total: Option<Tensor<1>> = None;
    let mut terms = Vec::new();
    for used in config.terms() {
        let Some((term, part)) = evaluate(&used, &input, batch, weights) else {
            continue;
        };
        total = Some(match total {
            Some(sum) => sum + part,
            None => part,
        });
        terms.push(term);
    }
    let total = total.unwrap_or_else(|| Tensor::zeros([1], &device));
    Objective { total, terms }
}

/// The values of one term, and what they add to the total; `None` where it applies to no item.
fn evaluate(
    used: &Used,
    input: &LossInput,
    batch: &Batch,
    weights: ItemWeights,
) -> Option<(Evaluated, Tensor<1>)> {
    let term = used.term;
    let usable = |n: usize| match (term.needs_labels(), term.needs_field()) {
        (true, _) => input.labels.is_some() && batch.has_labels[n],
        (_, true) => batch.has_field[n],
        _ => true,
    };
    let applies: Vec<bool> = (0..batch.len())
        .map(|n| usable(n) && matches_kind(used.items, batch.kinds[n]))
        .collect();
    if !applies.contains(&true) {
        return None;
    }
    let values = term.evaluate(input);
    let counts = |(&applies, &kind)| {
        if applies {
            weights.of(kind) as f32
        } else {
            0.0
        }
    };
    let counts: Vec<f32> = applies.iter().zip(&batch.kinds).map(counts).collect();
    let counts: Tensor<1> = Tensor::from_data(counts.as_slice(), &input.fixed.device());
    let part = (values.clone() * counts).sum() * used.weight;
    let evaluated = Evaluated {
        name: used.name,
        values,
        applies,
    };
    Some((evaluated, part))
}

fn matches_kind(items: Items, kind: Kind) -> bool {
    items.include(match kind {
        Kind::Real => Items::Real,
        Kind::Synthetic => Items::Synthetic,
    })
}
