//! The operations that a model counts, against a count by hand.

use burn::tensor::Device;
use hmorph::dataset::Align;
use hmorph::model::{Model, ModelCard, ModelConfig, WeightsFile};
use hmorph::nn::Encoder;
use hmorph::volume::Dimension;
use hmorph::volume::intensity::Normalisation;

fn weights(encoder: Encoder) -> WeightsFile {
    let config = ModelConfig {
        dimension: Dimension::Two,
        encoder,
        encoder_features: vec![4, 8],
        decoder_features: vec![8, 4, 4, 2],
        ..ModelConfig::default()
    };
    let model = Model::new(&config, 0, &Device::flex()).unwrap();
    let card = ModelCard {
        config,
        shape: None,
        spacing: None,
        orientation: None,
        align: Align::Header,
        normalize: Normalisation::MinMax {},
        reference_quantiles: Vec::new(),
        licence: String::new(),
        provenance: String::new(),
    };
    WeightsFile::of(&model, card)
}

#[test]
fn operations_are_counted_where_they_happen() {
    // 9 taps; inputs x outputs by level of a 16 x 16 image, counted by hand.
    let pooled = 256.0 * (2.0 * 4.0) // encoder.0
        + 64.0 * (4.0 * 8.0) // encoder.1
        + 16.0 * (8.0 * 8.0) // decoder.0, at the bottom
        + 64.0 * (16.0 * 4.0) // decoder.1, with the skip of 8
        + 256.0 * (8.0 * 4.0 + 4.0 * 2.0 + 2.0 * 2.0); // last.0, last.1, flow
    assert_eq!(weights(Encoder::MaxPool).operations(256), 18.0 * pooled);
    let strided = 64.0 * (2.0 * 4.0)
        + 16.0 * (4.0 * 8.0)
        + 16.0 * (8.0 * 8.0)
        + 64.0 * (12.0 * 4.0 + 4.0 * 4.0) // decoder.1 with the skip of 4, decoder.2
        + 256.0 * (6.0 * 2.0 + 2.0 * 2.0); // last.0 with the input, flow
    assert_eq!(weights(Encoder::Strided).operations(256), 18.0 * strided);
}
