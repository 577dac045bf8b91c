//! `hmorph register` with corresponding landmarks.

use std::path::{Path, PathBuf};

use hmorph::volume::{Affine, Dimension, Geometry, VoxelPoint, WorldPoint};
use nalgebra::{Matrix3, Vector3};

use crate::support::{
    Bench, Card, asr, constant_model, grid, hmorph, lps, one_line_error, painted, ramp, register,
};

/// Scans on oblique grids, and a model whose displacement is the same everywhere.
struct Study {
    bench: Bench,
    images: [PathBuf; 2],
    model: PathBuf,
    fixed: Geometry,
    moving: Geometry,
    /// From the fixed to the moving world, RAS mm.
    shift: Vector3<f64>,
}

impl Study {
    fn new() -> Self {
        let bench = Bench::new();
        let fixed = grid([18, 14, 11], [1.5, 2.0, 3.0], lps(), [4.0, -3.0, 9.0]);
        let moving = grid([16, 20, 15], [2.2, 1.8, 2.5], asr(), [1.0, 2.0, 6.0]);
        let images = [("f.nii.gz", &fixed), ("m.nii.gz", &moving)]
            .map(|(name, grid)| bench.image(name, &painted(grid, ramp)));
        let model = bench.path("shift.safetensors");
        // Without an orientation or a spacing of its own the network works on the fixed grid.
        constant_model(&model, &Card::default(), &[1.5, -0.5, 0.75]);
        let shift = fixed.affine.linear() * Vector3::new(1.5, -0.5, 0.75);
        Self {
            bench,
            images,
            model,
            fixed,
            moving,
            shift,
        }
    }

    fn register(&self, out: &str) -> assert_cmd::Command {
        let [f, m] = &self.images;
        register([f, m], &self.model, &self.bench.path(out))
    }

    /// Writes landmarks given in RAS mm.
    fn points(
        &self,
        name: &str,
        points: &[(Vector3<f64>, &str)],
        numbers: impl Fn(Vector3<f64>) -> Vector3<f64>,
    ) -> PathBuf {
        let rows = points.iter().map(|(at, name)| {
            let at = numbers(*at);
            format!("{},{},{},{name}\n", at.x, at.y, at.z)
        });
        let path = self.bench.path(name);
        std::fs::write(&path, format!("x,y,z,name\n{}", rows.collect::<String>())).unwrap();
        path
    }
}

fn in_lps(at: Vector3<f64>) -> Vector3<f64> {
    Vector3::new(-at.x, -at.y, at.z)
}

fn read(path: &Path) -> Vec<(Vector3<f64>, String)> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    reader
        .deserialize::<(f64, f64, f64, String)>()
        .map(|row| {
            let (x, y, z, name) = row.unwrap();
            (Vector3::new(x, y, z), name)
        })
        .collect()
}

fn record(folder: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(folder.join("run.json")).unwrap()).unwrap()
}

#[test]
fn errors_are_those_of_fixed_landmarks_carried_to_the_moving_scan() {
    let study = Study::new();
    let fixed = [[4, 5, 3], [9, 7, 6], [12, 4, 8]].map(|voxel: [i32; 3]| {
        let voxel = VoxelPoint(Vector3::from(voxel.map(f64::from)));
        study.fixed.affine.to_world(voxel).0
    });
    // What is left after the shift: nothing, 5 mm along x, and 3 mm along z.
    let left = [Vector3::zeros(), Vector3::x() * 5.0, Vector3::z() * -3.0];
    let moving: Vec<Vector3<f64>> = (0..3).map(|n| fixed[n] + study.shift + left[n]).collect();
    let f = study.points(
        "f.csv",
        &[(fixed[0], "a"), (fixed[1], "b"), (fixed[2], "c")],
        in_lps,
    );
    // In another order: names decide.
    let m = study.points(
        "m.csv",
        &[(moving[2], "c"), (moving[0], "a"), (moving[1], "b")],
        in_lps,
    );
    let output = study
        .register("out")
        .arg("--fixed-points")
        .arg(&f)
        .arg("--moving-points")
        .arg(&m)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("carried forward to MOVING"), "{text}");

    let out = study.bench.path("out");
    let record = record(&out);
    let measures = &record["measures"];
    let close = |found: &serde_json::Value, expected: f64| {
        // The field and the headers are float32.
        approx::assert_abs_diff_eq!(found.as_f64().unwrap(), expected, epsilon = 1e-4);
    };
    close(&measures["after"]["tre_mean_mm"], 8.0 / 3.0);
    close(&measures["after"]["tre_median_mm"], 3.0);
    close(&measures["after"]["tre_max_mm"], 5.0);
    let before = left.map(|left| (study.shift + left).norm());
    close(
        &measures["before"]["tre_mean_mm"],
        before.iter().sum::<f64>() / 3.0,
    );
    let each = record["landmarks"]["errors"].as_array().unwrap();
    assert_eq!(each[0]["name"], "c");
    close(&each[0]["before_mm"], before[2]);
    close(&each[0]["after_mm"], 3.0);

    // The moving landmarks go the other way, in the order of their file.
    let moved = read(&out.join("moved_points.csv"));
    for ((at, name), (n, expected)) in moved.iter().zip([(2, "c"), (0, "a"), (1, "b")]) {
        assert_eq!(name, expected);
        approx::assert_abs_diff_eq!(*at, in_lps(moving[n] - study.shift), epsilon = 1e-4);
    }
}

#[test]
fn the_space_of_landmarks_does_not_change_their_errors() {
    let study = Study::new();
    let at = study
        .fixed
        .affine
        .to_world(VoxelPoint(Vector3::new(8.0, 6.0, 5.0)))
        .0;
    let (f, m) = ([(at, "")], [(at + study.shift + Vector3::y() * 2.0, "")]);
    let voxel = |grid: &Geometry| {
        let inverse = grid.affine.inverse().unwrap();
        move |at: Vector3<f64>| inverse.transform_point(&at.into()).coords
    };
    let files = [
        (
            "lps",
            study.points("f1.csv", &f, in_lps),
            study.points("m1.csv", &m, in_lps),
        ),
        (
            "ras",
            study.points("f2.csv", &f, |at| at),
            study.points("m2.csv", &m, |at| at),
        ),
        (
            "voxel",
            study.points("f3.csv", &f, voxel(&study.fixed)),
            study.points("m3.csv", &m, voxel(&study.moving)),
        ),
    ];
    for (space, f, m) in &files {
        study
            .register(space)
            .args(["--points-space", *space, "--no-report"])
            .arg("--fixed-points")
            .arg(f)
            .arg("--moving-points")
            .arg(m)
            .assert()
            .success();
        let out = study.bench.path(space);
        let error = record(&out)["measures"]["after"]["tre_mean_mm"]
            .as_f64()
            .unwrap();
        approx::assert_abs_diff_eq!(error, 2.0, epsilon = 1e-4);
        let there = read(&out.join("moved_points.csv"))[0].0;
        let there = match *space {
            "lps" => WorldPoint(in_lps(there)),
            "ras" => WorldPoint(there),
            _ => study.fixed.affine.to_world(VoxelPoint(there)),
        };
        approx::assert_abs_diff_eq!(there.0, at + Vector3::y() * 2.0, epsilon = 1e-4);
        assert!(!out.join("report.html").exists());
    }
}

#[test]
fn slices_far_apart_do_not_count_as_an_error() {
    let bench = Bench::new();
    let plane = |z: f64| {
        let affine = Affine::from_parts(Matrix3::identity() * 2.0, Vector3::new(0.0, 0.0, z));
        Geometry::new([21, 17, 1], Dimension::Two, affine)
    };
    let f = bench.image("f.nii.gz", &painted(&plane(0.0), |p| p.x + 2.0 * p.y));
    let m = bench.image("m.nii.gz", &painted(&plane(40.0), |p| p.x + 2.0 * p.y));
    let model = bench.path("two.safetensors");
    let card = Card {
        dimension: Dimension::Two,
        ..Card::default()
    };
    constant_model(&model, &card, &[2.0, 0.0]);
    // LPS: 2 voxels of 2 mm to the right are -4 mm; 3 mm are left along y.
    std::fs::write(bench.path("f.csv"), "x,y,z\n-10,-12,0\n").unwrap();
    std::fs::write(bench.path("m.csv"), "x,y,z\n-14,-15,40\n").unwrap();
    let out = bench.path("out");
    register([&f, &m], &model, &out)
        .arg("--fixed-points")
        .arg(bench.path("f.csv"))
        .arg("--moving-points")
        .arg(bench.path("m.csv"))
        .assert()
        .success();
    let error = record(&out)["measures"]["after"]["tre_mean_mm"]
        .as_f64()
        .unwrap();
    approx::assert_abs_diff_eq!(error, 3.0, epsilon = 1e-4);

    // An evaluation says the same.
    let list = "fixed,moving,fixed_points,moving_points,id\nf.nii.gz,m.nii.gz,f.csv,m.csv,one\n";
    std::fs::write(bench.path("pairs.csv"), list).unwrap();
    hmorph()
        .current_dir(bench.folder.path())
        .args(["eval", "--pairs", "pairs.csv", "-o", "results", "--model"])
        .arg(&model)
        .assert()
        .success();
    let mut reader = csv::Reader::from_path(bench.path("results/results.csv")).unwrap();
    let rows = reader.records().map(Result::unwrap);
    let errors: Vec<[f64; 2]> = rows
        .filter(|row| &row[4] == "tre")
        .map(|row| [5, 6].map(|column: usize| row[column].parse().unwrap()))
        .collect();
    // Before, 4 mm and 3 mm within the plane.
    approx::assert_abs_diff_eq!(errors[0][0], 5.0, epsilon = 1e-4);
    approx::assert_abs_diff_eq!(errors[0][1], 3.0, epsilon = 1e-4);
    assert_eq!(errors.len(), 1);
}

#[test]
fn landmarks_of_one_scan_alone_are_left_out() {
    let study = Study::new();
    let fixed = [[4, 5, 3], [9, 7, 6], [12, 4, 8]].map(|voxel: [i32; 3]| {
        let voxel = VoxelPoint(Vector3::from(voxel.map(f64::from)));
        study.fixed.affine.to_world(voxel).0
    });
    let f = study.points(
        "f.csv",
        &[(fixed[0], "a"), (fixed[1], "lost"), (fixed[2], "b")],
        in_lps,
    );
    let there = fixed.map(|place| place + study.shift);
    let m = study.points(
        "m.csv",
        &[
            (there[2] + Vector3::x() * 5.0, "b"),
            (there[1], "more"),
            (there[0], "a"),
            (there[1], "another"),
        ],
        in_lps,
    );
    let output = study
        .register("out")
        .arg("--fixed-points")
        .arg(&f)
        .arg("--moving-points")
        .arg(&m)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let note = format!("left out: 1 of {}, 2 of {}", f.display(), m.display());
    assert!(text.contains(&note), "{text}");

    let out = study.bench.path("out");
    let landmarks = &record(&out)["landmarks"];
    assert!(landmarks["note"].as_str().unwrap().contains(&note));
    let errors = landmarks["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2);
    for (error, (name, expected)) in errors.iter().zip([("b", 5.0), ("a", 0.0)]) {
        assert_eq!(error["name"], name);
        let found = error["after_mm"].as_f64().unwrap();
        approx::assert_abs_diff_eq!(found, expected, epsilon = 1e-4);
    }
    // All of them are moved.
    let moved = read(&out.join("moved_points.csv"));
    let names: Vec<&str> = moved.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["b", "more", "a", "another"]);

    // An evaluation pairs the same ones.
    let list = "fixed,moving,fixed_points,moving_points,id\nf.nii.gz,m.nii.gz,f.csv,m.csv,one\n";
    std::fs::write(study.bench.path("pairs.csv"), list).unwrap();
    hmorph()
        .current_dir(study.bench.folder.path())
        .args(["eval", "--pairs", "pairs.csv", "-o", "results", "--model"])
        .arg(&study.model)
        .assert()
        .success();
    let mut reader = csv::Reader::from_path(study.bench.path("results/results.csv")).unwrap();
    let rows = reader.records().map(Result::unwrap);
    let errors: Vec<(String, f64)> = rows
        .filter(|row| &row[4] == "tre")
        .map(|row| (row[3].to_string(), row[6].parse().unwrap()))
        .collect();
    assert_eq!(errors.len(), 2);
    for ((name, found), (expected_name, expected)) in errors.iter().zip([("a", 0.0), ("b", 5.0)]) {
        assert_eq!(name, expected_name);
        approx::assert_abs_diff_eq!(*found, expected, epsilon = 1e-3);
    }
}

#[test]
fn landmarks_that_do_not_correspond_are_refused() {
    let study = Study::new();
    let at = Vector3::zeros();
    let two = study.points("two.csv", &[(at, "a"), (at, "b")], in_lps);
    let three = study.points("three.csv", &[(at, ""), (at, ""), (at, "")], in_lps);
    let other = study.points("other.csv", &[(at, "x"), (at, "y")], in_lps);
    let twice = study.points("twice.csv", &[(at, "a"), (at, "a")], in_lps);
    let empty = study.points("empty.csv", &[], in_lps);
    let missing = study.bench.path("missing.csv");
    let before = study.bench.names();
    for (f, m, part) in [
        (
            &two,
            &three,
            "three.csv: landmarks: 2 in the fixed image, 3",
        ),
        (&two, &other, "no name in common"),
        (&two, &twice, "'a' occurs twice"),
        (&two, &empty, "no landmark"),
        (&two, &missing, "missing.csv"),
    ] {
        let mut command = study.register("out");
        command
            .arg("--fixed-points")
            .arg(f)
            .arg("--moving-points")
            .arg(m);
        let error = one_line_error(&mut command);
        assert!(error.contains(part), "{error}");
        assert_eq!(study.bench.names(), before);
    }
    // Landmarks of the fixed image alone have nothing to be compared with.
    let mut alone = study.register("out");
    alone.arg("--fixed-points").arg(&two).assert().code(2);
}
