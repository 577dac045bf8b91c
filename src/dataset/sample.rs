//! One training pair as plain host memory, or as the number of one that is made later.

use std::borrow::Borrow;

use ndarray::{Array3, Array4};

use crate::error::{Error, Result};
use crate::volume::Dimension;

/// Whether a pair was scanned or synthesised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Real,
    Synthetic,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Real, Self::Synthetic];

    /// As logs write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Synthetic => "synthetic",
        }
    }
}

/// One pair on the network grid, host axes `(i, j, k)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub kind: Kind,
    pub fixed_id: String,
    pub moving_id: String,
    pub fixed: Array3<f32>,
    pub moving: Array3<f32>,
    pub fixed_labels: Option<Array3<i32>>,
    pub moving_labels: Option<Array3<i32>>,
    /// True displacement of a synthetic pair: pull on the fixed grid, voxels, `[component, i, j, k]`.
    pub field: Option<Array4<f32>>,
}

impl Sample {
    /// Two images about which nothing else is known.
    pub fn of_images(fixed: Array3<f32>, moving: Array3<f32>) -> Self {
        Self {
            kind: Kind::Real,
            fixed_id: "fixed".into(),
            moving_id: "moving".into(),
            fixed,
            moving,
            fixed_labels: None,
            moving_labels: None,
            field: None,
        }
    }

    /// # Errors
    /// Arrays of another grid than `shape`.
    pub(super) fn check(&self, shape: (usize, usize, usize), dimension: Dimension) -> Result<()> {
        let (i, j, k) = shape;
        let labels = [&self.fixed_labels, &self.moving_labels];
        let agree = self.fixed.dim() == shape
            && self.moving.dim() == shape
            && labels
                .iter()
                .all(|labels| labels.as_ref().is_none_or(|a| a.dim() == shape))
            && self
                .field
                .as_ref()
                .is_none_or(|field| field.dim() == (dimension.axes(), i, j, k));
        if agree {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{} and {}: expected a pair on a grid of {i}x{j}x{k}, found {:?} and {:?}; a batch has one shape",
            self.fixed_id,
            self.moving_id,
            self.fixed.dim(),
            self.moving.dim(),
        )))
    }
}

/// What stands at one place of a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry<S> {
    /// A pair in memory.
    Made(S),
    /// The number of a synthetic pair, with labels and true field, that is made on the device.
    Unmade(u64),
}

impl<S: Borrow<Sample>> Entry<S> {
    pub(super) fn sample(&self) -> Option<&Sample> {
        match self {
            Self::Made(sample) => Some(sample.borrow()),
            Self::Unmade(_) => None,
        }
    }

    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Self::Made(_) => None,
            Self::Unmade(number) => Some(*number),
        }
    }

    /// The `id` of one of its images, which is on this `side` of the pair.
    pub(super) fn name(&self, id: fn(&Sample) -> &String, side: &str) -> String {
        match self {
            Self::Made(sample) => id(sample.borrow()).clone(),
            Self::Unmade(number) => synthetic_id(*number, side),
        }
    }

    pub(super) fn kind(&self) -> Kind {
        self.sample().map_or(Kind::Synthetic, |sample| sample.kind)
    }
}

/// What an image of synthetic pair `number` is called.
pub fn synthetic_id(number: u64, side: &str) -> String {
    format!("synthetic-{number}-{side}")
}
