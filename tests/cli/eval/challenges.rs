//! The protocols of challenges, whose programs compare arrays and look at no affine.

use hmorph::volume::{Affine, Dimension, Geometry, Volume};
use nalgebra::{Matrix3, Vector3};
use ndarray::Array3;

use super::{
    SHIFT, eval, geometry, image, labels, results, study, volume, write_voxel_field,
    write_voxel_shifts,
};
use crate::support::{Bench, refused};

#[test]
fn the_mask_of_lumir_is_that_of_the_file() {
    let bench = Bench::new();
    // Above 0 everywhere, but after any normalisation only where it is bright.
    bench.image(
        "fixed.nii.gz",
        &volume(|_, j, _| if j < 6 { 1.0 } else { 100.0 + j as f32 }),
    );
    std::fs::copy(bench.path("fixed.nii.gz"), bench.path("moving.nii.gz")).unwrap();
    std::fs::create_dir(bench.path("voxels")).unwrap();
    // Folds where it is dark.
    write_voxel_shifts(&bench.path("voxels/disp_one.nii"), |[i, j, _]| {
        match (i, j) {
            (5, 0..5) => 2.0,
            (7, 0..5) => -2.0,
            _ => 0.0,
        }
    });
    let list = "fixed,moving,id\nfixed.nii.gz,moving.nii.gz,one\n";
    std::fs::write(bench.path("pairs.csv"), list).unwrap();
    let signs = volume(|_, j, _| if j < 6 { -1.0 } else { 100.0 + j as f32 });
    let ndv = |out: &str, options: &str| {
        let arguments = "--pairs pairs.csv --transforms voxels --protocol lumir";
        eval(&bench, &format!("{arguments} {options} -o {out}"));
        let found = results(&bench.path(out).join("results.csv"));
        found[&["one", "", "ndv_percent"].map(String::from)][1]
    };
    let raw = ndv("none", "--normalize none");
    assert!(raw > 0.0, "{raw}");
    assert_eq!(ndv("default", ""), raw);
    assert_eq!(ndv("z-score", "--normalize z-score"), raw);
    // A window that brings voxels up from below 0 does not make them count.
    bench.image("moving.nii.gz", &signs);
    let signed = ndv("signed", "--normalize none");
    assert!(signed < raw, "{signed} {raw}");
    assert_eq!(ndv("clipped", "--moving-window 50,200"), signed);
}

#[test]
fn challenge_rules_count_in_voxels() {
    let bench = Bench::new();
    study(&bench);
    std::fs::create_dir(bench.path("voxels")).unwrap();
    write_voxel_field(&bench.path("voxels/one.nii"), SHIFT as f32);
    std::fs::rename(
        bench.path("voxels/one.nii"),
        bench.path("voxels/disp_one.nii"),
    )
    .unwrap();
    eval(
        &bench,
        "--pairs pairs.csv --transforms voxels --protocol learn2reg -o l2r",
    );
    let found = results(&bench.path("l2r/results.csv"));
    let of = |structure: &str, metric: &str| found[&["one", structure, metric].map(String::from)];
    assert_eq!(of("3", "dice"), [0.5, 1.0]);
    // 3 x 3 x 4 voxels, shifted by two: 95 % of the distances are at most 2 voxels (and the largest is 2).
    assert_eq!(of("3", "hd95_voxels"), [2.0, 0.0]);
    assert!(!found.keys().any(|[_, _, metric]| metric == "mse"));
}

#[test]
fn challenges_compare_voxel_by_voxel_whatever_headers_say() {
    let bench = Bench::new();
    study(&bench);
    std::fs::create_dir(bench.path("voxels")).unwrap();
    write_voxel_field(&bench.path("voxels/disp_one.nii"), SHIFT as f32);
    // Voxels twice as large, elsewhere; the labels have no place at all.
    let linear = Matrix3::from_diagonal(&Vector3::new(-3.0, 2.0, 4.0));
    let affine = Affine::from_parts(linear, Vector3::new(30.0, 1.0, -7.0));
    let placed = |affine| Geometry::new(geometry().shape, Dimension::Three, affine);
    let mut moving = image(SHIFT);
    moving.geometry = placed(affine);
    bench.image("moving.nii.gz", &moving);
    let mut drawn = labels(SHIFT);
    drawn.geometry = placed(Affine::identity());
    bench.labels("moving_seg.nii.gz", &drawn);
    // Voxels (4, 5, 6) and (7, 5, 6), as they are and in the world (LPS) of each image.
    for (space, fixed, moving) in [
        ("", "4,5,6", "7,5,6"),
        ("--points-space lps", "-3,0,15", "-9,-11,17"),
    ] {
        std::fs::write(bench.path("f.csv"), format!("x,y,z,name\n{fixed},a\n")).unwrap();
        std::fs::write(bench.path("m.csv"), format!("x,y,z,name\n{moving},a\n")).unwrap();
        let arguments = "--pairs pairs.csv --transforms voxels --protocol learn2reg";
        eval(&bench, &format!("{arguments} {space} -o out --force"));
        let found = results(&bench.path("out/results.csv"));
        let of =
            |structure: &str, metric: &str| found[&["one", structure, metric].map(String::from)];
        assert_eq!(of("3", "dice"), [0.5, 1.0]);
        assert_eq!(of("7", "dice"), [0.8, 1.0]);
        // Three voxels of the moving image apart, one after the shift by two.
        let [before, after] = of("a", "tre");
        approx::assert_abs_diff_eq!(before, 9.0, epsilon = 1e-5);
        approx::assert_abs_diff_eq!(after, 3.0, epsilon = 1e-5);
    }
}

#[test]
fn challenges_ask_for_images_of_one_shape() {
    let bench = Bench::new();
    study(&bench);
    std::fs::create_dir(bench.path("voxels")).unwrap();
    write_voxel_field(&bench.path("voxels/disp_one.nii"), 0.0);
    let larger = Geometry::new([15, 11, 9], Dimension::Three, geometry().affine);
    let moving = Volume {
        data: Array3::from_shape_fn(larger.shape, |(i, _, _)| i as f32),
        geometry: larger,
    };
    bench.image("moving.nii.gz", &moving);
    let list = "fixed,moving,id\nfixed.nii.gz,moving.nii.gz,one\n";
    std::fs::write(bench.path("pairs.csv"), list).unwrap();
    for protocol in ["learn2reg", "lumir"] {
        refused(
            &bench,
            "eval",
            &format!("--pairs pairs.csv --transforms voxels --protocol {protocol} -o out"),
            "moving.nii.gz: [15, 11, 9] voxels, but the fixed image has [14, 11, 9]",
        );
    }
}

#[test]
fn challenges_ask_for_the_mask_of_the_fixed_image_alone() {
    let bench = Bench::new();
    study(&bench);
    bench.labels("half.nii.gz", &volume(|i, _, _| i32::from(i < 8)));
    bench.labels("other.nii.gz", &volume(|i, _, _| i32::from(i > 4)));
    let bent = |[i, _, _]: [usize; 3]| 0.05 * (i * i) as f32;
    write_voxel_shifts(&bench.path("bent.nii"), bent);
    let rows = [
        ("none", ",,"),
        ("fixed", "half.nii.gz,,"),
        ("both", "half.nii.gz,other.nii.gz,"),
    ];
    let rows = rows.map(|(id, masks)| format!("fixed.nii.gz,moving.nii.gz,{masks}bent.nii,{id}\n"));
    let head = "fixed,moving,fixed_mask,moving_mask,transform,id\n";
    std::fs::write(bench.path("masked.csv"), format!("{head}{}", rows.concat())).unwrap();
    eval(&bench, "--pairs masked.csv --protocol learn2reg -o out");
    let found = results(&bench.path("out/results.csv"));
    let spread = |id: &str| found[&[id, "", "sd_log_jacobian_l2r"].map(String::from)][1];
    assert_eq!(spread("both"), spread("fixed"));
    assert_ne!(spread("none"), spread("fixed"));
}

#[test]
fn landmarks_that_lumir_loses_are_told() {
    let bench = Bench::new();
    study(&bench);
    write_voxel_field(&bench.path("shift.nii"), SHIFT as f32);
    let drawn = |voxels: [usize; 2]| {
        volume(|i, j, k| match (i, j, k) {
            (i, 5, 4) if i == voxels[0] => 1,
            (i, 2, 4) if i == voxels[1] => 2,
            _ => 0,
        })
    };
    // The second one comes from beyond the grid.
    bench.labels("lf.nii.gz", &drawn([4, 6]));
    bench.labels("lm.nii.gz", &drawn([6, 1]));
    let list = "fixed,moving,fixed_points,moving_points,id,transform\n\
                fixed.nii.gz,moving.nii.gz,lf.nii.gz,lm.nii.gz,one,shift.nii\n";
    std::fs::write(bench.path("drawn.csv"), list).unwrap();
    let text = eval(&bench, "--pairs drawn.csv --protocol lumir -o out");
    assert!(text.contains("1 landmarks are in only one"), "{text}");
    let found = results(&bench.path("out/results.csv"));
    let error = |name: &str| found[&["one", name, "tre_voxels"].map(String::from)];
    assert_eq!(error("landmark 1"), [2.0, 0.0]);
    let [before, after] = error("landmark 2");
    assert!(before == 5.0 && after.is_nan());
}
