//! Every choice of a registration model.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::nn::{Encoder, UNetConfig};
use crate::ops::Border;
use crate::volume::Dimension;

/// What the network predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransformKind {
    /// The displacement itself.
    Displacement,
    /// A stationary velocity, integrated by scaling and squaring: smooth and invertible.
    Velocity,
}

/// Settings of a registration model; the defaults are VoxelMorph's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// `"2d"` or `"3d"`.
    pub dimension: Dimension,
    /// `"max-pool"` (VoxelMorph) or `"strided"` (HybridMorph).
    pub encoder: Encoder,
    /// Features of each level, from fine to coarse; their number is the number of levels.
    pub encoder_features: Vec<usize>,
    /// Features of the decoder from coarse to fine (one a level, and one more for `strided`), then those of
    /// the final convolutions at full resolution.
    pub decoder_features: Vec<usize>,
    /// Slope of the LeakyReLU, in (0, 1).
    pub slope: f32,
    /// `"velocity"` or `"displacement"`.
    pub transform: TransformKind,
    /// Squarings of the velocity, 1..=12.
    pub int_steps: usize,
    /// The velocity lives on a grid this many times coarser: 1, 2 or 4.
    pub int_downsize: usize,
    /// The network's output is this many times coarser than the image: 1, or 2 or 4 where the decoder leaves out its last
    /// upsamplings (VoxelMorph's `svf_resolution`; max-pool and velocity only, at most `int_downsize`).
    pub out_downsize: usize,
    /// Whether training compares both moved with fixed and the inversely moved fixed with moving (velocity only).
    pub bidirectional: bool,
    /// Standard deviation of the initial weights of the flow layer, so that training starts near the identity.
    pub flow_std: f32,
    /// What lies outside the image: `"zeros"`, or `"edge"` for the nearest voxel.
    pub border: Border,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            dimension: Dimension::Three,
            encoder: Encoder::MaxPool,
            encoder_features: vec![16, 32, 32, 32],
            decoder_features: vec![32, 32, 32, 32, 32, 16, 16],
            slope: 0.2,
            transform: TransformKind::Velocity,
            int_steps: 7,
            int_downsize: 2,
            out_downsize: 1,
            bidirectional: false,
            flow_std: 1e-5,
            border: Border::Zeros,
        }
    }
}

impl ModelConfig {
    /// Refuses settings that do not describe a network.
    pub fn validate(&self) -> Result<()> {
        let levels = self.encoder_features.len();
        let needed = self.unet().decoder_depth();
        let problem = if levels == 0 || levels > 8 {
            format!("encoder_features has {levels} levels; expected 1 to 8")
        } else if self.decoder_features.len() < needed {
            format!(
                "decoder_features has {} numbers; expected at least {needed} for {levels} levels",
                self.decoder_features.len()
            )
        } else if self.encoder_features.contains(&0) || self.decoder_features.contains(&0) {
            "a number of features is 0; expected at least 1".into()
        } else if !(self.slope > 0.0 && self.slope < 1.0) {
            format!("slope is {}; expected a number between 0 and 1", self.slope)
        } else if !(self.flow_std.is_finite() && self.flow_std >= 0.0) {
            format!(
                "flow_std is {}; expected a finite number >= 0",
                self.flow_std
            )
        } else if ![1, 2, 4].contains(&self.int_downsize) {
            format!("int_downsize is {}; expected 1, 2 or 4", self.int_downsize)
        } else if ![1, 2, 4].contains(&self.out_downsize) || self.skipped() > levels {
            format!(
                "out_downsize is {}; expected 1, 2 or 4, and a level for each halving",
                self.out_downsize
            )
        } else if self.out_downsize > self.velocity_factor()[1] {
            format!(
                "out_downsize is {}; expected at most int_downsize, and transform = \"velocity\"",
                self.out_downsize
            )
        } else if self.out_downsize > 1 && self.encoder == Encoder::Strided {
            format!(
                "out_downsize is {}; expected 1 with encoder = \"strided\"",
                self.out_downsize
            )
        } else if self.transform == TransformKind::Velocity && !(1..=12).contains(&self.int_steps) {
            format!(
                "int_steps is {}; expected 1 to 12, or transform = \"displacement\"",
                self.int_steps
            )
        } else if self.transform == TransformKind::Displacement && self.bidirectional {
            "bidirectional needs transform = \"velocity\"; a displacement has no ready inverse"
                .into()
        } else {
            return Ok(());
        };
        Err(Error::invalid(format!("[model] {problem}")))
    }

    /// Grid sizes must be multiples of this along each tensor axis; images are padded to it.
    pub fn size_factor(&self) -> [usize; 3] {
        let factor = (1 << self.encoder_features.len()).max(self.int_downsize);
        match self.dimension {
            Dimension::Two => [1, factor, factor],
            Dimension::Three => [factor; 3],
        }
    }

    /// The coarsening of the velocity grid along each tensor axis; a displacement is never coarsened.
    pub fn velocity_factor(&self) -> [usize; 3] {
        let f = match self.transform {
            TransformKind::Displacement => 1,
            TransformKind::Velocity => self.int_downsize,
        };
        match self.dimension {
            Dimension::Two => [1, f, f],
            Dimension::Three => [f; 3],
        }
    }

    /// The coarsening from the network's output to the velocity grid.
    pub(super) fn coarsening(&self) -> [usize; 3] {
        self.velocity_factor()
            .map(|factor| (factor / self.out_downsize).max(1))
    }

    /// Upsamplings that the decoder leaves out.
    pub(super) fn skipped(&self) -> usize {
        self.out_downsize.trailing_zeros() as usize
    }

    pub(crate) fn unet(&self) -> UNetConfig {
        UNetConfig {
            dimension: self.dimension,
            encoder: self.encoder,
            in_channels: 2,
            encoder_features: self.encoder_features.clone(),
            decoder_features: self.decoder_features.clone(),
            skipped: self.skipped(),
            slope: self.slope,
        }
    }
}
