//! Losses: named, weighted terms, each over the real items, the synthetic items, or all.
//!
//! A term gives one value per item of the batch, so that real and synthetic items are weighted and logged
//! apart. The registry is [`LossConfig`]: one field a term; adding a term means one file and one line there.

mod bending;
mod dice;
mod diffusion;
mod field;
mod mse;
mod ncc;

pub use bending::Bending;
pub use dice::{Dice, soft_dice};
pub use diffusion::Diffusion;
pub use field::FieldMse;
pub use mse::Mse;
pub use ncc::{GlobalNcc, Ncc, NccForm};

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::Prediction;
pub use crate::ops::Norm;

/// Which items of a batch a term applies to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Items {
    #[default]
    All,
    Real,
    Synthetic,
}

/// Which voxels of the fixed grid a similarity is averaged over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mask {
    #[default]
    None,
    /// Where the fixed image is above zero.
    Foreground,
}

/// What a term may look at; tensors are `[n, channel, d, h, w]`.
pub struct LossInput<'a> {
    pub fixed: &'a Tensor<5>,
    pub moving: &'a Tensor<5>,
    pub prediction: &'a Prediction,
    /// Coarsening of the regularised field's grid: the penalty on it is multiplied by this.
    pub velocity_factor: usize,
    /// One-hot labels of both images, `[n, label, d, h, w]`, with the moving ones already moved.
    pub labels: Option<OneHot>,
    /// True displacement of synthetic pairs, voxels; zeros for items without one.
    pub true_field: Option<Tensor<5>>,
}

/// One-hot labels on the fixed grid.
#[derive(Debug, Clone)]
pub struct OneHot {
    pub fixed: Tensor<5>,
    pub moved: Tensor<5>,
}

/// One way to judge a registration in training.
pub trait Term {
    /// One value per item, `[n]`; smaller is better.
    fn evaluate(&self, input: &LossInput) -> Tensor<1>;
    /// Whether it compares the images, and does not only keep the field smooth.
    fn compares(&self) -> bool {
        true
    }
    /// Whether one-hot labels must be given.
    fn needs_labels(&self) -> bool {
        false
    }
    /// Whether true fields must be given.
    fn needs_field(&self) -> bool {
        false
    }
}

/// A term that the loss is made of.
#[derive(Clone, Copy)]
pub struct Used<'a> {
    pub name: &'static str,
    /// Its factor in the total.
    pub weight: f64,
    /// The items it applies to.
    pub items: Items,
    pub term: &'a dyn Term,
}

macro_rules! registry {
    ($($(#[$doc:meta])* $field:ident: $term:ident,)*) => {
        /// The loss: every term that is present counts, times its weight.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct LossConfig {
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$term>,)*
        }

        impl LossConfig {
            /// The terms in use.
            pub fn terms(&self) -> Vec<Used<'_>> {
                let mut terms = Vec::new();
                $(terms.extend(self.$field.as_ref().map(|term| Used {
                    name: stringify!($field),
                    weight: term.weight,
                    items: term.on,
                    term,
                }));)*
                terms.retain(|used| used.weight != 0.0);
                terms
            }
        }

        /// The terms that compare the images.
        fn comparing() -> Vec<&'static str> {
            let all = [$((stringify!($field), $term::default().compares()),)*];
            all.into_iter().filter_map(|(name, compares)| compares.then_some(name)).collect()
        }
    };
}

registry! {
    /// Mean squared difference of intensities.
    mse: Mse,
    /// Local normalised cross-correlation.
    ncc: Ncc,
    /// Normalised cross-correlation of the whole image.
    global_ncc: GlobalNcc,
    /// Overlap of labels.
    dice: Dice,
    /// First differences of the field.
    diffusion: Diffusion,
    /// Second differences of the field.
    bending: Bending,
    /// Squared distance to the true field of a synthetic pair.
    field_mse: FieldMse,
}

impl LossConfig {
    /// Refuses a loss without a similarity, and settings no term understands.
    pub fn validate(&self) -> Result<()> {
        let terms = self.terms();
        if !terms.iter().any(|used| used.term.compares()) {
            return Err(Error::invalid(format!(
                "[loss] no term compares the images: add one of {}",
                comparing().join(", ")
            )));
        }
        for Used { name, weight, .. } in terms {
            if !(weight.is_finite() && weight > 0.0) {
                return Err(Error::invalid(format!(
                    "[loss.{name}] weight is {weight}; expected a number above 0"
                )));
            }
        }
        if let Some(ncc) = &self.ncc {
            ncc.validate()?;
        }
        Ok(())
    }

    /// Whether a term compares the images of these items: all but the smoothness penalties do, where they have
    /// the labels and true fields (`known`) that they need.
    pub fn compares(&self, items: Items, known: bool) -> bool {
        self.terms().iter().any(|used| {
            let term = used.term;
            term.compares()
                && [Items::All, items].contains(&used.items)
                && (known || !(term.needs_labels() || term.needs_field()))
        })
    }

    pub fn needs_labels(&self) -> bool {
        self.terms().iter().any(|used| used.term.needs_labels())
    }

    pub fn needs_field(&self) -> bool {
        self.terms().iter().any(|used| used.term.needs_field())
    }
}

/// Mean over channels and voxels, one value per item.
pub(crate) fn item_mean(x: Tensor<5>) -> Tensor<1> {
    let n = x.dims()[0];
    x.reshape([n as i32, -1]).mean_dim(1).reshape([n])
}

/// Mean over the voxels of the mask, one value per item.
fn masked_mean(x: Tensor<5>, fixed: &Tensor<5>, mask: Mask) -> Tensor<1> {
    match mask {
        Mask::None => item_mean(x),
        Mask::Foreground => {
            let (inside, share) = foreground(fixed);
            item_mean(x * inside) / share
        }
    }
}

/// 1 where the fixed image is above zero, and the share of such voxels in each item.
fn foreground(fixed: &Tensor<5>) -> (Tensor<5>, Tensor<1>) {
    let inside = fixed.clone().greater_elem(0.0).float();
    let share = item_mean(inside.clone()).clamp_min(f32::MIN_POSITIVE);
    (inside, share)
}

/// A similarity of moved and fixed; for a bidirectional model its mean over both directions.
fn both_ways(
    input: &LossInput,
    compare: impl Fn(&Tensor<5>, &Tensor<5>) -> Tensor<1>,
) -> Tensor<1> {
    let forward = compare(input.fixed, &input.prediction.moved);
    match &input.prediction.moved_fixed {
        Some(moved_fixed) => (forward + compare(input.moving, moved_fixed)) * 0.5,
        None => forward,
    }
}
