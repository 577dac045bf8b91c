//! How much memory a registration will take, before it is taken.

use crate::model::ModelConfig;
use crate::volume::Geometry;

/// Bytes that the network needs at the same time on `grid`: the tensors at full resolution around its last upsampling.
///
/// An estimate: coarser levels add less than a seventh in 3-D.
pub fn network_bytes(config: &ModelConfig, grid: &Geometry) -> u64 {
    let levels = config.encoder_features.len();
    let skip = config.encoder_features[0];
    let upsampled = config.decoder_features[levels - 1];
    let next = config.decoder_features.get(levels).copied().unwrap_or(0);
    // Both images apart and joined, the skip, what it is joined to, and the convolution of both.
    let channels = 4 + skip + (upsampled + skip) + next;
    grid.voxels() as u64 * channels as u64 * size_of::<f32>() as u64
}
