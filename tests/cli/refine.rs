//! The optimisation stage of `hmorph register`.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use hmorph::volume::{
    DisplacementField, Geometry, LabelMap, World, read_field, read_image, read_labels,
};
use nalgebra::Vector3;
use ndarray::Axis;
use serde_json::Value;

use crate::support::{Bench, asr, grid, hmorph, lps, one_line_error, painted};

/// What the fixed scan's header calls its world.
const MNI: World = World(4);

/// Where a place of the fixed world lies in the moving world: up to 5 mm away, smooth, without folds.
fn deformed(p: Vector3<f64>) -> Vector3<f64> {
    let wave = |a: f64, b: f64| 5.0 * (a / 14.0).sin() * (b / 11.0).cos();
    p + Vector3::new(wave(p.y, p.x), wave(p.z, p.y), wave(p.x, p.z))
}

/// Blobs and waves without symmetry, in the moving world.
fn scene(p: Vector3<f64>) -> f64 {
    let waves = (p.x / 5.0).sin() + (p.y / 4.0 + 1.0).sin() + (p.z / 6.0 + p.x / 9.0).sin();
    let blob = (-(p - Vector3::new(6.0, -4.0, 3.0)).norm_squared() / 300.0).exp();
    100.0 * (1.0 + 0.3 * waves) * blob
}

/// Another contrast of it: waves across those of the first, which show what moves along them.
fn second_scene(p: Vector3<f64>) -> f64 {
    let waves = (p.y / 5.0 + p.z / 8.0).sin() + (p.x / 4.0).sin() + (p.z / 5.0 + 2.0).sin();
    let blob = (-(p - Vector3::new(3.0, -2.0, 1.0)).norm_squared() / 400.0).exp();
    50.0 * (1.0 + 0.3 * waves) * blob
}

/// Octants of the moving world about a point off its centre.
fn region(p: Vector3<f64>) -> i32 {
    1 + i32::from(p.x > 2.0) + 2 * i32::from(p.y > -3.0) + 4 * i32::from(p.z > 1.0)
}

/// Two scans whose axes, voxels and places differ, with labels.
struct Scans {
    bench: Bench,
    files: [PathBuf; 4],
}

impl Scans {
    /// `contrast` is what the moving scanner makes of the intensities.
    fn new(contrast: impl Fn(f64) -> f64) -> Self {
        let bench = Bench::new();
        let fixed = Geometry {
            world: MNI,
            ..grid([34, 30, 28], [1.6, 1.8, 2.0], lps(), [1.0, 2.0, -1.0])
        };
        let moving = grid([36, 32, 36], [1.7, 2.0, 1.8], asr(), [2.0, -1.0, 1.0]);
        let labels = |grid: &_, label: &dyn Fn(Vector3<f64>) -> i32| -> LabelMap {
            painted(grid, |p| f64::from(label(p))).map(|&v| v as i32)
        };
        let files = [
            bench.image("f.nii.gz", &painted(&fixed, |p| scene(deformed(p)))),
            bench.image("m.nii.gz", &painted(&moving, |p| contrast(scene(p)))),
            bench.labels("fl.nii.gz", &labels(&fixed, &|p| region(deformed(p)))),
            bench.labels("ml.nii.gz", &labels(&moving, &region)),
        ];
        Self { bench, files }
    }

    fn register(&self, out: &Path) -> Command {
        self.register_by(hmorph(), out)
    }

    fn register_by(&self, mut command: Command, out: &Path) -> Command {
        let [fixed, moving, fixed_labels, moving_labels] = &self.files;
        command
            .arg("register")
            .args([fixed, moving])
            .arg("-o")
            .arg(out);
        command.arg("--fixed-labels").arg(fixed_labels);
        command.arg("--moving-labels").arg(moving_labels);
        command.args(["--linear", "none", "--no-network"]);
        command
    }

    /// Registers with more options; the record.
    fn record(&self, options: &[&str]) -> (PathBuf, Value) {
        let name = format!("out{}", options.join("_").replace(['-', '.', '/'], ""));
        let out = self.bench.path(&name);
        self.register(&out).args(options).assert().success();
        let text = std::fs::read(out.join("run.json")).unwrap();
        (out, serde_json::from_slice(&text).unwrap())
    }
}

fn dice(record: &Value, state: &str) -> f64 {
    record["measures"][state]["dice"].as_f64().unwrap()
}

/// Mean distance in mm between a written field and the truth, and what it would be without registration; where the
/// scene is bright.
fn errors(out: &Path) -> [f64; 2] {
    let field: DisplacementField = read_field(out.join("forward.nii.gz")).unwrap();
    let moved = read_image(out.join("moved.nii.gz")).unwrap();
    let grid = &field.geometry;
    assert_eq!([moved.geometry.world, grid.world], [MNI; 2]);
    let (mut sums, mut count) = ([0.0; 2], 0.0);
    for ((i, j, k), &value) in moved.data.indexed_iter() {
        if value < 30.0 {
            continue;
        }
        let voxel = Vector3::new(i as f64, j as f64, k as f64);
        let place = grid.affine.linear() * voxel + grid.affine.translation();
        let u = Vector3::from([0, 1, 2].map(|c| f64::from(field.data[[c, i, j, k]])));
        let truth = deformed(place) - place;
        sums[0] += (grid.affine.linear() * u - truth).norm();
        sums[1] += truth.norm();
        count += 1.0;
    }
    sums.map(|sum| sum / count)
}

#[test]
fn a_known_deformation_is_found_without_folds() {
    let scans = Scans::new(|v| 7.0 + 3.0 * v);
    // What moves along a wave of one brightness cannot be seen, so half the error or nearly so stays.
    for (options, left) in [
        (&["--refine", "60"][..], 0.45),
        (&["--refine", "60", "--metric", "mse"], 0.5),
        (&["--refine", "60", "--one-sided"], 0.45),
        (&["--refine", "60", "--deformation", "displacement"], 0.45),
    ] {
        let (out, record) = scans.record(options);
        let [after, before] = errors(&out);
        assert!(
            before > 3.0 && after < left * before,
            "{options:?}: {before} {after}"
        );
        let (start, end) = (dice(&record, "before"), dice(&record, "after"));
        assert!(end > start + 0.05, "{options:?}: {start} {end}");
        assert_eq!(record["measures"]["folded_voxels"], 0);
        let inverse = record["measures"]["inverse_error_mean_voxels"]
            .as_f64()
            .unwrap();
        assert!(inverse < 0.1, "{options:?}: {inverse}");
    }
}

#[test]
fn other_contrasts_are_registered_by_measures_made_for_them() {
    // Dark becomes bright, and what was bright is not the brightest: no correlation is left.
    let scans = Scans::new(|v| 140.0 - v + 0.006 * v * v);
    for metric in ["mind", "mi"] {
        let (out, record) = scans.record(&["--metric", metric]);
        let end = dice(&record, "after");
        assert!(end > dice(&record, "before") + 0.05, "{metric}: {end}");
        assert!(out.join("forward.nii.gz").is_file());
        assert_eq!(record["measures"]["folded_voxels"], 0);
    }
}

#[test]
fn a_volume_of_one_slice_has_the_descriptors_of_a_volume() {
    let bench = Bench::new();
    // Not a 2-D image, whose single voxel is along the last axis.
    let sheet = grid([1, 24, 22], [1.6, 1.8, 2.0], lps(), [1.0, 2.0, -1.0]);
    let fixed = bench.image("f.nii.gz", &painted(&sheet, |p| scene(deformed(p))));
    let moving = bench.image("m.nii.gz", &painted(&sheet, scene));
    for linear in ["none", "rigid"] {
        let mut command = hmorph();
        command.arg("register").args([&fixed, &moving]);
        command.args(["--metric", "mind", "--linear", linear, "--no-network"]);
        command.args(["--refine", "2", "--no-report", "-o"]);
        command.arg(bench.path(linear)).assert().success();
    }
}

#[test]
fn a_second_channel_shows_what_the_first_does_not() {
    let scans = Scans::new(|v| v);
    let paint = |name: &str, like: &Path, value: &dyn Fn(Vector3<f64>) -> f64| {
        let grid = read_image(like).unwrap().geometry;
        scans.bench.image(name, &painted(&grid, value))
    };
    let fixed = paint("f2.nii.gz", &scans.files[0], &|p| second_scene(deformed(p)));
    let moving = paint("m2.nii.gz", &scans.files[1], &second_scene);
    let channel = |weight: &str| format!("{},{}{weight}", fixed.display(), moving.display());
    let [alone, _] = errors(&scans.record(&[]).0);
    let (out, record) = scans.record(&["--channel", &channel("")]);
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    // As the page of the pair names it, beside the command.
    assert!(page.contains("channel 1") && page.contains("f2.nii.gz, "));
    let [both, _] = errors(&out);
    assert!(both < 0.8 * alone, "{both} {alone}");
    assert_eq!(record["inputs"]["channels"][0]["weight"], 1.0);
    let mut command = scans.register(&scans.bench.path("wrong"));
    command.args(["--channel", &channel(",0")]).assert().code(2);
    let out = scans.bench.path("absent");
    let error = one_line_error(scans.register(&out).args(["--channel", "no.nii,no.nii"]));
    assert!(error.contains("no.nii") && !out.exists(), "{error}");
}

#[test]
fn smoothness_is_one_knob() {
    let scans = Scans::new(|v| v);
    let rough = |smoothness: &str| {
        let (out, record) = scans.record(&["--smoothness", smoothness]);
        let field = read_field(out.join("forward.nii.gz")).unwrap();
        let along = field.data.slice(ndarray::s![.., 1.., .., ..]).to_owned()
            - field.data.slice(ndarray::s![.., ..-1, .., ..]);
        assert_eq!(record["measures"]["folded_voxels"], 0);
        along.iter().map(|d| d * d).sum::<f32>()
    };
    let (free, middle, stiff) = (rough("0"), rough("0.5"), rough("1"));
    assert!(
        free > middle && middle > 2.0 * stiff,
        "{free} {middle} {stiff}"
    );
    let mut command = scans.register(&scans.bench.path("wrong"));
    command.args(["--smoothness", "2"]).assert().code(2);
}

#[test]
fn a_mask_keeps_what_it_excludes_out() {
    let scans = Scans::new(|v| v);
    let labels = read_labels(&scans.files[2]).unwrap();
    let half = labels.map(|&label| i32::from(label > 4));
    let mask = scans.bench.labels("mask.nii.gz", &half);
    let outside = |options: &[&str], out: &str| {
        let out = scans.bench.path(out);
        let mut command = scans.register(&out);
        command.arg("--one-sided").args(options).assert().success();
        let field = read_field(out.join("forward.nii.gz")).unwrap();
        let voxels = half.data.indexed_iter().filter(|(_, inside)| **inside == 0);
        let length = |(at, _): ((usize, usize, usize), _)| {
            (0..3)
                .map(|c| field.data[[c, at.0, at.1, at.2]].powi(2))
                .sum::<f32>()
        };
        voxels.map(length).sum::<f32>()
    };
    let (all, some) = (
        outside(&[], "all"),
        outside(&["--fixed-mask", mask.to_str().unwrap()], "some"),
    );
    assert!(some < 0.7 * all, "{some} {all}");
    for (out, named) in [("all", false), ("some", true)] {
        let page = std::fs::read_to_string(scans.bench.path(out).join("report.html")).unwrap();
        assert_eq!(page.contains("fixed mask"), named, "{out}");
    }

    let nothing = scans.bench.labels("nothing.nii.gz", &labels.map(|_| 0));
    let out = scans.bench.path("nothing");
    let error = one_line_error(scans.register(&out).arg("--fixed-mask").arg(&nothing));
    assert!(error.contains("mask"), "{error}");
    assert!(!out.exists());
}

/// Mean length in mm of a written field over the places of the fixed world that are `within`.
fn mean_length(out: &Path, within: impl Fn(Vector3<f64>) -> bool) -> f64 {
    let field: DisplacementField = read_field(out.join("forward.nii.gz")).unwrap();
    let affine = &field.geometry.affine;
    let (mut sum, mut count) = (0.0, 0.0);
    for ((i, j, k), _) in field.data.index_axis(Axis(0), 0).indexed_iter() {
        let voxel = Vector3::new(i as f64, j as f64, k as f64);
        if within(affine.linear() * voxel + affine.translation()) {
            let u = Vector3::from([0, 1, 2].map(|c| f64::from(field.data[[c, i, j, k]])));
            sum += (affine.linear() * u).norm();
            count += 1.0;
        }
    }
    sum / count
}

#[test]
fn a_scan_that_shows_less_is_not_stretched_over_the_rest() {
    let bench = Bench::new();
    let spacing = [1.6, 1.8, 2.0];
    let whole = grid([34, 30, 28], spacing, lps(), [1.0, 2.0, -1.0]);
    let upper = grid([34, 30, 16], spacing, lps(), [1.0, 2.0, 11.0]);
    let whole = bench.image("whole.nii.gz", &painted(&whole, scene));
    let upper = bench.image("upper.nii.gz", &painted(&upper, |p| 7.0 + 3.0 * scene(p)));
    for (fixed, moving) in [(&whole, &upper), (&upper, &whole)] {
        let out = bench.path("out");
        let mut command = hmorph();
        command
            .arg("register")
            .args([fixed, moving])
            .arg("-o")
            .arg(&out);
        command.args(["--linear", "none", "--no-network", "--force"]);
        command.assert().success();
        let everywhere = mean_length(&out, |_| true);
        assert!(everywhere < 0.3, "{fixed:?}: {everywhere} mm");
        // What one scan alone shows is not compared.
        let record = std::fs::read_to_string(out.join("run.json")).unwrap();
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        let ncc = record["measures"]["after"]["ncc"].as_f64().unwrap();
        assert!(ncc > 0.99, "{fixed:?}: {ncc}");
    }
}

#[test]
fn the_mask_of_one_scan_leaves_its_lesion_alone() {
    let bench = Bench::new();
    let space = grid([34, 30, 28], [1.6, 1.8, 2.0], lps(), [1.0, 2.0, -1.0]);
    let from_lesion = |p: Vector3<f64>| (p - Vector3::new(4.0, -2.0, 2.0)).amax();
    let hurt = |p, value| {
        if from_lesion(p) < 8.0 {
            value
        } else {
            scene(p)
        }
    };
    let sound = |p| if from_lesion(p) < 10.0 { 0.0 } else { 1.0 };
    let dark = bench.image("dark.nii.gz", &painted(&space, |p| hurt(p, 0.0)));
    // So bright that by its intensities all else would be black.
    let bright = bench.image("bright.nii.gz", &painted(&space, |p| hurt(p, 1e5)));
    let moving = bench.image("moving.nii.gz", &painted(&space, scene));
    let mask = bench.labels("mask.nii.gz", &painted(&space, sound).map(|&v| v as i32));
    let unknown = |p| {
        if from_lesion(p) < 10.0 {
            f64::NAN
        } else {
            scene(p)
        }
    };
    let unknown = bench.image("unknown.nii.gz", &painted(&space, unknown));
    let cases = [
        (&dark, false),
        (&dark, true),
        (&bright, true),
        (&unknown, false),
    ];
    let lengths = cases.map(|(fixed, masked)| {
        let out = bench.path("out");
        let mut command = hmorph();
        command
            .arg("register")
            .args([fixed, &moving])
            .arg("-o")
            .arg(&out);
        command.args(["--linear", "none", "--no-network", "--force"]);
        if masked {
            command.arg("--fixed-mask").arg(&mask);
        }
        command.assert().success();
        if masked {
            let record = std::fs::read_to_string(out.join("run.json")).unwrap();
            let record: serde_json::Value = serde_json::from_str(&record).unwrap();
            let mse = record["measures"]["after"]["mse"].as_f64().unwrap();
            // Not 0: what the lesion hides does not enter the intensities of one scan alone.
            assert!(mse < 1e-2, "{fixed:?}: {mse}");
        }
        mean_length(&out, |p| from_lesion(p) < 8.0)
    });
    // Nothing has moved; without the mask all around is pulled into the lesion, or away.
    // Voxels that are not a number have no margin, as the mask has: the blur of coarse levels reaches their neighbours.
    assert!(
        lengths[0] > 2.0 && lengths[1] < 0.3 && lengths[2] < 0.3 && lengths[3] < 0.6,
        "{lengths:?} mm"
    );
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let scans = Scans::new(|v| v);
    let field = |threads: &str| {
        let out = scans.bench.path(threads);
        let mut command = scans.register_by(Command::cargo_bin("hmorph").unwrap(), &out);
        command
            .args(["--refine", "5", "--threads", threads])
            .assert()
            .success();
        std::fs::read(out.join("forward.nii.gz")).unwrap()
    };
    assert_eq!(field("1"), field("3"));
}
