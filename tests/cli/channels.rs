//! `hmorph register` of colours, with windows of intensity, and within slices.

use std::path::Path;

use hmorph::volume::{
    Affine, DType, Dimension, Geometry, Image, Series, SeriesKind, WorldAffine, probe, read_affine,
    read_field, read_image, read_series, write_series,
};
use nalgebra::{Matrix3, Matrix4, Rotation3, Vector3};
use ndarray::Array3;
use serde_json::Value;

use crate::support::{
    Bench, Card, constant_model, grid, hmorph, lps, one_line_error, painted, ramp, register,
};

fn record(out: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(out.join("run.json")).unwrap()).unwrap()
}

/// Channels that differ, in 0..=255.
fn colours(geometry: &Geometry, channels: usize) -> Series {
    let channel = |c: usize| Image {
        data: Array3::from_shape_fn(geometry.shape, |(i, j, k)| {
            (4 * i + 3 * j + 2 * k + 30 * c) as f32
        }),
        geometry: geometry.clone(),
    };
    Series {
        volumes: (0..channels).map(channel).collect(),
        kind: SeriesKind::Colour,
    }
}

#[test]
fn a_colour_picture_is_moved_channel_by_channel() {
    let bench = Bench::new();
    // The place that PNG is read at.
    let axes = Matrix3::from_diagonal(&Vector3::new(-1.0, -1.0, 1.0));
    let affine = Affine::from_parts(axes, Vector3::zeros());
    let geometry = Geometry::new([21, 17, 1], Dimension::Two, affine);
    let model = bench.path("two.safetensors");
    let card = Card {
        dimension: Dimension::Two,
        ..Card::default()
    };
    constant_model(&model, &card, &[2.0, -1.0]);
    for (channels, dtype) in [(3, DType::U8), (4, DType::U16)] {
        let slide = colours(&geometry, channels);
        let path = bench.path(&format!("slide{channels}.png"));
        write_series(&path, &slide, dtype, "").unwrap();
        let out = bench.path(&format!("out{channels}"));
        register([&path, &path], &model, &out)
            .args(["--spacing", "0.5", "--fill", "7"])
            .assert()
            .success();
        let moved = read_series(out.join("moved.png")).unwrap();
        assert_eq!(moved.volumes.len(), channels);
        for (moved, slide) in moved.volumes.iter().zip(&slide.volumes) {
            assert_eq!(moved.data[[4, 5, 0]], slide.data[[6, 4, 0]]);
            assert_eq!(moved.data[[20, 5, 0]], 7.0, "beyond the moving image");
        }
        // With the pixel size, which PNG has no place for; 2 pixels are 1 mm.
        let grey = read_image(out.join("moved.nii.gz")).unwrap();
        assert_eq!(grey.geometry.spacing()[..2], [0.5, 0.5]);
        let [r, g, b] = [0, 1, 2].map(|c| moved.volumes[c].data[[4, 5, 0]]);
        let expected = 0.2126 * r + 0.7152 * g + 0.0722 * b;
        approx::assert_abs_diff_eq!(grey.data[[4, 5, 0]], expected, epsilon = 1e-3);
        let field = read_field(out.join("forward.nii.gz")).unwrap();
        assert_eq!(field.geometry.spacing()[..2], [0.5, 0.5]);
        approx::assert_abs_diff_eq!(field.data[[0, 9, 9, 0]], 2.0, epsilon = 1e-5);

        let [other, float] = ["other", "float"].map(|out| bench.path(&format!("{out}{channels}")));
        let other_type = match dtype {
            DType::U8 => DType::U16,
            _ => DType::U8,
        };
        let mut command = register([&path, &path], &model, &other);
        command.args(["--dtype", other_type.name()]);
        command.assert().success();
        for file in ["moved.png", "moved.nii.gz"] {
            assert_eq!(probe(other.join(file)).unwrap().dtype, other_type, "{file}");
        }
        let mut command = register([&path, &path], &model, &float);
        let error = one_line_error(command.args(["--dtype", "float32"]));
        assert!(
            error.contains("uint8, uint16") && !float.exists(),
            "{error}"
        );
    }
}

#[test]
fn the_pixel_size_places_the_pictures_of_another_channel_too() {
    let bench = Bench::new();
    // Millimetres of its own, from (-50, -40) to (-27, -21).
    let affine = Affine::from_parts(Matrix3::identity(), Vector3::new(-50.0, -40.0, 0.0));
    let slice = Geometry::new([24, 20, 1], Dimension::Two, affine);
    let slice = bench.image("slice.nii.gz", &painted(&slice, ramp));
    // PNG lies from 0 to the left and posterior: 21 pixels reach x = -20 mm, or -60 mm where a pixel has 3 mm.
    let axes = Matrix3::from_diagonal(&Vector3::new(-1.0, -1.0, 1.0));
    let affine = Affine::from_parts(axes, Vector3::zeros());
    let picture = Geometry::new([21, 17, 1], Dimension::Two, affine);
    let path = bench.path("picture.png");
    write_series(&path, &colours(&picture, 3), DType::U8, "").unwrap();
    let register = |spacing: &str, out: &str| {
        let mut command = hmorph();
        command.arg("register").args([&slice, &slice]);
        command.args(["--linear", "none", "--no-network", "--metric", "mse"]);
        command.args(["--refine", "1", "--no-report", "--spacing", spacing]);
        command.arg("--channel");
        command.arg(format!("{},{}", path.display(), path.display()));
        command.arg("-o").arg(bench.path(out));
        command
    };
    let error = one_line_error(&mut register("1", "beside"));
    assert!(error.contains("do not overlap"), "{error}");
    register("3", "out").assert().success();
}

#[test]
fn a_colour_volume_is_moved_channel_by_channel() {
    let bench = Bench::new();
    let geometry = grid([14, 13, 12], [1.5, 2.0, 1.0], lps(), [1.0, 2.0, 3.0]);
    let volume = colours(&geometry, 3);
    let path = bench.path("colour.nii.gz");
    write_series(&path, &volume, DType::U8, "").unwrap();
    let model = bench.path("three.safetensors");
    constant_model(&model, &Card::default(), &[1.0, -2.0, 0.0]);
    let out = bench.path("out");
    register([&path, &path], &model, &out).assert().success();
    let moved = read_series(out.join("moved.nii.gz")).unwrap();
    assert_eq!((moved.volumes.len(), &moved.kind), (3, &SeriesKind::Colour));
    for (moved, volume) in moved.volumes.iter().zip(&volume.volumes) {
        assert_eq!(moved.data[[5, 7, 6]], volume.data[[6, 5, 6]]);
    }
    hmorph()
        .arg("apply")
        .args(["-t".as_ref(), out.as_path(), "-i".as_ref(), path.as_path()])
        .args(["-r".as_ref(), path.as_path(), "-o".as_ref()])
        .arg(bench.path("again.nii.gz"))
        .assert()
        .success();
    assert_eq!(read_series(bench.path("again.nii.gz")).unwrap(), moved);

    let wide = bench.path("wide");
    let mut command = register([&path, &path], &model, &wide);
    let error = one_line_error(command.args(["--dtype", "uint16"]));
    assert!(
        error.contains("choose --dtype uint8") && !wide.exists(),
        "{error}"
    );
}

#[test]
fn a_window_bounds_what_is_compared_but_not_what_is_moved() {
    let bench = Bench::new();
    let geometry = grid([14, 13, 12], [1.0; 3], lps(), [0.0; 3]);
    // Soft tissue that agrees; metal in one, and air of another value.
    let tissue = |p: Vector3<f64>| 40.0 + 6.0 * p.x - 4.0 * p.y + p.z;
    let metal = painted(&geometry, |p| if p.x > 4.0 { 3000.0 } else { tissue(p) });
    let other = painted(
        &geometry,
        |p| if p.x > 4.0 { 900.0 + p.y } else { tissue(p) },
    );
    let (f, m) = (
        bench.image("f.nii.gz", &other),
        bench.image("m.nii.gz", &metal),
    );
    let model = bench.path("zero.safetensors");
    constant_model(&model, &Card::default(), &[0.0; 3]);
    let out = bench.path("out");
    let mse = |arguments: &[&str]| {
        register([&f, &m], &model, &out)
            .args(arguments)
            .arg("--force")
            .assert()
            .success();
        record(&out)["measures"]["after"]["mse"].as_f64().unwrap()
    };
    assert!(mse(&[]) > 1e-4);
    assert_eq!(mse(&["--window", "-100,100"]), 0.0);
    let moved = read_image(out.join("moved.nii.gz")).unwrap();
    assert_eq!(moved.data, metal.data);
    let both = ["--fixed-window", "-100,100", "--moving-window", "-100,100"];
    assert_eq!(mse(&both), 0.0);
    assert!(mse(&both[..2]) > 1e-4);

    std::fs::remove_dir_all(&out).unwrap();
    let mut blank = register([&f, &m], &model, &out);
    let error = one_line_error(blank.args(["--window", "5000,6000"]));
    assert!(
        error.contains("f.nii.gz") && error.contains("window"),
        "{error}"
    );
    assert!(!out.exists());
    register([&f, &m], &model, &out)
        .args(["--window", "100,-100"])
        .assert()
        .code(2);
}

/// Blobs without symmetry, some 30 mm wide, in a stack of thick slices.
fn scene(p: Vector3<f64>) -> f64 {
    let blob = |centre: [f64; 3], size: f64| {
        (-(p - Vector3::from(centre)).norm_squared() / (size * size)).exp()
    };
    100.0 * (blob([0.0; 3], 14.0) + blob([9.0, 4.0, 2.0], 7.0) - 0.7 * blob([-5.0, 8.0, -4.0], 6.0))
}

#[test]
fn nothing_moves_across_thick_slices() {
    for (shape, spacing, across) in [
        ([30, 28, 6], [1.5, 1.5, 8.0], 2),
        ([6, 28, 30], [8.0, 1.5, 1.5], 0),
    ] {
        let bench = Bench::new();
        let geometry = grid(shape, spacing, lps(), [2.0, -1.0, 3.0]);
        let linear = geometry.affine.linear();
        let column = |axis: usize| Vector3::from(linear.column(axis % 3)).normalize();
        let normal = column(across);
        // Turned about the normal, shifted in the plane, and also across it, which must not be followed.
        let shift = column(across + 1) * 4.0 - column(across + 2) * 3.0;
        let turn = Rotation3::from_axis_angle(&nalgebra::Unit::new_normalize(normal), 0.25);
        let truth: Matrix4<f64> = Affine::from_parts(*turn.matrix(), shift).0;
        let back = truth.try_inverse().unwrap();
        let moving = painted(&geometry, |p| {
            scene((back * (p - normal * 2.0).push(1.0)).xyz())
        });
        let f = bench.image("f.nii.gz", &painted(&geometry, scene));
        let m = bench.image("m.nii.gz", &moving);
        let out = bench.path("out");
        hmorph()
            .arg("register")
            .args([&f, &m])
            .args(["--in-plane", "--linear", "rigid", "--refine", "10", "-o"])
            .arg(&out)
            .assert()
            .success();
        let WorldAffine(found) = read_affine(out.join("affine.mat")).unwrap();
        for place in [[12.0, 3.0, 1.0], [-9.0, -10.0, 4.0]] {
            let place = Vector3::from(place).push(1.0);
            let apart = (found * place - truth * place).xyz();
            // What is not followed across blurs the match within by less than a voxel.
            assert!(apart.norm() < 1.5, "{apart}");
            assert!((found * place - place).xyz().dot(&normal).abs() < 1e-3);
        }
        let field = read_field(out.join("forward.nii.gz")).unwrap();
        let still = field.data.index_axis(ndarray::Axis(0), across);
        // Millimetres of float32 on the way through the file.
        assert!(still.iter().all(|u| u.abs() < 1e-4));
        let measures = &record(&out)["measures"];
        let ncc = |state: &str| measures[state]["ncc"].as_f64().unwrap();
        assert!(
            ncc("after") > ncc("linear") && ncc("linear") > ncc("before"),
            "{measures}"
        );
    }
}

#[test]
fn slices_are_asked_of_volumes_alone() {
    let bench = Bench::new();
    let slice = Geometry::new([12, 13, 1], Dimension::Two, Affine::from_spacing([1.0; 3]));
    let slice = bench.image("slice.nii.gz", &painted(&slice, ramp));
    let stack = bench.image(
        "stack.nii.gz",
        &painted(&grid([12, 13, 5], [1.0, 1.0, 6.0], lps(), [0.0; 3]), ramp),
    );
    let before = bench.names();
    for (image, init, part) in [(&slice, "auto", "2-D"), (&stack, "moments", "tilt")] {
        let mut command = hmorph();
        command.arg("register").args([image, image]);
        command
            .args(["--in-plane", "--init", init, "-o"])
            .arg(bench.path("out"));
        let error = one_line_error(&mut command);
        assert!(error.contains(part), "{error}");
        assert_eq!(bench.names(), before);
    }
}
