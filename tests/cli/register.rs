//! `hmorph register` as its users see it.

use hmorph::dataset::Align;
use hmorph::volume::{
    Affine, DType, Dimension, Geometry, Image, read_affine, read_field, read_image, read_labels,
    write_image,
};
use nalgebra::{Matrix3, Vector3};
use ndarray::Array3;

use crate::support::{
    Bench, Card, asr, constant_model, grid, hmorph, lps, one_line_error, painted, quarters, ramp,
    register, world,
};

/// Voxels whose place, moved by `shift` (mm), lies inside `other` by half a voxel.
fn inside(grid: &Geometry, other: &Geometry, shift: Vector3<f64>, voxel: [usize; 3]) -> bool {
    let place = other.affine.inverse().unwrap() * (world(grid, voxel) + shift).push(1.0);
    (0..3).all(|axis| place[axis] >= 0.0 && place[axis] <= other.shape[axis] as f64 - 1.0)
}

#[test]
fn headers_alone_bring_scans_of_any_grid_together() {
    let bench = Bench::new();
    let fixed_grid = grid([18, 14, 11], [1.5, 2.0, 3.0], lps(), [4.0, -3.0, 9.0]);
    let moving_grid = grid([16, 20, 15], [2.2, 1.8, 2.5], asr(), [1.0, 2.0, 6.0]);
    let fixed = painted(&fixed_grid, ramp);
    let (f, m) = (
        bench.image("fixed.nii.gz", &fixed),
        bench.image("moving.nii.gz", &painted(&moving_grid, ramp)),
    );
    let fl = bench.labels("fixed_labels.nii.gz", &quarters(&fixed_grid));
    let ml = bench.labels("moving_labels.nii.gz", &quarters(&moving_grid));
    let model = bench.path("zero.safetensors");
    let card = Card {
        orientation: Some("RAS"),
        spacing: Some([2.0; 3]),
        ..Card::default()
    };
    constant_model(&model, &card, &[0.0; 3]);
    let out = bench.path("out");
    register([&f, &m], &model, &out)
        .arg("--fixed-labels")
        .arg(&fl)
        .arg("--moving-labels")
        .arg(&ml)
        .assert()
        .success();

    let moved = read_image(out.join("moved.nii.gz")).unwrap();
    assert_eq!(moved.geometry.shape, fixed_grid.shape);
    let labels = read_labels(out.join("moved_labels.nii.gz")).unwrap();
    let expected_labels = quarters(&fixed_grid);
    let (mut compared, mut other_label) = (0, 0);
    for ((i, j, k), &value) in moved.data.indexed_iter() {
        if inside(&fixed_grid, &moving_grid, Vector3::zeros(), [i, j, k]) {
            compared += 1;
            // Values near 500 in float32, affines in the header in float32.
            approx::assert_abs_diff_eq!(value, fixed.data[[i, j, k]], epsilon = 0.01);
            other_label += usize::from(labels.data[[i, j, k]] != expected_labels.data[[i, j, k]]);
        }
    }
    assert!(compared > 1000, "{compared}");
    // Only voxels along the two borders may differ: half of their cut through each row.
    assert!(other_label * 8 < compared, "{other_label} of {compared}");
    let forward = read_field(out.join("forward.nii.gz")).unwrap();
    assert!(forward.data.iter().all(|u| u.abs() < 1e-5));
    let record: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.join("run.json")).unwrap()).unwrap();
    assert_eq!(record["measures"]["folded_voxels"], 0);
    assert_eq!(record["measures"]["structures"], 4);
    let dice = &record["measures"];
    assert_eq!(dice["before"]["dice"], dice["after"]["dice"]);
    assert!(dice["after"]["dice"].as_f64().unwrap() > 0.7, "{dice}");
}

#[test]
fn a_known_displacement_is_written_in_millimetres_on_both_grids() {
    let bench = Bench::new();
    let fixed_grid = grid([18, 14, 11], [1.5, 2.0, 3.0], lps(), [4.0, -3.0, 9.0]);
    let moving_grid = grid([16, 20, 15], [2.2, 1.8, 2.5], asr(), [1.0, 2.0, 6.0]);
    let f = bench.image("f.nii.gz", &painted(&fixed_grid, ramp));
    let m = bench.image("m.nii.gz", &painted(&moving_grid, ramp));
    let model = bench.path("shift.safetensors");
    let card = Card {
        orientation: Some("RAS"),
        spacing: Some([2.0; 3]),
        ..Card::default()
    };
    constant_model(&model, &card, &[1.5, -0.5, 0.75]);
    let out = bench.path("out");
    hmorph()
        .args([
            "register".as_ref(),
            "-f".as_ref(),
            f.as_os_str(),
            "-m".as_ref(),
            m.as_os_str(),
        ])
        .args([
            "-o".as_ref(),
            out.as_os_str(),
            "--model".as_ref(),
            model.as_os_str(),
        ])
        .args(["--linear", "none", "--refine", "0"])
        .assert()
        .success();

    // The network's grid has the fixed image's axes in the order and direction of RAS: R is -i, A is -j, S is k,
    // with voxels of 2 mm.
    let step = |axis: usize, sign: f64| {
        let column: Vector3<f64> = fixed_grid.affine.linear().column(axis).into_owned();
        column.normalize() * sign * 2.0
    };
    let shift = step(0, -1.0) * 1.5 + step(1, -1.0) * -0.5 + step(2, 1.0) * 0.75;
    for (name, grid, expected) in [
        ("forward", &fixed_grid, shift),
        ("inverse", &moving_grid, -shift),
    ] {
        let field = read_field(out.join(format!("{name}.nii.gz"))).unwrap();
        assert_eq!(field.geometry.shape, grid.shape, "{name}");
        for voxel in [[0, 0, 0], [7, 5, 4], [15, 13, 10]] {
            let [i, j, k] = voxel;
            let u = Vector3::from([0, 1, 2].map(|c| f64::from(field.data[[c, i, j, k]])));
            let found = grid.affine.linear() * u;
            // Header affines and vectors are float32.
            approx::assert_relative_eq!(found, expected, epsilon = 1e-4);
        }
    }
    let moved = read_image(out.join("moved.nii.gz")).unwrap();
    let mut compared = 0;
    for ((i, j, k), &value) in moved.data.indexed_iter() {
        if inside(&fixed_grid, &moving_grid, shift, [i, j, k]) {
            compared += 1;
            let expected = ramp(world(&fixed_grid, [i, j, k]) + shift);
            approx::assert_abs_diff_eq!(f64::from(value), expected, epsilon = 0.01);
        }
    }
    assert!(compared > 1000, "{compared}");
}

#[test]
fn centres_meet_where_headers_mean_nothing() {
    let bench = Bench::new();
    // The same voxels, one with two more planes on either side of axis j, far apart in the world.
    let small = grid([9, 8, 7], [1.0; 3], lps(), [0.0; 3]);
    let large = grid([9, 12, 7], [1.0; 3], lps(), [900.0, 0.0, 0.0]);
    let value = |i: usize, j: usize, k: usize| (3 * i * i + 7 * j + k * k * k) as f32;
    let fixed = Image {
        data: Array3::from_shape_fn(small.shape, |(i, j, k)| value(i, j + 2, k)),
        geometry: small,
    };
    let moving = Image {
        data: Array3::from_shape_fn(large.shape, |(i, j, k)| value(i, j, k)),
        geometry: large,
    };
    let (f, m) = (
        bench.image("f.nii.gz", &fixed),
        bench.image("m.nii.gz", &moving),
    );
    let model = bench.path("zero.safetensors");
    constant_model(
        &model,
        &Card {
            align: Align::Centre,
            ..Card::default()
        },
        &[0.0; 3],
    );
    let out = bench.path("out");
    let mut command = register([&f, &m], &model, &out);
    command.assert().success();
    let moved = read_image(out.join("moved.nii.gz")).unwrap();
    // Whole voxels: no interpolation. Displacements of 900 mm in float32 are good to 1e-4 voxels, here of values
    // that differ by up to 150 from voxel to voxel.
    for (found, expected) in moved.data.iter().zip(&fixed.data) {
        approx::assert_abs_diff_eq!(found, expected, epsilon = 0.05);
    }
    // By their headers the two have nothing in common.
    std::fs::remove_dir_all(&out).unwrap();
    let error = one_line_error(command.args(["--init", "none"]));
    assert!(error.contains("do not overlap"), "{error}");
    assert!(!out.exists());
}

#[test]
fn two_dimensional_images_have_two_components() {
    let bench = Bench::new();
    let geometry = Geometry::new([21, 17, 1], Dimension::Two, Affine::from_spacing([1.0; 3]));
    let data = Array3::from_shape_fn(geometry.shape, |(i, j, _)| (10 * i + 3 * j) as f32);
    let image = Image { data, geometry };
    let (f, m) = (bench.path("f.png"), bench.path("m.png"));
    for path in [&f, &m] {
        write_image(path, &image, DType::U16, "").unwrap();
    }
    let model = bench.path("two.safetensors");
    let card = Card {
        dimension: Dimension::Two,
        ..Card::default()
    };
    constant_model(&model, &card, &[2.0, -1.0]);
    let out = bench.path("out");
    register([&f, &m], &model, &out)
        .args(["--fill", "-7"])
        .assert()
        .success();
    let moved = read_image(out.join("moved.nii.gz")).unwrap();
    assert_eq!(moved.data[[4, 5, 0]], 10.0 * 6.0 + 3.0 * 4.0);
    assert_eq!(moved.data[[20, 5, 0]], -7.0, "outside of the moving image");
    let forward = read_field(out.join("forward.nii.gz")).unwrap();
    assert_eq!(forward.data.dim(), (2, 21, 17, 1));
    assert_eq!(
        (forward.data[[0, 9, 9, 0]], forward.data[[1, 9, 9, 0]]),
        (2.0, -1.0)
    );

    // `apply` knows the size of pixels that the registration was told.
    let out = bench.path("fine");
    let mut command = register([&f, &m], &model, &out);
    command.args(["--spacing", "0.25,0.5"]).assert().success();
    let again = bench.path("again.png");
    let mut command = hmorph();
    command.arg("apply").arg("-t").arg(&out).arg("-i").arg(&m);
    command.arg("-r").arg(&f).arg("-o").arg(&again);
    command.assert().success();
    let [first, second] = [out.join("moved.png"), again].map(|path| read_image(path).unwrap());
    assert_eq!(first.data, second.data);
}

#[test]
fn the_built_in_models_need_no_argument() {
    let bench = Bench::new();
    for (name, shape) in [("two", [40, 33, 1]), ("three", [20, 18, 17])] {
        let mut geometry = grid(shape, [1.0; 3], lps(), [0.0; 3]);
        if shape[2] == 1 {
            geometry = Geometry::new(shape, Dimension::Two, Affine::from_spacing([1.0; 3]));
        }
        let blob = |centre: f64| {
            painted(&geometry, move |p| {
                100.0 * (-(p - Vector3::repeat(centre)).norm_squared() / 40.0).exp()
            })
        };
        let f = bench.image(&format!("{name}_f.nii.gz"), &blob(0.0));
        let m = bench.image(&format!("{name}_m.nii.gz"), &blob(1.5));
        let text = hmorph()
            .current_dir(bench.folder.path())
            .arg("register")
            .args([f, m])
            .output();
        let text = String::from_utf8(text.unwrap().stdout).unwrap();
        assert!(text.contains("NCC") && text.contains("built-in"), "{text}");
        let out = bench.path(&format!("{name}_m_to_{name}_f"));
        for file in [
            "moved.nii.gz",
            "forward.nii.gz",
            "inverse.nii.gz",
            "run.json",
        ] {
            assert!(out.join(file).is_file(), "{file}");
        }
    }
}

#[test]
fn what_cannot_be_registered_is_said_in_one_line_and_nothing_is_written() {
    let bench = Bench::new();
    let geometry = grid([12, 13, 14], [1.0; 3], lps(), [0.0; 3]);
    let good = bench.image("good.nii.gz", &painted(&geometry, ramp));
    let flat = bench.image("flat.nii.gz", &painted(&geometry, |_| 77.0));
    let slice = Geometry::new([12, 13, 1], Dimension::Two, Affine::from_spacing([1.0; 3]));
    let slice = bench.image("slice.nii.gz", &painted(&slice, ramp));
    let other = grid([12, 13, 15], [1.0; 3], lps(), [0.0; 3]);
    let labels = bench.labels("labels.nii.gz", &quarters(&other));
    let two = bench.path("two.safetensors");
    constant_model(
        &two,
        &Card {
            dimension: Dimension::Two,
            ..Card::default()
        },
        &[0.0; 2],
    );
    std::fs::write(bench.path("text.nii.gz"), "not an image").unwrap();
    let before = bench.names();
    let (good, flat) = (good.to_str().unwrap(), flat.to_str().unwrap());
    let (slice, labels, two) = (
        slice.to_str().unwrap(),
        labels.to_str().unwrap(),
        two.to_str().unwrap(),
    );
    let cases: [(&[&str], &str); 8] = [
        (&[good, "missing.nii.gz"], "missing.nii.gz"),
        (&[good, "text.nii.gz"], "text.nii.gz"),
        (&[good, flat], "every voxel is 77"),
        (&[good, slice], "both must have the same dimension"),
        (&[good, good, "--model", two], "2-D"),
        (&[good, good, "--moving-labels", labels], "12x13x15"),
        (&[good, good, "--moving-frame", "3"], "frame"),
        // 12 x 13 x 14 mm in voxels of 0.01 mm: 2.2e9 of them.
        (
            &[good, good, "--network-spacing", "0.01"],
            "2184.0 million voxels",
        ),
    ];
    for (arguments, part) in cases {
        let mut command = hmorph();
        command
            .current_dir(bench.folder.path())
            .arg("register")
            .args(arguments);
        let error = one_line_error(&mut command);
        assert!(error.contains(part), "{arguments:?}: {error}");
        assert_eq!(bench.names(), before, "{arguments:?}");
    }
}

#[test]
fn wrong_usage_has_exit_code_2() {
    let cases: [&[&str]; 6] = [
        &["register"],
        &["register", "a.nii.gz"],
        &["register", "-f", "a.nii.gz"],
        &[
            "register", "a.nii.gz", "b.nii.gz", "-f", "c.nii.gz", "-m", "d.nii.gz",
        ],
        &["register", "a.nii.gz", "b.nii.gz", "--fill", "black"],
        &[
            "register",
            "a.nii.gz",
            "b.nii.gz",
            "--normalize",
            "percentile:1",
        ],
    ];
    for arguments in cases {
        hmorph().args(arguments).assert().code(2);
    }
}

#[test]
fn existing_results_are_kept_unless_forced() {
    let bench = Bench::new();
    let geometry = grid([12, 13, 14], [1.0; 3], lps(), [0.0; 3]);
    let image = bench.image("image.nii.gz", &painted(&geometry, ramp));
    let model = bench.path("zero.safetensors");
    constant_model(&model, &Card::default(), &[0.0; 3]);
    let out = bench.path("out");
    let again = || register([&image, &image], &model, &out);
    again().assert().success();
    std::fs::write(out.join("moved.nii.gz"), "mine").unwrap();
    let error = one_line_error(&mut again());
    assert!(error.contains("--force"), "{error}");
    assert_eq!(std::fs::read(out.join("moved.nii.gz")).unwrap(), b"mine");
    again().arg("--force").assert().success();
    assert!(read_image(out.join("moved.nii.gz")).is_ok());
    assert_eq!(bench.names(), ["image.nii.gz", "out", "zero.safetensors"]);
}

#[test]
fn the_grid_of_the_network_is_recorded_where_there_was_one() {
    let bench = Bench::new();
    let geometry = grid([12, 13, 14], [1.0; 3], lps(), [0.0; 3]);
    let image = bench.image("image.nii.gz", &painted(&geometry, ramp));
    let model = bench.path("zero.safetensors");
    constant_model(&model, &Card::default(), &[0.0; 3]);
    let out = bench.path("out");
    let record = |options: &[&str]| -> serde_json::Value {
        let mut command = hmorph();
        command.arg("register").args([&image, &image]);
        command.args(["--linear", "none", "--refine", "1", "--no-report"]);
        command.args(options).arg("--force").arg("-o").arg(&out);
        command.assert().success();
        serde_json::from_slice(&std::fs::read(out.join("run.json")).unwrap()).unwrap()
    };
    // The optimisation after it is on the grid of the image, of 1 mm.
    let model = model.to_str().unwrap();
    let found = record(&["--model", model, "--network-spacing", "2"]);
    for size in found["network_grid"]["spacing_mm"].as_array().unwrap() {
        approx::assert_abs_diff_eq!(size.as_f64().unwrap(), 2.0, epsilon = 1e-4);
    }
    assert!(record(&["--no-network"])["network_grid"].is_null());
}

#[test]
fn centres_that_meet_mirror_no_volume() {
    let bench = Bench::new();
    // The same anatomy, stored from right to left and from left to right, far apart in the world.
    let shape = [9, 8, 7];
    let value = |i: usize, j: usize, k: usize| (3 * i * i + 7 * j + k * k * k) as f32;
    let image = |affine: Affine, value: &dyn Fn(usize, usize, usize) -> f32| Image {
        data: Array3::from_shape_fn(shape, |(i, j, k)| value(i, j, k)),
        geometry: Geometry::new(shape, Dimension::Three, affine),
    };
    let rightwards = Affine::identity();
    let mut leftwards = Matrix3::identity();
    leftwards[(0, 0)] = -1.0;
    let leftwards = Affine::from_parts(leftwards, Vector3::new(900.0, 0.0, 0.0));
    let fixed = image(rightwards, &value);
    let moving = image(leftwards, &|i, j, k| value(8 - i, j, k));
    let (f, m) = (
        bench.image("f.nii.gz", &fixed),
        bench.image("m.nii.gz", &moving),
    );
    for (out, stages) in [
        ("network", &["--refine", "0"][..]),
        ("alone", &["--no-network", "--refine", "0"]),
    ] {
        let out = bench.path(out);
        let mut command = hmorph();
        command.arg("register").args([&f, &m]).arg("-o").arg(&out);
        command
            .args(["--init", "centre", "--linear", "none"])
            .args(stages);
        command.assert().success();
        if out.ends_with("alone") {
            let moved = read_image(out.join("moved.nii.gz")).unwrap();
            for (found, expected) in moved.data.iter().zip(&fixed.data) {
                assert!((found - expected).abs() < 0.1, "{found} {expected}");
            }
        }
        let linear = read_affine(out.join("affine.mat")).unwrap().0;
        assert!(linear.determinant() > 0.0, "{linear}");
    }
}
