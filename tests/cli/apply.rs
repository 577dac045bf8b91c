//! `hmorph apply` against SimpleITK, and its directions.

use std::path::Path;

use hmorph::volume::{
    Affine, Dimension, DisplacementField, Geometry, Image, read_field, read_image, read_labels,
    write_field,
};
use nalgebra::{Matrix3, Vector3};
use ndarray::{Array3, Array4};

use crate::support::{
    Bench, Card, asr, constant_model, grid, hmorph, lps, one_line_error, painted, quarters, ramp,
    refused, world,
};

// Reference values of this file: SimpleITK 2.5, with grids, image, field and matrix as below, axes and origins turned to
// LPS, `p` the RAS place of a voxel:
//   moving = 100 + 30 sin(p.x / 7) + 20 cos(p.y / 9) + p.z + p.x p.y / 20                        (float32)
//   u = (2 sin(p.y / 11), 1.5 cos(p.z / 8) - 0.5, p.x / 15)                                       (LPS mm)
//   T = DisplacementFieldTransform(u);  A = AffineTransform, matrix rows (1.02, .05, 0), (-.03, .98, .04), (.01, 0, 1.01),
//   translation (1.5, -2, .75);  both = CompositeTransform([A, T])       (ITK applies the last one first)
//   Resample(moving, reference, T or both, sitkLinear or sitkNearestNeighbor);  T.TransformPoint(q)
const VOXELS: [[usize; 3]; 5] = [[2, 3, 4], [9, 7, 5], [15, 10, 8], [5, 12, 2], [12, 2, 9]];
const FIELD_LINEAR: [f32; 5] = [157.0482, 142.8677, 108.6951, 122.8174, 115.3493];
const FIELD_NEAREST: [f32; 5] = [158.1554, 140.3237, 106.8648, 127.1304, 113.943];
const BOTH_LINEAR: [f32; 5] = [155.3732, 139.6452, 106.3662, 132.3431, 110.5809];
const POINTS: [[f64; 3]; 2] = [[-4.0, 3.0, 9.0], [-10.5, 8.25, 2.0]];
const FIELD_POINTS: [[f64; 3]; 2] = [[-4.533819, 3.12922, 9.266667], [-11.846927, 9.197417, 2.7]];
const BOTH_POINTS: [[f64; 3]; 2] = [
    [-2.968034, 1.573316, 10.063995],
    [-10.123995, 7.476877, 3.358531],
];

/// Reference, moving image, field and affine in files.
fn itk_case(bench: &Bench) {
    let reference = grid([18, 14, 11], [1.5, 2.0, 3.0], lps(), [4.0, -3.0, 9.0]);
    bench.image("reference.nii.gz", &painted(&reference, ramp));
    let moving = grid([24, 24, 20], [2.2, 1.8, 2.5], asr(), [1.0, 2.0, 6.0]);
    bench.image(
        "moving.nii.gz",
        &painted(&moving, |p| {
            let waves = 30.0 * (p.x / 7.0).sin() + 20.0 * (p.y / 9.0).cos();
            100.0 + waves + p.z + p.x * p.y / 20.0
        }),
    );
    let geometry = grid(
        [12, 14, 12],
        [4.0; 3],
        Matrix3::identity(),
        [3.0, -2.0, 8.0],
    );
    let to_voxels = geometry.affine.linear().try_inverse().unwrap();
    let data = Array4::from_shape_fn((3, 12, 14, 12), |(c, i, j, k)| {
        let p = world(&geometry, [i, j, k]);
        let lps = Vector3::new(
            2.0 * (p.y / 11.0).sin(),
            1.5 * (p.z / 8.0).cos() - 0.5,
            p.x / 15.0,
        );
        (to_voxels * Vector3::new(-lps.x, -lps.y, lps.z))[c] as f32
    });
    write_field(
        bench.path("field.nii.gz"),
        &DisplacementField { data, geometry },
        "",
    )
    .unwrap();
    // The matrix A between RAS worlds.
    let matrix = "1.02 .05 0 -1.5\n-.03 .98 -.04 2\n-.01 0 1.01 .75\n0 0 0 1\n";
    std::fs::write(bench.path("affine.txt"), matrix).unwrap();
    let rows: Vec<String> = POINTS
        .iter()
        .enumerate()
        .map(|(n, [x, y, z])| format!("{x},{y},{z},p{n}"))
        .collect();
    std::fs::write(
        bench.path("points.csv"),
        format!("x,y,z,name\n{}\n", rows.join("\n")),
    )
    .unwrap();
}

fn apply(bench: &Bench, arguments: &str) {
    hmorph()
        .current_dir(bench.folder.path())
        .arg("apply")
        .args(arguments.split_whitespace())
        .assert()
        .success();
}

fn points(path: &Path) -> Vec<[f64; 3]> {
    let text = std::fs::read_to_string(path).unwrap();
    let row = |line: &str| {
        let numbers: Vec<f64> = line
            .split(',')
            .take(3)
            .map(|n| n.parse().unwrap())
            .collect();
        [numbers[0], numbers[1], numbers[2]]
    };
    text.lines().skip(1).map(row).collect()
}

#[test]
fn images_and_points_agree_with_itk() {
    let bench = Bench::new();
    itk_case(&bench);
    let value = |name: &str| {
        let image = read_image(bench.path(name)).unwrap();
        VOXELS.map(|voxel| image.data[voxel])
    };
    apply(
        &bench,
        "-t field.nii.gz -i moving.nii.gz -r reference.nii.gz -o linear.nii.gz",
    );
    apply(
        &bench,
        "-t field.nii.gz -i moving.nii.gz -r reference.nii.gz -n nearest -o near.nii.gz",
    );
    apply(
        &bench,
        "-t field.nii.gz affine.txt -i moving.nii.gz -r reference.nii.gz -o both.nii.gz",
    );
    for (found, expected) in [
        (value("linear.nii.gz"), FIELD_LINEAR),
        (value("near.nii.gz"), FIELD_NEAREST),
        (value("both.nii.gz"), BOTH_LINEAR),
    ] {
        for (found, expected) in found.into_iter().zip(expected) {
            // Four decimals in the list; headers and vectors of float32, slopes of about 10 per mm.
            approx::assert_abs_diff_eq!(found, expected, epsilon = 1e-3);
        }
    }
    apply(&bench, "-t field.nii.gz -p points.csv -o one.csv");
    apply(
        &bench,
        "-t field.nii.gz affine.txt -p points.csv -o two.csv",
    );
    for (name, expected) in [("one.csv", FIELD_POINTS), ("two.csv", BOTH_POINTS)] {
        for (found, expected) in points(&bench.path(name)).iter().zip(expected) {
            for axis in 0..3 {
                // Six decimals in the list, vectors of float32.
                approx::assert_abs_diff_eq!(found[axis], expected[axis], epsilon = 1e-5);
            }
        }
    }
}

#[test]
fn composites_and_inverses_agree_with_itk() {
    let bench = Bench::new();
    itk_case(&bench);
    let transform = |arguments: &str| {
        let mut command = hmorph();
        command.current_dir(bench.folder.path()).arg("transform");
        command
            .args(arguments.split_whitespace())
            .assert()
            .success();
    };
    let moved = |arguments: &str| {
        apply(&bench, &format!("{arguments} --force -o out.csv"));
        points(&bench.path("out.csv"))
    };
    let same = |found: Vec<[f64; 3]>, expected: [[f64; 3]; 2], what: &str| {
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            // Six decimals in the list, vectors of float32, inverses found within 1e-5 voxels of 4 mm.
            assert!(
                (found - expected).abs() < 6e-5,
                "{what}: {found} {expected}"
            );
        }
    };
    transform("-t field.nii.gz affine.txt -o chain.h5");
    same(moved("-t chain.h5 -p points.csv"), BOTH_POINTS, "chain.h5");
    // There by ITK and back by hmorph.
    let rows: Vec<String> = BOTH_POINTS
        .iter()
        .map(|[x, y, z]| format!("{x},{y},{z}"))
        .collect();
    std::fs::write(
        bench.path("there.csv"),
        format!("x,y,z\n{}\n", rows.join("\n")),
    )
    .unwrap();
    for back in ["inv:affine.txt inv:field.nii.gz", "inv:chain.h5"] {
        same(moved(&format!("-t {back} -p there.csv")), POINTS, back);
    }
    transform("-t chain.h5 --invert -r reference.nii.gz -o back.nii.gz");
    transform("-t affine.txt -o affine.mat");
    transform("-t field.nii.gz affine.mat -r moving.nii.gz -o field.h5");
    // On grids of at most 2.5 mm, linear in between. The field is linear between its own voxels of 4 mm, and its slope
    // changes there by up to 0.09 (1.5 cos(z / 8)); a kink is missed by a quarter of a voxel times that: 0.06 mm.
    for (arguments, expected, start) in [
        ("-t back.nii.gz", POINTS, "there.csv"),
        ("-t field.h5", BOTH_POINTS, "points.csv"),
    ] {
        let found = moved(&format!("{arguments} -p {start}"));
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            assert!(
                (found - expected).abs() < 0.06,
                "{arguments}: {found} {expected}"
            );
        }
    }
}

#[test]
fn a_result_folder_moves_everything_the_right_way() {
    let bench = Bench::new();
    let fixed = grid([18, 14, 11], [1.5, 2.0, 3.0], lps(), [4.0, -3.0, 9.0]);
    let moving = grid([16, 20, 15], [2.2, 1.8, 2.5], asr(), [1.0, 2.0, 6.0]);
    bench.image("fixed.nii.gz", &painted(&fixed, ramp));
    bench.image("moving.nii.gz", &painted(&moving, ramp));
    bench.labels("seg.nii.gz", &quarters(&moving));
    constant_model(
        &bench.path("m.safetensors"),
        &Card::default(),
        &[1.5, -0.5, 0.75],
    );
    hmorph()
        .current_dir(bench.folder.path())
        .args([
            "register",
            "fixed.nii.gz",
            "moving.nii.gz",
            "--model",
            "m.safetensors",
        ])
        .args(["-o", "run", "--moving-labels", "seg.nii.gz"])
        .args(["--linear", "none", "--refine", "0"])
        .assert()
        .success();
    // The model's shift in voxels of the fixed grid: a place of the fixed world goes this far (mm, RAS).
    let shift = fixed.affine.linear() * Vector3::new(1.5, -0.5, 0.75);
    std::fs::write(bench.path("lm.csv"), "x,y,z,name\n-4.5,3,9,a\n2,-1,5,b\n").unwrap();
    // Labels that are called as their image, as in folders images and labels.
    std::fs::create_dir(bench.path("labels")).unwrap();
    std::fs::copy(bench.path("seg.nii.gz"), bench.path("labels/moving.nii.gz")).unwrap();
    apply(
        &bench,
        "-t run -i moving.nii.gz -l labels/moving.nii.gz -p lm.csv -r fixed.nii.gz -o all",
    );
    let moved = read_image(bench.path("run/moved.nii.gz")).unwrap();
    assert_eq!(read_image(bench.path("all/moving.nii.gz")).unwrap(), moved);
    let labels = read_labels(bench.path("run/moved_labels.nii.gz")).unwrap();
    assert_eq!(
        read_labels(bench.path("all/moving_labels.nii.gz")).unwrap(),
        labels
    );
    // A landmark of the moving image comes from where the shift has led: back against it. LPS: x and y negated.
    let back = Vector3::new(shift.x, shift.y, -shift.z);
    for (found, start) in points(&bench.path("all/lm.csv"))
        .iter()
        .zip([[-4.5, 3.0, 9.0], [2.0, -1.0, 5.0]])
    {
        for axis in 0..3 {
            approx::assert_abs_diff_eq!(found[axis], start[axis] + back[axis], epsilon = 1e-4);
        }
    }
    // What was painted at the landmark is now at the moved landmark: images and points agree.
    apply(&bench, "-t run --inverse -p lm.csv -o out.csv");
    for (found, start) in points(&bench.path("out.csv"))
        .iter()
        .zip([[-4.5, 3.0, 9.0], [2.0, -1.0, 5.0]])
    {
        for axis in 0..3 {
            approx::assert_abs_diff_eq!(found[axis], start[axis] - back[axis], epsilon = 1e-4);
        }
    }
    apply(
        &bench,
        "-t run --inverse -i fixed.nii.gz -r moving.nii.gz -o fixed_on_moving.nii.gz",
    );
    // Nothing moves, another grid: the scene stays where it is in the world.
    apply(
        &bench,
        "-t identity -i fixed.nii.gz -r moving.nii.gz -o still.nii.gz",
    );
    let still = read_image(bench.path("still.nii.gz")).unwrap();
    approx::assert_abs_diff_eq!(
        f64::from(still.data[[8, 10, 7]]),
        ramp(world(&moving, [8, 10, 7])),
        epsilon = 0.01
    );
    let there = read_image(bench.path("fixed_on_moving.nii.gz")).unwrap();
    let voxel = [8, 10, 7];
    let expected = ramp(world(&moving, voxel) - shift);
    approx::assert_abs_diff_eq!(f64::from(there.data[voxel]), expected, epsilon = 0.01);
}

#[test]
fn a_transform_is_not_replaced_by_what_it_moves() {
    let bench = Bench::new();
    itk_case(&bench);
    // A result folder with a file of each kind that is read from it.
    std::fs::create_dir(bench.path("run")).unwrap();
    let record = r#"{"files": ["forward.nii.gz", "inverse.nii.gz"]}"#;
    std::fs::write(bench.path("run/run.json"), record).unwrap();
    for name in ["forward.nii.gz", "inverse.nii.gz"] {
        std::fs::copy(bench.path("field.nii.gz"), bench.path("run").join(name)).unwrap();
    }
    for (transform, out) in [
        ("field.nii.gz", "field.nii.gz"),
        ("inv:field.nii.gz", "field.nii.gz"),
        ("l2r:field.nii.gz", "./field.nii.gz"),
        ("inv:l2r:field.nii.gz", "field.nii.gz"),
        ("run", "run/forward.nii.gz"),
        ("inv:run", "run/inverse.nii.gz"),
        ("run", "run"),
        ("inv:run", "run"),
        ("inv:run/forward.nii.gz", "run"),
    ] {
        let images = "-i moving.nii.gz -r reference.nii.gz --force";
        let arguments = format!("-t {transform} {images} -o {out}");
        refused(&bench, "apply", &arguments, "would be lost");
    }
    std::fs::copy(bench.path("moving.nii.gz"), bench.path("run/own.nii.gz")).unwrap();
    refused(
        &bench,
        "apply",
        "-t field.nii.gz -i run/own.nii.gz -r reference.nii.gz --force -o run",
        "the input run/own.nii.gz would be lost",
    );
    // Another file of the folder takes nothing away.
    apply(
        &bench,
        "-t run -i moving.nii.gz -r reference.nii.gz -o run/moved.nii.gz",
    );
    // Of a folder only results go: what its record names.
    std::fs::copy(
        bench.path("reference.nii.gz"),
        bench.path("run/grid.nii.gz"),
    )
    .unwrap();
    apply(
        &bench,
        "-t field.nii.gz -i moving.nii.gz -r run/grid.nii.gz --force -o run",
    );
    assert!(bench.path("run/grid.nii.gz").is_file());
    assert!(!bench.path("run/forward.nii.gz").exists());
}

#[test]
fn points_may_be_written_in_other_spaces() {
    let bench = Bench::new();
    let fixed = grid([18, 14, 11], [1.5, 2.0, 3.0], lps(), [4.0, -3.0, 9.0]);
    bench.image("fixed.nii.gz", &painted(&fixed, ramp));
    let u = Vector3::new(1.0, 2.0, -1.0);
    let data = Array4::from_shape_fn((3, 18, 14, 11), |(c, ..)| u[c] as f32);
    let field = DisplacementField {
        data,
        geometry: fixed.clone(),
    };
    write_field(bench.path("field.nii.gz"), &field, "").unwrap();
    std::fs::write(bench.path("voxel.csv"), "x,y,z\n5,4,3\n").unwrap();
    let at = world(&fixed, [5, 4, 3]);
    let ras = format!("x,y,z\n{},{},{}\n", at.x, at.y, at.z);
    std::fs::write(bench.path("ras.csv"), ras).unwrap();
    apply(
        &bench,
        "-t field.nii.gz -p voxel.csv --points-space voxel --points-image fixed.nii.gz -r fixed.nii.gz -o v.csv",
    );
    apply(
        &bench,
        "-t field.nii.gz -p ras.csv --points-space ras -o r.csv",
    );
    let goal = at + fixed.affine.linear() * u;
    let [v, r] = ["v.csv", "r.csv"].map(|name| points(&bench.path(name))[0]);
    for axis in 0..3 {
        approx::assert_abs_diff_eq!(v[axis], [6.0, 6.0, 2.0][axis], epsilon = 1e-4);
        approx::assert_abs_diff_eq!(r[axis], goal[axis], epsilon = 1e-4);
    }
}

#[test]
fn what_cannot_be_applied_is_said_in_one_line_and_nothing_is_written() {
    let bench = Bench::new();
    itk_case(&bench);
    let slice = Geometry::new([12, 13, 1], Dimension::Two, Affine::from_spacing([1.0; 3]));
    bench.image("slice.nii.gz", &painted(&slice, ramp));
    let flat = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/volume/field_2d.nii.gz"
    );
    std::fs::copy(flat, bench.path("flat.nii.gz")).unwrap();
    let before = bench.names();
    for (arguments, part) in [
        (
            "-t flat.nii.gz -i moving.nii.gz -r reference.nii.gz -o o",
            "the displacement field is 2-D",
        ),
        (
            "-t field.nii.gz -i moving.nii.gz -p points.csv -r reference.nii.gz -o o",
            "separate calls",
        ),
        (
            "-t field.nii.gz -i moving.nii.gz slice.nii.gz -r reference.nii.gz -o o",
            "2-D",
        ),
        (
            "-t moving.nii.gz -i moving.nii.gz -r reference.nii.gz -o o",
            "not a displacement field",
        ),
        ("-t . -i moving.nii.gz -r reference.nii.gz -o o", "run.json"),
        (
            "-t none.nii.gz -i moving.nii.gz -r reference.nii.gz -o o",
            "none.nii.gz",
        ),
        (
            "-t field.nii.gz -i moving.nii.gz moving.nii.gz -r reference.nii.gz -o o",
            "separate",
        ),
        (
            "-t field.nii.gz -r reference.nii.gz -o o",
            "nothing to move",
        ),
        (
            "-t field.nii.gz -i moving.nii.gz -r reference.nii.gz -o reference.nii.gz",
            "--force",
        ),
        (
            "-t field.nii.gz -i moving.nii.gz -r reference.nii.gz -o moving.nii.gz --force",
            "would be lost",
        ),
        (
            "-t field.nii.gz -i moving.nii.gz reference.nii.gz -r reference.nii.gz -o two.nii.gz",
            "need a folder",
        ),
        (
            "-t field.nii.gz -p points.csv -o points.fcsv",
            "the same suffix",
        ),
        (
            "-t field.nii.gz --inverse -i moving.nii.gz -r reference.nii.gz -o o",
            "result folder",
        ),
        (
            "-t field.nii.gz -i moving.nii.gz --header-only -o o",
            "displacement field among",
        ),
        (
            "-t l2r:moving.nii.gz -i moving.nii.gz -r reference.nii.gz -o o",
            "not a field in voxels of this grid",
        ),
        (
            "-t l2r:field.nii.gz -p points.csv -o o",
            "needs --reference",
        ),
        (
            "-t field.nii.gz -p points.csv --points-space voxel -o o",
            "--points-image",
        ),
        (
            "-t field.nii.gz -p points.csv --points-space voxel --points-image reference.nii.gz -o o",
            "by -r",
        ),
        (
            "-t field.nii.gz -i moving.nii.gz -r reference.nii.gz -o o.jpg",
            "no result is written in this format",
        ),
        (
            "-t field.nii.gz -i moving.nii.gz reference.nii.gz -r reference.nii.gz -o o.gz",
            "no result is written in this format",
        ),
        (
            "-t field.nii.gz -i moving.nii.gz -r reference.nii.gz -o o.csv",
            "not an image format",
        ),
        (
            "-t field.nii.gz -p points.csv -o o.nii.gz",
            "the same suffix",
        ),
        (
            "-t [field.nii.gz,1] -i moving.nii.gz -r reference.nii.gz -o o",
            "for the inverse write inv:field.nii.gz",
        ),
    ] {
        let mut command = hmorph();
        command
            .current_dir(bench.folder.path())
            .arg("apply")
            .args(arguments.split_whitespace());
        let error = one_line_error(&mut command);
        assert!(error.contains(part), "{arguments}: {error}");
        assert_eq!(bench.names(), before, "{arguments}");
    }
    assert!(read_field(bench.path("field.nii.gz")).is_ok());
}

#[test]
fn deformations_of_spm_are_not_taken_for_displacements() {
    let bench = Bench::new();
    let path = bench.path("y_scan.nii");
    let geometry = Geometry::new([5, 4, 3], Dimension::Three, Affine::identity());
    write_field(&path, &DisplacementField::zeros(geometry), "").unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    // The intent's name in a NIfTI-1 header, as SPM fills it.
    bytes[328..335].copy_from_slice(b"Mapping");
    std::fs::write(&path, bytes).unwrap();
    let arguments = "-t y_scan.nii -i y_scan.nii -r y_scan.nii -o o.nii";
    refused(&bench, "apply", arguments, "SPM");
    let output = hmorph().arg("info").arg(&path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("vector-image") && text.contains("SPM"),
        "{text}"
    );
}

#[test]
fn landmarks_and_images_do_not_share_plain_transforms() {
    let bench = Bench::new();
    let geometry = Geometry::new([5, 4, 3], Dimension::Three, Affine::identity());
    let image = Image {
        data: Array3::from_elem([5, 4, 3], 1.0),
        geometry,
    };
    let scan = bench.image("scan.nii.gz", &image);
    let [matrix, points] = ["shift.txt", "p.csv"].map(|name| bench.path(name));
    std::fs::write(&matrix, "1 0 0 5\n0 1 0 0\n0 0 1 0\n0 0 0 1\n").unwrap();
    std::fs::write(&points, "x,y,z,name\n1,2,3,a\n").unwrap();
    let mut command = hmorph();
    command
        .arg("apply")
        .arg("-t")
        .arg(&matrix)
        .arg("-p")
        .arg(&points);
    command.arg("-o").arg(bench.path("out"));
    let error = one_line_error(command.arg("-i").arg(&scan).arg("-r").arg(&scan));
    assert!(error.contains("separate calls"), "{error}");
}

/// A scan as header and voxels, and a folder `out` that has been moved there once.
fn moved_pair(bench: &Bench, name: &str) {
    let geometry = Geometry::new([5, 4, 3], Dimension::Three, Affine::identity());
    bench.image(name, &painted(&geometry, ramp));
    let arguments = format!("-t identity -i {name} -r {name} -o out");
    std::fs::create_dir(bench.path("out")).unwrap();
    apply(bench, &arguments);
}

#[test]
fn voxels_beside_their_header_are_results_that_force_replaces() {
    for (name, voxels) in [("a.mhd", "a.raw"), ("a.nhdr", "a.raw.gz")] {
        let bench = Bench::new();
        moved_pair(&bench, name);
        let record = std::fs::read_to_string(bench.path("out/run.json")).unwrap();
        assert!(record.contains(&format!("\"{voxels}\"")), "{record}");
        apply(
            &bench,
            &format!("-t identity -i {name} -r {name} -o out --force"),
        );
        assert!(read_image(bench.path("out").join(name)).is_ok());
    }
}

#[test]
fn results_in_the_working_folder_are_replaced() {
    let bench = Bench::new();
    moved_pair(&bench, "a.nii.gz");
    let out = bench.path("out");
    std::fs::write(out.join("own.txt"), "mine").unwrap();
    std::fs::write(out.join("a.nii.gz"), "old").unwrap();
    hmorph()
        .current_dir(&out)
        .args(["apply", "-t", "identity", "-i", "../a.nii.gz"])
        .args(["-r", "../a.nii.gz", "-o", ".", "--force"])
        .assert()
        .success();
    assert!(read_image(out.join("a.nii.gz")).is_ok());
    let mut names: Vec<_> = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["a.nii.gz", "own.txt", "run.json"]);
}

#[test]
fn vectors_are_not_moved_by_their_header() {
    let bench = Bench::new();
    itk_case(&bench);
    for option in ["-i", "-l"] {
        let arguments = format!("-t affine.txt {option} field.nii.gz --header-only -o o.nii.gz");
        refused(&bench, "apply", &arguments, "displacement field (intent");
    }
}
