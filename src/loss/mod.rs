//! Losses: named, weighted terms, each over the real items, the synthetic items, or all.
//!
//! A term gives one value per item of the batch, so that real and synthetic items are weighted and logged
//! apart. The registry is [`LossConfig`]: one field a term; adding a term means one file and one line there.

mod bending;
#[cfg(test)]
mod case;
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

impl Items {
    /// Whether those of one kind, `Real` or `Synthetic`, are among them.
    pub fn include(self, kind: Self) -> bool {
        self == Self::All || self == kind
    }
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
    /// Whether it looks at a part of the voxels alone.
    fn mask(&self) -> Mask {
        Mask::None
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

            /// The loss where all items are of one kind: without the terms that need labels or true fields of the other.
            pub fn for_all(mut self, kind: Items) -> Self {
                $(if self.$field.as_ref().is_some_and(|term| needs_more(term) && !term.on.include(kind)) {
                    self.$field = None;
                })*
                self
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

    /// Whether a term compares the images of one kind: all but the smoothness penalties do, where the images have the
    /// `labels` that some need. True fields are known of synthetic pairs alone.
    pub fn compares(&self, kind: Items, labels: bool) -> bool {
        self.terms().iter().any(|used| {
            let term = used.term;
            term.compares()
                && used.items.include(kind)
                && (labels || !term.needs_labels())
                && (kind == Items::Synthetic || !term.needs_field())
        })
    }

    pub fn needs_labels(&self) -> bool {
        self.terms().iter().any(|used| used.term.needs_labels())
    }

    pub fn needs_field(&self) -> bool {
        self.terms().iter().any(|used| used.term.needs_field())
    }
}

/// Whether a term asks for more about a pair than its images.
fn needs_more(term: &dyn Term) -> bool {
    term.needs_labels() || term.needs_field()
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

/// 1 where the fixed image is above zero, and the share of such voxels in each item; where there is none, that of one voxel,
/// so that a gradient divided by it stays finite.
fn foreground(fixed: &Tensor<5>) -> (Tensor<5>, Tensor<1>) {
    let inside = fixed.clone().greater_elem(0.0).float();
    let voxels: usize = inside.dims()[1..].iter().product();
    let share = item_mean(inside.clone()).clamp_min(1.0 / voxels as f32);
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

#[cfg(test)]
mod tests {
    use super::case::{Case, assert_values, images};
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn a_masked_mean_is_over_the_voxels_above_zero() {
        let fixed = images([[0.0, 1.0, 2.0, -1.0], [0.0; 4]]);
        let x = images([[10.0, 3.0, 5.0, 20.0], [1.0, 2.0, 3.0, 4.0]]);
        // (3 + 5) / 2; an image without foreground has nothing to average.
        assert_values(
            masked_mean(x.clone(), &fixed, Mask::Foreground),
            &[4.0, 0.0],
        );
        assert_values(masked_mean(x, &fixed, Mask::None), &[9.5, 2.5]);
    }

    #[test]
    fn an_image_without_foreground_changes_no_weight() {
        let fixed = images([[0.0, 1.0, 2.0, 4.0], [0.0; 4]]);
        let moved = images([[1.0, 3.0, 2.0, 5.0], [1.0, 2.0, 3.0, 4.0]]).into_data();
        let mask = Mask::Foreground;
        let terms: [&dyn Term; 3] = [
            &Mse {
                mask,
                ..Mse::default()
            },
            &Ncc {
                mask,
                window: 3,
                ..Ncc::default()
            },
            &GlobalNcc {
                mask,
                ..GlobalNcc::default()
            },
        ];
        for term in terms {
            let moved = Tensor::<5>::from_data(moved.clone(), &Device::flex().autodiff());
            let moved = moved.require_grad();
            let values = term.evaluate(&Case::new(fixed.clone(), moved.clone()).input());
            // As of a term of large weight.
            let gradients = (values * 1e4).sum().backward();
            let gradient = moved.grad(&gradients).unwrap().into_data();
            let gradient: Vec<f32> = gradient.try_to_vec().unwrap();
            let (first, second) = gradient.split_at(4);
            assert!(
                first.iter().all(|g| g.is_finite()) && first != [0.0; 4],
                "{first:?}"
            );
            assert_eq!(second, [0.0; 4]);
        }
    }

    #[test]
    fn both_directions_count_half_each() {
        let image = |value| images([[value; 4]]);
        let mut case = Case::new(image(1.0), image(4.0));
        case.moving = image(10.0);
        // Not symmetric, so that it matters which image is which.
        let both = |case: &Case| {
            both_ways(&case.input(), |target, moved| {
                item_mean(target.clone() * 2.0 - moved.clone())
            })
        };
        // 2 * 1 - 4
        assert_values(both(&case), &[-2.0]);
        case.prediction.moved_fixed = Some(image(3.0));
        // (-2 + 2 * 10 - 3) / 2
        assert_values(both(&case), &[7.5]);
    }

    /// A loss from TOML.
    fn loss(text: &str) -> LossConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_kind_is_compared_where_a_term_is_on_it_and_has_what_it_needs() {
        let compares = |text, kind| [false, true].map(|labels| loss(text).compares(kind, labels));
        let (real, synthetic) = (Items::Real, Items::Synthetic);
        assert_eq!(compares("mse = {}", real), [true, true]);
        assert_eq!(compares("mse = { on = 'synthetic' }", real), [false, false]);
        assert_eq!(compares("dice = {}", real), [false, true]);
        assert_eq!(
            compares("dice = { on = 'real' }", synthetic),
            [false, false]
        );
        // Real pairs have no true field, whatever the settings say.
        assert_eq!(compares("field_mse = { on = 'all' }", real), [false, false]);
        assert_eq!(compares("field_mse = {}", synthetic), [true, true]);
        assert_eq!(compares("diffusion = {}", real), [false, false]);
    }

    #[test]
    fn what_pairs_of_one_kind_cannot_feed_is_left_out() {
        let all = loss("mse = { on = 'real' }\ndice = { on = 'synthetic' }\nfield_mse = {}");
        let names = |kind| -> Vec<&str> {
            let loss = all.clone().for_all(kind);
            loss.terms().iter().map(|used| used.name).collect()
        };
        assert_eq!(names(Items::Real), ["mse"]);
        // Images are all that the squared difference needs: held-out pairs of the other kind may be measured by it.
        assert_eq!(names(Items::Synthetic), ["mse", "dice", "field_mse"]);
    }
}
