//! The linear stage of `hmorph register`.

use std::path::{Path, PathBuf};

use hmorph::dataset::Align;
use hmorph::volume::{
    Affine, Dimension, Geometry, LabelMap, WorldAffine, read_affine, read_image, write_affine,
};
use nalgebra::{Matrix4, Rotation3, Vector3};
use serde_json::Value;

use crate::support::{
    Bench, Card, asr, constant_model, grid, hmorph, lps, one_line_error, painted, quarters,
};

/// Blobs without symmetry around the origin, some 30 mm wide.
fn scene(p: Vector3<f64>) -> f64 {
    let blob = |centre: [f64; 3], size: f64| {
        (-(p - Vector3::from(centre)).norm_squared() / (size * size)).exp()
    };
    100.0 * (blob([0.0; 3], 11.0) + blob([8.0, 4.0, -3.0], 6.0) - 0.7 * blob([-4.0, 7.0, 4.0], 5.0))
}

/// Fixed, moving and the map between their worlds; their axes, voxels and places differ.
struct Scans {
    bench: Bench,
    fixed: PathBuf,
    moving: PathBuf,
    model: PathBuf,
    truth: Matrix4<f64>,
}

impl Scans {
    fn new(align: Align) -> Self {
        let bench = Bench::new();
        let turn = Rotation3::from_euler_angles(0.2, -0.1, 0.4).into_inner() * 1.1;
        let truth = Affine::from_parts(turn, Vector3::new(6.0, -9.0, 4.0)).0;
        let back = truth.try_inverse().unwrap();
        let fixed_grid = grid([26, 24, 22], [2.0, 2.2, 2.4], lps(), [1.0, 2.0, -1.0]);
        let moving_grid = grid([30, 26, 28], [2.0, 2.5, 2.2], asr(), [4.0, -6.0, 3.0]);
        let fixed = bench.image("fixed.nii.gz", &painted(&fixed_grid, scene));
        let moving = painted(&moving_grid, |p| scene((back * p.push(1.0)).xyz()));
        let moving = bench.image("moving.nii.gz", &moving);
        let model = bench.path("zero.safetensors");
        let card = Card {
            align,
            orientation: Some("RAS"),
            ..Card::default()
        };
        constant_model(&model, &card, &[0.0; 3]);
        Self {
            bench,
            fixed,
            moving,
            model,
            truth,
        }
    }

    fn command(&self, out: &Path) -> assert_cmd::Command {
        let mut command = hmorph();
        command.arg("register").args([&self.fixed, &self.moving]);
        command.arg("--model").arg(&self.model).arg("-o").arg(out);
        command
    }

    /// Millimetres between where a map and the truth bring the ends of the scene.
    fn error(&self, found: &Matrix4<f64>) -> f64 {
        let ends = [[15.0, 0.0, 0.0], [0.0, -15.0, 5.0], [-8.0, 3.0, 12.0]];
        let far = ends.map(|end| {
            let end = Vector3::from(end).push(1.0);
            (found * end - self.truth * end).norm()
        });
        far.into_iter().fold(0.0, f64::max)
    }
}

fn record(out: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(out.join("run.json")).unwrap()).unwrap()
}

#[test]
fn scans_are_aligned_before_the_network_without_being_asked() {
    for align in [Align::Header, Align::Affine] {
        let scans = Scans::new(align);
        let out = scans.bench.path("out");
        // Of a few thousand voxels correlation says more than a histogram.
        scans
            .command(&out)
            .args(["--metric", "ncc"])
            .assert()
            .success();
        let found = read_affine(out.join("affine.mat")).unwrap().0;
        // A quarter of a voxel.
        assert!(scans.error(&found) < 0.5, "{}", scans.error(&found));
        let measures = &record(&out)["measures"];
        let ncc =
            ["before", "linear", "after"].map(|state| measures[state]["ncc"].as_f64().unwrap());
        // What the moving image does not cover counts as dark.
        assert!(ncc[1] > ncc[0] + 0.3, "{ncc:?}");
        // The model moves nothing; its grid ends with the fixed image.
        approx::assert_abs_diff_eq!(ncc[1], ncc[2], epsilon = 1e-2);
        let [fixed, moved] =
            [&scans.fixed, &out.join("moved.nii.gz")].map(|path| read_image(path).unwrap());
        let apart = fixed
            .data
            .iter()
            .zip(&moved.data)
            // Beyond the moving image the moved one is dark.
            .filter(|(f, m)| **m > 5.0 && (*f - *m).abs() > 5.0);
        assert!(apart.count() * 20 < fixed.data.len());
    }
}

#[test]
fn a_given_matrix_is_a_start_or_the_whole_of_it() {
    let scans = Scans::new(Align::Header);
    let start = Affine::from_parts(
        Rotation3::from_euler_angles(0.1, 0.0, 0.3).into_inner(),
        Vector3::new(4.0, -7.0, 5.0),
    );
    let file = scans.bench.path("start.txt");
    let image = read_image(&scans.fixed).unwrap();
    write_affine(
        &file,
        &WorldAffine(start.0),
        &image.geometry,
        &image.geometry,
    )
    .unwrap();
    let run = |name: &str, linear: &str| {
        let out = scans.bench.path(name);
        scans
            .command(&out)
            .arg("--init")
            .arg(&file)
            .args(["--linear", linear, "--metric", "ncc"])
            .assert()
            .success();
        (read_affine(out.join("affine.mat")).unwrap().0, record(&out))
    };
    let (alone, _) = run("alone", "none");
    approx::assert_relative_eq!(alone, start.0, epsilon = 1e-9);
    let (refined, facts) = run("refined", "similarity");
    assert!(scans.error(&refined) < 0.5, "{}", scans.error(&refined));
    let before = facts["measures"]["before"]["ncc"].as_f64().unwrap();
    let (_, plain) = run("again", "none");
    // What it started from is the matrix, not the headers.
    approx::assert_abs_diff_eq!(
        plain["measures"]["before"]["ncc"].as_f64().unwrap(),
        before,
        epsilon = 1e-6
    );
}

#[test]
fn headers_alone_are_left_on_request() {
    let scans = Scans::new(Align::Centre);
    let out = scans.bench.path("out");
    scans
        .command(&out)
        .args(["--init", "none"])
        .assert()
        .success();
    let found = read_affine(out.join("affine.mat")).unwrap().0;
    approx::assert_relative_eq!(found, Matrix4::identity(), epsilon = 1e-12);
}

#[test]
fn a_slide_that_lies_upside_down_is_turned_over() {
    let bench = Bench::new();
    let geometry = Geometry::new([44, 40, 1], Dimension::Two, Affine::from_spacing([1.0; 3]));
    let flat = |x: f64, y: f64| scene(Vector3::new(x, y, 0.0));
    let fixed = bench.image(
        "f.nii.gz",
        &painted(&geometry, |p| flat(p.x - 21.0, p.y - 19.0)),
    );
    // Mirrored along x and turned over by 180 degrees: mirrored along y.
    let moving = bench.image(
        "m.nii.gz",
        &painted(&geometry, |p| flat(p.x - 23.0, 20.0 - p.y)),
    );
    let model = bench.path("zero.safetensors");
    let card = Card {
        dimension: Dimension::Two,
        ..Card::default()
    };
    constant_model(&model, &card, &[0.0; 2]);
    let out = bench.path("out");
    let mut command = hmorph();
    command
        .arg("register")
        .args([&fixed, &moving])
        .arg("--model")
        .arg(&model)
        .arg("-o")
        .arg(&out);
    command
        .args(["--linear", "rigid", "--search", "180", "--allow-flip"])
        .assert()
        .success();
    let found = read_affine(out.join("affine.mat")).unwrap().0;
    let expected = Matrix4::new(
        1.0, 0.0, 0.0, 2.0, 0.0, -1.0, 0.0, 39.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0,
    );
    approx::assert_abs_diff_eq!(found, expected, epsilon = 0.3);
}

#[test]
fn what_cannot_be_aligned_is_said_in_one_line_and_nothing_is_written() {
    let scans = Scans::new(Align::Header);
    let bench = &scans.bench;
    let fixed_grid = read_image(&scans.fixed).unwrap().geometry;
    let empty = LabelMap {
        data: quarters(&fixed_grid).data.map(|_| 0),
        geometry: fixed_grid.clone(),
    };
    let empty = bench.labels("empty.nii.gz", &empty);
    let other = bench.labels(
        "other.nii.gz",
        &quarters(&grid([5, 6, 7], [1.0; 3], lps(), [0.0; 3])),
    );
    let mut far_grid = fixed_grid;
    far_grid.affine.0[(0, 3)] += 5000.0;
    let far = bench.image(
        "far.nii.gz",
        &painted(&far_grid, |p| scene(p - Vector3::new(5000.0, 0.0, 0.0))),
    );
    std::fs::write(
        bench.path("flat.txt"),
        "1 0 0 0\n0 0 0 0\n0 0 1 0\n0 0 0 1\n",
    )
    .unwrap();
    let away = bench.path("away.txt");
    std::fs::write(&away, "1 0 0 900\n0 1 0 0\n0 0 1 0\n0 0 0 1\n").unwrap();
    let before = bench.names();
    let text = |path: &Path| path.to_str().unwrap().to_string();
    let flat = text(&bench.path("flat.txt"));
    let cases: [(&[&str], &str); 7] = [
        (&["--fixed-mask", &text(&empty)], "excludes the whole image"),
        (&["--fixed-mask", &text(&other)], "5x6x7"),
        (&["--init", &flat], "singular"),
        (&["--init", "missing.mat"], "missing.mat"),
        (
            &["--init", &text(&away), "--linear", "none"],
            "do not overlap",
        ),
        (&["--allow-flip"], "2-D"),
        (&["--init", "none", "--linear", "rigid"], "--init header"),
    ];
    for (arguments, part) in cases {
        let error = one_line_error(scans.command(&bench.path("out")).args(arguments));
        assert!(error.contains(part), "{arguments:?}: {error}");
        assert_eq!(bench.names(), before, "{arguments:?}");
    }
    let mut apart = hmorph();
    apart
        .arg("register")
        .args([&scans.fixed, &far])
        .arg("-o")
        .arg(bench.path("out"));
    let error = one_line_error(&mut apart);
    assert!(
        error.contains("do not overlap") && error.contains("--init mass"),
        "{error}"
    );
    apart
        .args(["--init", "mass", "--linear", "rigid"])
        .assert()
        .success();
    let found = read_affine(bench.path("out/affine.mat")).unwrap().0;
    approx::assert_abs_diff_eq!(found[(0, 3)], 5000.0, epsilon = 1.0);
    for wrong in [
        ["--init", "heads"],
        ["--search", "-5"],
        ["--linear", "curved"],
        ["--metric", "ssd"],
    ] {
        scans
            .command(&bench.path("out"))
            .args(wrong)
            .assert()
            .code(2);
    }
}
