//! How much memory a registration will take, before it is taken.

use crate::model::ModelConfig;

/// Bytes that the network needs at the same time on a grid of this many voxels: the tensors at full resolution around
/// its last upsampling.
///
/// An estimate: coarser levels add less than a seventh in 3-D.
pub fn network_bytes(config: &ModelConfig, voxels: f64) -> f64 {
    let levels = config.encoder_features.len();
    let skip = config.encoder_features[0];
    let upsampled = config.decoder_features[levels - 1];
    let next = config.decoder_features.get(levels).copied().unwrap_or(0);
    // Both images apart and joined, the skip, what it is joined to, and the convolution of both.
    let channels = 4 + skip + (upsampled + skip) + next;
    voxels * (channels * size_of::<f32>()) as f64
}
