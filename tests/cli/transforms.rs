//! `hmorph transform`, and what `hmorph apply` does besides single images and fields.

use std::path::Path;

use hmorph::volume::{
    Affine, DType, Dimension, DisplacementField, FrameStep, Geometry, Image, LabelMap, Series,
    SeriesKind, Step, read_affine, read_field, read_image, read_labels, read_series,
    read_transform, write_field, write_series,
};
use nalgebra::{Matrix3, Vector3};
use ndarray::{Array3, Array4};

use crate::support::{Bench, asr, grid, hmorph, lps, painted, quarters, ramp, refused, world};

fn run(bench: &Bench, command: &str, arguments: &str) {
    let mut hmorph = hmorph();
    hmorph.current_dir(bench.folder.path()).arg(command);
    hmorph.args(arguments.split_whitespace()).assert().success();
}

/// An oblique reference, a moving image on another grid, and a rigid RAS matrix between them.
fn rigid_case(bench: &Bench) -> (Geometry, Geometry) {
    let fixed = grid([18, 14, 11], [1.5, 2.0, 3.0], lps(), [4.0, -3.0, 9.0]);
    let moving = grid([24, 24, 20], [2.2, 1.8, 2.5], asr(), [1.0, 2.0, 6.0]);
    bench.image("fixed.nii.gz", &painted(&fixed, ramp));
    bench.image("moving.nii.gz", &painted(&moving, ramp));
    let (s, c) = 0.2_f64.sin_cos();
    let matrix = format!("{c} {} 0 1.5\n{s} {c} 0 -2\n0 0 1 0.75\n0 0 0 1\n", -s);
    std::fs::write(bench.path("rigid.txt"), matrix).unwrap();
    (fixed, moving)
}

fn matrix(path: &Path) -> nalgebra::Matrix4<f64> {
    read_affine(path).unwrap().0
}

#[test]
fn affines_are_converted_inverted_and_joined() {
    let bench = Bench::new();
    rigid_case(&bench);
    let rigid = matrix(&bench.path("rigid.txt"));
    for name in ["a.mat", "a.tfm", "b.txt"] {
        run(&bench, "transform", &format!("-t rigid.txt -o {name}"));
        assert!((matrix(&bench.path(name)) - rigid).amax() < 1e-12, "{name}");
    }
    run(
        &bench,
        "transform",
        "-t rigid.txt -r fixed.nii.gz --moving moving.nii.gz -o a.lta",
    );
    assert!((matrix(&bench.path("a.lta")) - rigid).amax() < 1e-12);
    run(&bench, "transform", "-t inv:a.mat rigid.txt a.tfm -o c.txt");
    assert!((matrix(&bench.path("c.txt")) - rigid).amax() < 1e-12);
    run(&bench, "transform", "-t rigid.txt a.mat --invert -o d.txt");
    let back = (rigid * rigid).try_inverse().unwrap();
    assert!((matrix(&bench.path("d.txt")) - back).amax() < 1e-12);
    run(&bench, "transform", "-t rigid.txt inv:b.txt -o e.h5");
    run(&bench, "info", "e.h5");
}

#[test]
fn affines_of_two_dimensions_stay_so_unless_the_reference_has_three() {
    use Dimension::{Three, Two};

    let bench = Bench::new();
    rigid_case(&bench);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/volume");
    for name in ["euler_2d.tfm", "affine_2d.mat"] {
        std::fs::copy(golden.join(name), bench.path(name)).unwrap();
    }
    std::fs::write(bench.path("rows.txt"), "0 -1 4\n1 0 5\n0 0 1\n").unwrap();
    for (n, (transforms, suffix, dimension)) in [
        ("euler_2d.tfm", "mat", Two),
        ("affine_2d.mat", "tfm", Two),
        ("inv:affine_2d.mat", "txt", Two),
        ("rows.txt", "tfm", Two),
        ("euler_2d.tfm affine_2d.mat identity --invert", "h5", Two),
        ("identity", "mat", Three),
        ("euler_2d.tfm rigid.txt", "tfm", Three),
        ("euler_2d.tfm rigid.txt", "h5", Three),
        ("euler_2d.tfm -r fixed.nii.gz", "mat", Three),
        ("euler_2d.tfm -r fixed.nii.gz", "txt", Three),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("{n}.{suffix}");
        run(&bench, "transform", &format!("-t {transforms} -o {name}"));
        let steps = read_transform(bench.path(&name)).unwrap();
        let found =
            |step: &Step| matches!(step, Step::Affine { .. }) && step.dimension() == dimension;
        assert!(steps.iter().all(found), "{transforms} {name}: {steps:?}");
    }
    // The classes of both in a file: what moves is the same.
    run(&bench, "transform", "-t euler_2d.tfm -o flat.tfm");
    let text = std::fs::read_to_string(bench.path("flat.tfm")).unwrap();
    assert!(text.contains("AffineTransform_double_2_2"), "{text}");
    let [before, after] = ["euler_2d.tfm", "flat.tfm"].map(|name| matrix(&bench.path(name)));
    assert!((before - after).amax() < 1e-12);
}

#[test]
fn transforms_that_cannot_be_written_so_are_refused() {
    let bench = Bench::new();
    let (fixed, _) = rigid_case(&bench);
    let data = Array4::zeros((3, 18, 14, 11));
    let field = DisplacementField {
        data,
        geometry: fixed,
    };
    write_field(bench.path("field.nii.gz"), &field, "").unwrap();
    for (arguments, part) in [
        ("-t field.nii.gz -o a.txt", "no affine"),
        ("-t rigid.txt -o a.nii.gz", "--reference"),
        ("-t rigid.txt -o a.lta", "--moving"),
        ("-t inv:field.nii.gz -o a.h5", "--reference"),
        ("-t rigid.txt -o a.csv", "suffix"),
        ("-t rigid.txt -o rigid.txt", "--force"),
        ("-t none.h5 -o a.h5", "none.h5"),
        ("-t rigid.csv -o a.h5", "rigid.csv"),
        (
            "-t rigid.txt -r fixed.nii.gz -o a.nii.gz --jacobian a.nii.gz",
            "two results",
        ),
        (
            "-t rigid.txt -r fixed.nii.gz -o l2r:a.nii.gz --log-jacobian ./a.nii.gz",
            "two results",
        ),
        (
            "-t rigid.txt -r fixed.nii.gz --jacobian j.mha --log-jacobian j.mha --force",
            "two results",
        ),
    ] {
        refused(&bench, "transform", arguments, part);
    }
}

#[test]
fn how_well_an_inverse_was_found_is_told() {
    let bench = Bench::new();
    let (geometry, _) = rigid_case(&bench);
    let data = Array4::from_elem((3, 18, 14, 11), 0.5);
    write_field(
        bench.path("field.nii.gz"),
        &DisplacementField { data, geometry },
        "",
    )
    .unwrap();
    let mut hmorph = hmorph();
    hmorph.current_dir(bench.folder.path()).arg("transform");
    let arguments = "-t inv:field.nii.gz -r fixed.nii.gz -o back.nii.gz";
    let output = hmorph.args(arguments.split(' ')).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("inverse  error at most 0.00 voxels"),
        "{text}"
    );
}

#[test]
fn fields_in_voxels_go_both_ways() {
    let bench = Bench::new();
    let (fixed, _) = rigid_case(&bench);
    run(
        &bench,
        "transform",
        "-t rigid.txt -r fixed.nii.gz -o l2r:disp_0001_0002.nii.gz",
    );
    run(
        &bench,
        "transform",
        "-t l2r:disp_0001_0002.nii.gz -r fixed.nii.gz -o field.nii.gz",
    );
    run(
        &bench,
        "transform",
        "-t rigid.txt -r fixed.nii.gz -o direct.nii.gz",
    );
    let [through, direct] =
        ["field.nii.gz", "direct.nii.gz"].map(|n| read_field(bench.path(n)).unwrap());
    let rigid = matrix(&bench.path("rigid.txt"));
    let voxel = [11, 3, 7];
    let start = world(&fixed, voxel);
    let expected = (rigid * start.push(1.0)).xyz() - start;
    for field in [&through, &direct] {
        let u = Vector3::from([0, 1, 2].map(|c| f64::from(field.data[[c, 11, 3, 7]])));
        assert!((fixed.affine.linear() * u - expected).amax() < 1e-4);
    }
    run(
        &bench,
        "apply",
        "-t l2r:disp_0001_0002.nii.gz -i moving.nii.gz -r fixed.nii.gz -o a.nii.gz",
    );
    run(
        &bench,
        "apply",
        "-t rigid.txt -i moving.nii.gz -r fixed.nii.gz -o b.nii.gz",
    );
    let [a, b] = ["a.nii.gz", "b.nii.gz"].map(|n| read_image(bench.path(n)).unwrap());
    let worst = a
        .data
        .iter()
        .zip(&b.data)
        .fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(worst < 1e-2, "{worst}");
}

#[test]
fn the_jacobian_is_the_change_of_volume() {
    let bench = Bench::new();
    rigid_case(&bench);
    // A pull that doubles x: what lies in the image twice as wide is drawn together.
    std::fs::write(
        bench.path("wide.txt"),
        "2 0 0 0\n0 1.5 0 0\n0 0 1 0\n0 0 0 1\n",
    )
    .unwrap();
    run(
        &bench,
        "transform",
        "-t wide.txt rigid.txt -r fixed.nii.gz --jacobian j.nii.gz --log-jacobian l.nii.gz",
    );
    let [plain, log] = ["j.nii.gz", "l.nii.gz"].map(|n| read_image(bench.path(n)).unwrap());
    for (value, log) in plain.data.iter().zip(&log.data) {
        assert!(
            (value - 3.0).abs() < 1e-4 && (log - 3.0_f32.ln()).abs() < 1e-4,
            "{value} {log}"
        );
    }
}

#[test]
fn splines_pass_through_the_voxels_and_between_them_as_scipy() {
    let bench = Bench::new();
    let geometry = Geometry::new(
        [4, 3, 5],
        Dimension::Three,
        Affine::from_spacing([1.0, 2.0, 3.0]),
    );
    let data = Array3::from_shape_fn((4, 3, 5), |(i, j, k)| {
        ((7 * i * i + 3 * j + 5 * k * k * (j + 1)) % 11) as f32
    });
    let image = Image { data, geometry };
    bench.image("a.nii.gz", &image);
    std::fs::write(
        bench.path("none.txt"),
        "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n",
    )
    .unwrap();
    run(
        &bench,
        "apply",
        "-t none.txt -i a.nii.gz -r a.nii.gz -n cubic -o same.nii.gz",
    );
    for (found, expected) in read_image(bench.path("same.nii.gz"))
        .unwrap()
        .data
        .iter()
        .zip(&image.data)
    {
        assert!((found - expected).abs() < 1e-5);
    }
    // Voxel (0, 0, 0) looks at voxel (.4, 1.7, 3.3): (.4, 3.4, 9.9) mm. scipy.ndimage.map_coordinates gives 6.50027903225.
    std::fs::write(
        bench.path("shift.txt"),
        "1 0 0 .4\n0 1 0 3.4\n0 0 1 9.9\n0 0 0 1\n",
    )
    .unwrap();
    run(
        &bench,
        "apply",
        "-t shift.txt -i a.nii.gz -r a.nii.gz -n cubic -o moved.nii.gz",
    );
    let found = read_image(bench.path("moved.nii.gz")).unwrap().data[[0, 0, 0]];
    assert!((found - 6.500_279).abs() < 1e-5, "{found}");
    let mut holes = image;
    holes.data[[1, 1, 1]] = f32::NAN;
    bench.image("holes.nii.gz", &holes);
    refused(
        &bench,
        "apply",
        "-t none.txt -i holes.nii.gz -r a.nii.gz -n cubic -o b.nii.gz",
        "1 voxels of the image",
    );
}

#[test]
fn every_volume_of_a_series_is_moved_alike() {
    let bench = Bench::new();
    let (fixed, moving) = rigid_case(&bench);
    let volumes = (0..3)
        .map(|n| painted(&moving, |p| ramp(p) * f64::from(n + 1)))
        .collect();
    let kind = SeriesKind::Frames {
        sizes: vec![3],
        step: Some(FrameStep {
            value: 2.5,
            unit: 8,
        }),
    };
    write_series(
        bench.path("bold.nii.gz"),
        &Series {
            volumes,
            kind: kind.clone(),
        },
        DType::F32,
        "",
    )
    .unwrap();
    run(
        &bench,
        "apply",
        "-t rigid.txt -i bold.nii.gz -r fixed.nii.gz -o all.nii.gz",
    );
    let all = read_series(bench.path("all.nii.gz")).unwrap();
    assert_eq!((all.volumes.len(), &all.kind), (3, &kind));
    let voxel = [9, 7, 5];
    let place = (matrix(&bench.path("rigid.txt")) * world(&fixed, voxel).push(1.0)).xyz();
    for (n, volume) in all.volumes.iter().enumerate() {
        let expected = ramp(place) * (n as f64 + 1.0);
        assert!((f64::from(volume.data[voxel]) - expected).abs() < 0.02);
    }
    run(
        &bench,
        "apply",
        "-t rigid.txt -i bold.nii.gz -r fixed.nii.gz --frame 1 -o one.nii.gz",
    );
    assert_eq!(
        read_image(bench.path("one.nii.gz")).unwrap(),
        all.volumes[1]
    );
}

/// A 2-D picture whose channels differ.
fn picture(bench: &Bench) -> Series {
    let geometry = Geometry::new(
        [12, 9, 1],
        Dimension::Two,
        Affine::from_parts(
            Matrix3::from_diagonal(&Vector3::new(-1.0, -1.0, 1.0)),
            Vector3::zeros(),
        ),
    );
    let channel = |c: usize| Image {
        data: Array3::from_shape_fn((12, 9, 1), |(i, j, _)| (10 * i + 3 * j + 50 * c) as f32),
        geometry: geometry.clone(),
    };
    let series = Series {
        volumes: (0..3).map(channel).collect(),
        kind: SeriesKind::Colour,
    };
    write_series(bench.path("slide.png"), &series, DType::U8, "").unwrap();
    series
}

#[test]
fn colours_are_moved_with_the_pixel_size_that_is_given() {
    let bench = Bench::new();
    let slide = picture(&bench);
    // One pixel along i, that is 0.5 mm to the left: -0.5 mm in RAS.
    std::fs::write(
        bench.path("shift.txt"),
        "1 0 0 -0.5\n0 1 0 0\n0 0 1 0\n0 0 0 1\n",
    )
    .unwrap();
    run(
        &bench,
        "apply",
        "-t shift.txt -i slide.png -r slide.png --pixel-spacing 0.5 --fill 0 -o moved.png",
    );
    let moved = read_series(bench.path("moved.png")).unwrap();
    assert_eq!(moved.kind, SeriesKind::Colour);
    for (moved, slide) in moved.volumes.iter().zip(&slide.volumes) {
        assert_eq!(moved.data[[3, 4, 0]], slide.data[[4, 4, 0]]);
        assert_eq!(moved.data[[11, 4, 0]], 0.0);
    }
    refused(
        &bench,
        "apply",
        "-t shift.txt -i slide.png -r slide.png --dtype float32 -o f.png",
        "f.png: moved as a PNG, which cannot be float32",
    );
    refused(
        &bench,
        "apply",
        "-t shift.txt -i slide.png -r slide.png --dtype float32 -o folder",
        "slide.png: moved as a PNG, which cannot be float32",
    );
}

#[test]
fn labels_are_chosen_by_vote_unless_the_nearest_is_asked_for() {
    let bench = Bench::new();
    let geometry = Geometry::new([2, 2, 1], Dimension::Two, Affine::from_spacing([1.0; 3]));
    let data = Array3::from_shape_vec((2, 2, 1), vec![1, 2, 2, 3]).unwrap();
    bench.labels("l.nii.gz", &LabelMap { data, geometry });
    // (0.4, 0.3): the nearest is 1 with a weight of 0.42, 2 has 0.46.
    std::fs::write(
        bench.path("shift.txt"),
        "1 0 0 .4\n0 1 0 .3\n0 0 1 0\n0 0 0 1\n",
    )
    .unwrap();
    for (option, label) in [
        ("", 2),
        ("--label-interpolation vote", 2),
        ("--label-interpolation nearest", 1),
    ] {
        run(
            &bench,
            "apply",
            &format!("-t shift.txt -l l.nii.gz -r l.nii.gz {option} -o moved.nii.gz --force"),
        );
        let moved = read_labels(bench.path("moved.nii.gz")).unwrap();
        assert_eq!(moved.data[[0, 0, 0]], label, "{option}");
    }
}

#[test]
fn headers_alone_bring_images_to_the_same_place() {
    let bench = Bench::new();
    let (fixed, moving) = rigid_case(&bench);
    bench.labels("seg.nii.gz", &quarters(&moving));
    run(
        &bench,
        "apply",
        "-t rigid.txt -i moving.nii.gz -l seg.nii.gz --header-only -o moved",
    );
    run(
        &bench,
        "apply",
        "-t rigid.txt -i moving.nii.gz -r fixed.nii.gz -o resampled.nii.gz",
    );
    std::fs::write(
        bench.path("none.txt"),
        "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n",
    )
    .unwrap();
    run(
        &bench,
        "apply",
        "-t none.txt -i moved/moving.nii.gz -r fixed.nii.gz -o through.nii.gz",
    );
    let [direct, through] =
        ["resampled.nii.gz", "through.nii.gz"].map(|n| read_image(bench.path(n)).unwrap());
    assert_eq!(direct.geometry.shape, fixed.shape);
    let worst = direct
        .data
        .iter()
        .zip(&through.data)
        .fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    // Headers are float32: 1e-6 of 100 mm, slopes of 6 per mm.
    assert!(worst < 1e-2, "{worst}");
    assert_eq!(
        read_labels(bench.path("moved/seg.nii.gz")).unwrap().data,
        quarters(&moving).data
    );
    // Nothing is interpolated, filled or stored anew.
    for option in [
        "-n cubic",
        "--fill 0",
        "--dtype int16",
        "--label-interpolation nearest",
        "--frame 0",
    ] {
        let mut command = hmorph();
        command.current_dir(bench.folder.path()).arg("apply");
        command.args("-t rigid.txt -i moving.nii.gz --header-only -o none.nii.gz".split(' '));
        command.args(option.split(' ')).assert().code(2);
    }
}

#[test]
fn markups_of_slicer_keep_their_format() {
    let bench = Bench::new();
    rigid_case(&bench);
    let at = Vector3::new(3.0, -4.0, 5.0);
    let moved = (matrix(&bench.path("rigid.txt")) * at.push(1.0)).xyz();
    let json = r#"{"markups": [{"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints":
        [{"label": "a", "position": [-3.0, 4.0, 5.0]}]}]}"#;
    std::fs::write(bench.path("p.mrk.json"), json).unwrap();
    std::fs::write(
        bench.path("p.fcsv"),
        "# CoordinateSystem = RAS\n1,3,-4,5,0,0,0,1,1,1,0,a,,\n",
    )
    .unwrap();
    run(&bench, "apply", "-t rigid.txt -p p.mrk.json p.fcsv -o out");
    let json = std::fs::read_to_string(bench.path("out/p.mrk.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let position = json["markups"][0]["controlPoints"][0]["position"]
        .as_array()
        .unwrap();
    for (found, expected) in position.iter().zip([-moved.x, -moved.y, moved.z]) {
        assert!((found.as_f64().unwrap() - expected).abs() < 1e-6);
    }
    let table = std::fs::read_to_string(bench.path("out/p.fcsv")).unwrap();
    let row: Vec<&str> = table.lines().nth(1).unwrap().split(',').collect();
    for axis in 0..3 {
        assert!((row[axis + 1].parse::<f64>().unwrap() - moved[axis]).abs() < 1e-6);
    }
    std::fs::write(bench.path("q.fcsv"), "1,3,-4,5\n").unwrap();
    refused(
        &bench,
        "apply",
        "-t rigid.txt -p q.fcsv -o o",
        "no coordinate system",
    );
}
