//! What a registration costs.

use super::{ModelConfig, WeightsFile};
use crate::nn::Encoder;

impl WeightsFile {
    /// Number of learnable parameters.
    pub fn parameters(&self) -> usize {
        self.tensors.values().map(|(_, values)| values.len()).sum()
    }

    /// Floating-point operations of the convolutions for one pair of images of so many voxels; a multiplication and
    /// an addition are two.
    pub fn operations(&self, voxels: usize) -> f64 {
        let config = &self.card.config;
        let halving = f64::from(1_u32 << config.dimension.axes());
        let convolutions = self.tensors.iter().filter_map(|(name, (shape, _))| {
            let path = name.strip_suffix(".weight")?;
            let weights: usize = shape.iter().product();
            let outputs = voxels as f64 / halving.powi(level(config, path) as i32);
            Some(2.0 * weights as f64 * outputs)
        });
        convolutions.sum()
    }
}

/// How many times the grid that a block writes to is halved.
fn level(config: &ModelConfig, path: &str) -> usize {
    let levels = config.encoder_features.len();
    let (part, number) = path.split_once('.').unwrap_or((path, "0"));
    let number: usize = number.parse().unwrap_or_default();
    match (part, config.encoder) {
        ("encoder", Encoder::MaxPool) => number,
        ("encoder", Encoder::Strided) => number + 1,
        ("decoder", Encoder::MaxPool) => levels.saturating_sub(number).max(config.skipped()),
        // There is one more convolution at half resolution.
        ("decoder", Encoder::Strided) => levels.saturating_sub(number).max(1),
        _ => config.skipped(),
    }
}
