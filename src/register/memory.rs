//! How much memory a registration will take, before it is taken.

use crate::model::ModelConfig;

/// Bytes of the largest tensor that the network stores on a grid of this many voxels: features at full resolution.
pub fn largest_tensor_bytes(config: &ModelConfig, voxels: f64) -> f64 {
    voxels * (config.unet().full_resolution_channels() * size_of::<f32>()) as f64
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_at_full_resolution_are_the_largest_tensor() {
        // VoxelMorph's network has 32 of them: 2 GiB on a grid of 256^3.
        let config = ModelConfig::default();
        let bytes = largest_tensor_bytes(&config, 256_f64.powi(3));
        assert_eq!(bytes, 2_f64.powi(31));
        assert!(bytes < network_bytes(&config, 256_f64.powi(3)));
    }
}
