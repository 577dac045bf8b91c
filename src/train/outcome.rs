//! What the loss of a step came to: on the device, and read from it.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::{Device, Tensor};

use crate::dataset::{Batch, Kind};
use crate::error::{Error, Result};

/// Weighted terms of one step, on the device.
pub struct Objective {
    /// What is differentiated, `[1]`.
    pub total: Tensor<1>,
    pub(super) terms: Vec<Evaluated>,
}

/// A term before its weight.
pub(super) struct Evaluated {
    pub name: &'static str,
    /// One an item, `[n]`.
    pub values: Tensor<1>,
    /// To which items the term applies.
    pub applies: Vec<bool>,
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

    /// The total, then the values of each term; out of the graph of automatic differentiation.
    pub(super) fn values(&self) -> Vec<Tensor<1>> {
        let terms = self.terms.iter().map(|term| &term.values);
        let all = std::iter::once(&self.total).chain(terms);
        all.map(|values| undecorated(values.clone())).collect()
    }

    /// The same objective with other [`Self::values`].
    pub(super) fn with_values(self, values: Vec<Tensor<1>>) -> Self {
        let mut values = values.into_iter();
        let mut next = || values.next().expect("a total, and values of each term");
        let total = next();
        let terms = self.terms.into_iter().map(|term| Evaluated {
            values: next(),
            ..term
        });
        Self {
            total,
            terms: terms.collect(),
        }
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
        let all = self.values().into_iter().chain(gradient_norm.clone());
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

/// The objective of a batch whose consecutive parts, of as many items as are given, were judged on their own; all on `device`.
///
/// `None` is a part that no term applies to.
pub(super) fn joined(parts: &[(usize, Option<Objective>)], device: &Device) -> Objective {
    let judged = || parts.iter().filter_map(|(_, part)| part.as_ref());
    let totals = judged().map(|part| undecorated(part.total.clone()));
    let names: BTreeSet<&str> = judged()
        .flat_map(|p| p.terms.iter().map(|t| t.name))
        .collect();
    let terms = names.into_iter().map(|name| {
        let parts = parts.iter().map(|(items, part)| {
            let term = part
                .as_ref()
                .and_then(|p| p.terms.iter().find(|t| t.name == name));
            match term {
                Some(term) => (undecorated(term.values.clone()), term.applies.clone()),
                None => (Tensor::zeros([*items], device), vec![false; *items]),
            }
        });
        let (values, applies): (Vec<_>, Vec<_>) = parts.unzip();
        Evaluated {
            name,
            values: Tensor::cat(values, 0),
            applies: applies.concat(),
        }
    });
    Objective {
        total: totals
            .reduce(|a, b| a + b)
            .unwrap_or_else(|| Tensor::zeros([1], device)),
        terms: terms.collect(),
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
            "{place}: the {what} is {value}; pairs: {}; terms: {}; lower train.lr or set train.clip_norm, leave \
             out train.mixed_precision if it is on, and look at these images",
            batch.pair_names(),
            terms.join(", ")
        )))
    }
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
