//! `hmorph import`, `hmorph export`, and weights of other programs where a model is expected.

use std::path::Path;

use hdf5_pure::FileBuilder;
use hmorph::model::WeightsFile;
use hmorph::volume::{Affine, DType, Dimension, Geometry, Image, read_field, write_image};
use ndarray::Array3;

use crate::golden::{Golden, assert_close, interop_file};
use crate::support::{Bench, hmorph, one_line_error, register};

/// A layer of a Keras file: its name and the shape of its kernel.
type Layer = (&'static str, &'static [u64]);

/// A Keras file with kernels of zeros.
fn keras(path: &Path, layers: &[Layer]) {
    let mut file = FileBuilder::new();
    for (name, shape) in layers {
        let mut group = file.create_group(name);
        let mut inner = group.create_group(name);
        let values = vec![0.0_f32; shape.iter().product::<u64>() as usize];
        let outputs = *shape.last().unwrap();
        inner
            .create_dataset("kernel:0")
            .with_f32_data(&values)
            .with_shape(shape);
        inner
            .create_dataset("bias:0")
            .with_f32_data(&vec![0.0; outputs as usize]);
        group.add_group(inner.finish());
        file.add_group(group.finish());
    }
    file.write(path).unwrap();
}

fn import_error(file: &Path) -> String {
    let out = file.with_extension("out.safetensors");
    let text = one_line_error(hmorph().arg("import").arg(file).arg("-o").arg(&out));
    assert!(!out.exists());
    text
}

#[test]
fn half_precision_halves_the_file_and_keeps_eleven_bits() {
    let bench = Bench::new();
    let import = |more: &[&str], name: &str| {
        let mut import = hmorph();
        import
            .arg("import")
            .arg(interop_file("keras_2d_velocity.h5"));
        import.arg("-o").arg(bench.path(name)).args(more);
        import.assert().success();
        let size = std::fs::metadata(bench.path(name)).unwrap().len();
        (WeightsFile::read(&bench.path(name)).unwrap(), size)
    };
    let (single, large) = import(&[], "single.safetensors");
    let (half, small) = import(&["--half"], "half.safetensors");
    assert!(small < large, "{small} {large}");
    assert_eq!(half.card, single.card);
    for (name, (shape, values)) in &single.tensors {
        assert_eq!(half.tensors[name].0, *shape, "{name}");
        for (&rounded, &value) in half.tensors[name].1.iter().zip(values) {
            // Half of the last of 11 bits; below 2^-14 the spacing no longer shrinks.
            let allowed = value.abs().max(2.0_f32.powi(-14)) * 2.0_f32.powi(-11);
            assert!(
                (rounded - value).abs() <= allowed,
                "{name}: {value} {rounded}"
            );
        }
    }
    // What hmorph wrote is read as well.
    let mut again = hmorph();
    again.arg("import").arg(bench.path("single.safetensors"));
    again.arg("-o").arg(bench.path("again.safetensors"));
    again.arg("--half").assert().success();
    let bytes = |name: &str| std::fs::read(bench.path(name)).unwrap();
    assert!(bytes("again.safetensors") == bytes("half.safetensors"));
}

#[test]
fn imported_and_direct_registrations_are_the_bare_network() {
    let bench = Bench::new();
    let expected = Golden::open("interop/keras_2d_velocity");
    let geometry = Geometry::new([16, 24, 1], Dimension::Two, Affine::identity());
    let [fixed, moving] = ["fixed", "moving"].map(|name| {
        let data = Array3::from_shape_vec([16, 24, 1], expected.values(name).to_vec()).unwrap();
        let path = bench.path(&format!("{name}.nii.gz"));
        let geometry = geometry.clone();
        write_image(&path, &Image { data, geometry }, DType::F32, "test").unwrap();
        path
    });
    let model = bench.path("imported.safetensors");
    let mut import = hmorph();
    import
        .arg("import")
        .arg(interop_file("keras_2d_velocity.h5"));
    import.arg("-o").arg(&model).assert().success();
    for model in [interop_file("keras_2d_velocity.h5"), model] {
        let out = bench.path("out");
        register([&fixed, &moving], &model, &out)
            .args(["--normalize", "none", "--init", "none", "--force"])
            .assert()
            .success();
        let field = read_field(out.join("forward.nii.gz")).unwrap();
        let found: Vec<f32> = field.data.iter().copied().collect();
        assert_close(
            "displacement",
            &found,
            expected.values("displacement"),
            1e-4,
        );
    }
}

#[test]
fn info_shows_what_foreign_weights_hold() {
    for file in ["keras_3d.h5", "vxm_2d.pt"] {
        let output = hmorph()
            .args(["info", "--json"])
            .arg(interop_file(file))
            .output()
            .unwrap();
        let facts: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(facts["kind"], "weights");
        assert!(
            facts["provenance"]
                .as_str()
                .unwrap()
                .starts_with("imported from VoxelMorph")
        );
    }
}

#[test]
fn networks_of_other_families_are_refused_by_name() {
    let bench = Bench::new();
    let flow: Layer = ("vxm_dense_flow", &[3, 3, 4, 2]);
    let first: Layer = ("vxm_dense_unet_enc_conv_0_0", &[3, 3, 2, 4]);
    let cases: &[(&[Layer], &str)] = &[
        (&[("hyper_vxm_dense_hyp_dense_1", &[1, 64])], "HyperMorph"),
        (
            &[first, ("vxm_dense_unet_enc_conv_0_1", &[3, 3, 4, 4])],
            "several convolutions a level",
        ),
        (&[("conv3d_1", &[3, 3, 3, 2, 16])], "CVPR 2018 in Keras"),
        (
            &[first, flow, ("vxm_dense_attention", &[3, 3, 4, 4])],
            "\"vxm_dense_attention\" is unknown",
        ),
        (&[first], "no flow layer"),
        (
            &[flow, ("vxm_dense_unet_enc_conv_0_0", &[3, 3, 5, 4])],
            "takes 5 channels",
        ),
        (
            &[first, ("vxm_dense_unet_dec_conv_0_0", &[3, 3, 4, 4]), flow],
            "out_downsize is 2",
        ),
        (
            &[first, ("vxm_dense_unet_dec_conv_0_0", &[5, 5, 4, 4]), flow],
            "\"vxm_dense_unet_dec_conv_0_0\" has weights of shape [4, 4, 5, 5]",
        ),
    ];
    for (n, (layers, expected)) in cases.iter().enumerate() {
        let file = bench.path(&format!("{n}.h5"));
        keras(&file, layers);
        let text = import_error(&file);
        assert!(text.contains(expected), "{text}");
        assert!(text.contains(&format!("{n}.h5: ")), "{text}");
    }
}

#[test]
fn broken_files_end_in_one_line() {
    let bench = Bench::new();
    for name in ["keras_2d_velocity.h5", "vxm_2d.pt"] {
        let bytes = std::fs::read(interop_file(name)).unwrap();
        let file = bench.path(name);
        for length in [0, 7, 64, 700, bytes.len() / 2] {
            std::fs::write(&file, &bytes[..length]).unwrap();
            import_error(&file);
        }
        std::fs::write(&file, b"neither HDF5 nor a zip archive").unwrap();
        import_error(&file);
    }
}

#[test]
fn what_pytorch_cannot_hold_is_not_exported() {
    let bench = Bench::new();
    let out = bench.path("out.pt");
    let export = |file: &str| {
        let mut command = hmorph();
        command
            .arg("export")
            .arg(interop_file(file))
            .arg("-o")
            .arg(&out);
        command
    };
    let text = one_line_error(&mut export("vxm_strided_2d.pt"));
    assert!(text.contains("its encoder is strided"), "{text}");
    let text = one_line_error(&mut export("keras_3d.h5"));
    assert!(text.contains("--shape"), "{text}");
    assert!(!out.exists());
    export("keras_3d.h5")
        .args(["--shape", "8,16,8"])
        .assert()
        .success();
    let text = one_line_error(&mut export("vxm_2d.pt"));
    assert!(text.contains("exists"), "{text}");
}
