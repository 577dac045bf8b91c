//! Models inside the program, so that registration works without a download.

use super::WeightsFile;
use crate::volume::Dimension;

const TWO: &[u8] = include_bytes!("../../data/models/default-2d.safetensors");
const THREE: &[u8] = include_bytes!("../../data/models/default-3d.safetensors");

/// The default model for images of this dimension; `None` would mean that the program was built with a damaged one.
pub fn builtin(dimension: Dimension) -> Option<WeightsFile> {
    let bytes = match dimension {
        Dimension::Two => TWO,
        Dimension::Three => THREE,
    };
    WeightsFile::from_bytes(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn both_models_are_whole_and_free() {
        for dimension in [Dimension::Two, Dimension::Three] {
            let weights = builtin(dimension).unwrap();
            assert_eq!(weights.card.config.dimension, dimension);
            // What ships with the program must carry the program's licence.
            assert_eq!(weights.card.licence, "MIT OR Apache-2.0");
            weights.model(&Device::flex()).unwrap();
        }
    }
}
