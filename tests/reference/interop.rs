//! Networks of VoxelMorph's Keras and PyTorch code give the same transform here (`tests/golden/interop/make.py`).

use burn::tensor::{Device, Tensor, TensorData};
use hmorph::interop::{ImportOptions, export, read, read_weights};
use hmorph::model::{TransformKind, WeightsFile};
use hmorph::nn::Encoder;
use hmorph::ops::Border;
use hmorph::volume::Dimension;

use crate::golden::{Golden, assert_close, interop_file, values};
use crate::models::published_models;

/// Runs the network on the stored pair and compares displacement and moved image.
fn check(weights: &WeightsFile, expected: &Golden, tolerance: f32) {
    let device = Device::flex();
    let model = weights.model(&device).unwrap();
    let [moving, fixed] = ["moving", "fixed"].map(|name| expected.tensor(name, &device));
    let prediction = model.forward(moving, fixed);
    let found = values(prediction.displacement);
    assert_close(
        "displacement",
        &found,
        expected.values("displacement"),
        tolerance,
    );
    let found = values(prediction.moved);
    assert_close("moved", &found, expected.values("moved"), tolerance);
}

fn imported(file: &str) -> WeightsFile {
    let weights = read_weights(&interop_file(file)).unwrap();
    let stem = file.split('.').next().unwrap();
    check(&weights, &Golden::open(&format!("interop/{stem}")), 1e-4);
    weights
}

#[test]
fn a_whole_keras_model_with_integration() {
    let card = imported("keras_2d_velocity.h5").card;
    let config = card.config;
    assert_eq!((config.int_steps, config.int_downsize), (5, 2));
    assert_eq!(
        (config.border, config.dimension),
        (Border::Edge, Dimension::Two)
    );
    assert_eq!(config.decoder_features, [6, 5, 5, 4]);
    assert_eq!(card.shape, Some([16, 24, 1]));
    assert!(
        card.provenance.contains("Keras 2.11.0"),
        "{}",
        card.provenance
    );
}

#[test]
fn keras_weights_without_integration_in_three_dimensions() {
    let card = imported("keras_3d.h5").card;
    assert_eq!(card.config.transform, TransformKind::Displacement);
    assert_eq!(card.config.encoder_features, [3, 4]);
    assert_eq!(card.shape, None);
}

#[test]
fn a_keras_network_that_ends_at_half_resolution() {
    let config = imported("keras_2d_half.h5").card.config;
    assert_eq!(config.out_downsize, 2);
    // VoxelMorph's defaults, since the file does not say.
    assert_eq!((config.int_steps, config.int_downsize), (7, 2));
}

#[test]
fn a_pytorch_checkpoint_with_its_configuration() {
    let config = imported("vxm_2d.pt").card.config;
    assert_eq!((config.int_steps, config.int_downsize), (5, 2));
    assert_eq!(config.border, Border::Zeros);
}

#[test]
fn a_pytorch_state_dict_without_configuration() {
    let card = imported("vxm_3d_state.pt").card;
    // Its sampling grids tell the size, and that nothing is integrated.
    assert_eq!(card.shape, Some([8, 12, 8]));
    assert_eq!(card.config.transform, TransformKind::Displacement);
}

#[test]
fn the_strided_network_of_2018() {
    let config = imported("vxm_strided_2d.pt").card.config;
    assert_eq!(config.encoder, Encoder::Strided);
    assert_eq!(config.decoder_features, [5, 5, 4, 4, 3]);
}

#[test]
fn options_say_only_what_the_file_does_not() {
    let options = |int_steps, int_downsize| ImportOptions {
        int_steps,
        int_downsize,
    };
    // This one says that it is integrated, but not how.
    let open = read(&interop_file("keras_2d_half.h5"), options(Some(6), Some(4))).unwrap();
    let config = &open.weights.card.config;
    assert_eq!(config.transform, TransformKind::Velocity);
    assert_eq!((config.int_steps, config.int_downsize), (6, 4));
    // What the file says may be said again.
    assert!(read(&interop_file("vxm_2d.pt"), options(Some(5), Some(2))).is_ok());
    assert!(read(&interop_file("keras_3d.h5"), options(Some(0), Some(1))).is_ok());
    let folder = tempfile::tempdir().unwrap();
    let ours = folder.path().join("ours.safetensors");
    open.weights.write(&ours).unwrap();
    for (file, options, part) in [
        (
            interop_file("keras_2d_velocity.h5"),
            options(Some(6), None),
            "this file says 5",
        ),
        (
            interop_file("keras_2d_velocity.h5"),
            options(None, Some(1)),
            "this file says 2",
        ),
        (
            interop_file("keras_2d_half.h5"),
            options(Some(0), None),
            "this file says velocity",
        ),
        (
            interop_file("keras_3d.h5"),
            options(Some(6), Some(1)),
            "this file says displacement",
        ),
        (
            interop_file("vxm_3d_state.pt"),
            options(None, Some(2)),
            "this file says displacement",
        ),
        (ours, options(Some(3), None), "a file of hmorph says itself"),
    ] {
        let error = read(&file, options).unwrap_err().to_string();
        assert!(error.contains(part) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn exported_networks_have_a_size_that_their_levels_divide() {
    let weights = read_weights(&interop_file("keras_3d.h5")).unwrap();
    // Two levels: multiples of 4.
    let error = export(&weights, Some([16, 22, 9])).unwrap_err().to_string();
    assert!(
        error.contains("found 16,22,9") && error.contains("--shape 16,24,12"),
        "{error}"
    );
    let weights = read_weights(&interop_file("vxm_2d.pt")).unwrap();
    let error = export(&weights, Some([18, 16, 1])).unwrap_err().to_string();
    assert!(error.contains("--shape 20,16"), "{error}");
    let notes = export(&weights, None).unwrap().notes;
    assert!(
        notes[0].contains("normalisation min-max, alignment by header"),
        "{notes:?}"
    );
}

#[test]
fn exported_networks_come_back() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["vxm_2d.pt", "keras_3d.h5", "keras_2d_half.h5"] {
        let weights = read_weights(&interop_file(file)).unwrap();
        let path = folder.path().join("out.pt");
        let exported = export(&weights, Some([16, 24, 8])).unwrap();
        exported.write(&path).unwrap();
        let back = read_weights(&path).unwrap();
        assert_eq!(back.tensors, weights.tensors, "{file}");
        let expected = hmorph::model::ModelConfig {
            border: Border::Zeros,
            ..weights.card.config
        };
        assert_eq!(back.card.config, expected, "{file}");
    }
}

/// The images of these files are stored column by column, whatever their header says (`moved` and `displacement` are
/// not): read otherwise they are no brains, and `moved` is not `moving` warped by `displacement`.
fn by_columns(expected: &Golden, name: &str) -> Tensor<5> {
    let data = TensorData::new(expected.values(name).to_vec(), [1, 1, 1, 192, 160]);
    Tensor::<5>::from_data(data, &Device::flex()).swap_dims(3, 4)
}

#[test]
fn the_published_weights_of_hybridmorph() {
    let Some(folder) = published_models() else {
        return;
    };
    for name in ["Hybr_90", "Real", "Synth"] {
        let weights = read_weights(&folder.join(format!("{name}.h5"))).unwrap();
        let config = &weights.card.config;
        assert_eq!(config.encoder_features, [16, 32, 32, 32]);
        assert_eq!(config.decoder_features, [32, 32, 32, 32, 32, 16, 16]);
        assert_eq!(config.transform, TransformKind::Displacement);
        let expected = Golden::open_file(&folder.join(format!("{name}.expected.safetensors")));
        let device = Device::flex();
        let [moving, fixed] = ["moving", "fixed"].map(|name| by_columns(&expected, name));
        let prediction = weights.model(&device).unwrap().forward(moving, fixed);
        // Voxels.
        let pairs = values(prediction.displacement);
        let pairs = pairs.iter().zip(expected.values("displacement"));
        let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        eprintln!("{name}: displacements differ by at most {worst:e} voxels");
        assert!(worst <= 1e-3, "{name}: {worst}");
        let found = values(prediction.moved);
        assert_close("moved", &found, expected.values("moved"), 1e-3);
    }
}
