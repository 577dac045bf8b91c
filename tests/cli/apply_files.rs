//! `hmorph apply`: files that stay as they are, and files of other programs.

use hmorph::volume::{
    Affine, DType, Dimension, DisplacementField, Encoding, Geometry, Image, World, WorldAffine,
    probe, read_image, write_affine, write_field, write_series,
};
use ndarray::{Array3, Array4};

use crate::support::{Bench, hmorph, painted, ramp, refused};

fn apply(bench: &Bench, arguments: &str) {
    let mut hmorph = hmorph();
    hmorph.current_dir(bench.folder.path()).arg("apply");
    hmorph.args(arguments.split_whitespace()).assert().success();
}

#[test]
fn voxels_that_a_header_names_are_not_replaced() {
    let bench = Bench::new();
    let geometry = Geometry::new([5, 4, 3], Dimension::Three, Affine::identity());
    let image = painted(&geometry, ramp);
    for (suffix, voxels) in [("mhd", "raw"), ("nhdr", "raw.gz")] {
        let [input, own, taken] = [
            format!("a.{suffix}"),
            format!("a.{voxels}"),
            format!("b.{voxels}"),
        ];
        bench.image(&input, &image);
        std::fs::rename(bench.path(&own), bench.path(&taken)).unwrap();
        let header = std::fs::read_to_string(bench.path(&input)).unwrap();
        std::fs::write(bench.path(&input), header.replace(&own, &taken)).unwrap();
        let arguments = format!("-t identity -i {input} -r {input} -o b.{suffix} --force");
        refused(
            &bench,
            "apply",
            &arguments,
            &format!("the input {taken} would be lost"),
        );
        let arguments = format!("-t identity -r {input} --jacobian b.{suffix} --force");
        refused(
            &bench,
            "transform",
            &arguments,
            &format!("the input {taken} would be lost"),
        );
        assert_eq!(read_image(bench.path(&input)).unwrap(), image);
    }
}

#[test]
fn results_are_of_the_world_of_their_grid() {
    let bench = Bench::new();
    let geometry = Geometry::new([5, 4, 3], Dimension::Three, Affine::identity());
    bench.image("scan.nii", &painted(&geometry, ramp));
    let template = Geometry {
        world: World(4),
        ..geometry
    };
    bench.image("mni.nii", &painted(&template, ramp));
    let arguments = "-t identity -i scan.nii -r mni.nii -o out.nii";
    let mut hmorph = hmorph();
    hmorph.current_dir(bench.folder.path()).arg("apply");
    let output = hmorph.args(arguments.split(' ')).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with("written  out.nii\n"), "{text}");
    let moved = read_image(bench.path("out.nii")).unwrap();
    assert_eq!(moved.geometry.world, World(4));
}

#[test]
fn the_same_type_is_that_of_the_file_with_its_scale() {
    let bench = Bench::new();
    let geometry = Geometry::new([5, 4, 3], Dimension::Three, Affine::identity());
    let data = Array3::from_shape_fn((5, 4, 3), |(i, j, k)| {
        (100 * i + 10 * j + k) as f32 - 1024.0
    });
    let ct = Image { data, geometry };
    let encoding = Encoding {
        dtype: DType::I16,
        scale: Some((1.0, -1024.0)),
    };
    write_series(bench.path("ct.nii"), &ct.clone().into(), encoding, "").unwrap();
    for (out, dtype, scaling) in [
        ("same.nii", DType::I16, Some([1.0, -1024.0])),
        ("same.mha", DType::F32, None),
    ] {
        let arguments = format!("-t identity -i ct.nii -r ct.nii --dtype same -o {out}");
        apply(&bench, &arguments);
        let info = probe(bench.path(out)).unwrap();
        assert_eq!((info.dtype, info.scaling), (dtype, scaling), "{out}");
        assert_eq!(read_image(bench.path(out)).unwrap().data, ct.data, "{out}");
    }
}

#[test]
fn the_affine_that_a_field_contains_is_not_applied_twice() {
    let bench = Bench::new();
    let geometry = Geometry::new([5, 4, 3], Dimension::Three, Affine::identity());
    bench.image("a.nii.gz", &painted(&geometry, ramp));
    std::fs::create_dir(bench.path("r")).unwrap();
    std::fs::write(bench.path("r/run.json"), "{}").unwrap();
    let field = DisplacementField::zeros(geometry.clone());
    for name in ["r/forward.nii.gz", "r/inverse.nii.gz", "forward.nii.gz"] {
        write_field(bench.path(name), &field, "").unwrap();
    }
    let identity = WorldAffine::identity();
    for name in ["r/affine.mat", "affine.mat"] {
        write_affine(bench.path(name), &identity, &geometry, &geometry).unwrap();
    }
    for (transforms, instead) in [
        ("r/affine.mat r/forward.nii.gz", "give -t r alone"),
        ("r/forward.nii.gz ./r/affine.mat", "give -t r alone"),
        ("inv:r/affine.mat r/inverse.nii.gz", "give -t inv:r alone"),
        (
            "inv:r/forward.nii.gz inv:r/affine.mat",
            "give -t inv:r alone",
        ),
    ] {
        let arguments = format!("-t {transforms} -i a.nii.gz -r a.nii.gz -o out.nii.gz");
        refused(&bench, "apply", &arguments, "already contains affine.mat");
        refused(&bench, "apply", &arguments, instead);
    }
    // What the field adds to the affine, and files that are of no result folder.
    for transforms in [
        "r/forward.nii.gz inv:r/affine.mat",
        "r/affine.mat r/inverse.nii.gz",
        "affine.mat forward.nii.gz",
        "affine.mat r/forward.nii.gz",
    ] {
        let arguments = format!("-t {transforms} -i a.nii.gz -r a.nii.gz --force -o out.nii.gz");
        apply(&bench, &arguments);
    }
}

#[test]
fn the_grid_of_a_field_is_a_reference() {
    let bench = Bench::new();
    let scan = Geometry::new([9, 8, 7], Dimension::Three, Affine::identity());
    bench.image("scan.nii.gz", &painted(&scan, ramp));
    let geometry = Geometry::new([5, 4, 3], Dimension::Three, Affine::from_spacing([2.0; 3]));
    let field = DisplacementField::zeros(geometry.clone());
    write_field(bench.path("warp.nii.gz"), &field, "").unwrap();
    apply(
        &bench,
        "-t warp.nii.gz -i scan.nii.gz -r warp.nii.gz -o moved.nii.gz",
    );
    let moved = read_image(bench.path("moved.nii.gz")).unwrap();
    assert_eq!(moved, painted(&geometry, ramp));
}

#[test]
fn landmarks_keep_their_other_columns() {
    let bench = Bench::new();
    std::fs::write(
        bench.path("shift.txt"),
        "1 0 0 -5\n0 1 0 0\n0 0 1 0\n0 0 0 1\n",
    )
    .unwrap();
    let ants = "x,y,z,t,label,comment\n1,2,3,0,7,tumour\n";
    std::fs::write(bench.path("ants.csv"), ants).unwrap();
    // Through plain files each landmark goes where the matrix takes it: 5 mm to the left, which is more in LPS.
    apply(&bench, "-t shift.txt -p ants.csv -o out.csv");
    let text = std::fs::read_to_string(bench.path("out.csv")).unwrap();
    assert_eq!(
        text,
        "x,y,z,t,label,comment\n6.000000,2.000000,3.000000,0,7,tumour\n"
    );
}

#[test]
fn beyond_the_fields_of_result_folders_their_edge_holds() {
    let bench = Bench::new();
    let geometry = Geometry::new([4, 4, 4], Dimension::Three, Affine::identity());
    let data = Array4::from_elem((3, 4, 4, 4), 2.0);
    let field = DisplacementField { data, geometry };
    std::fs::create_dir(bench.path("run")).unwrap();
    std::fs::write(bench.path("run/run.json"), "{}").unwrap();
    for name in ["run/forward.nii.gz", "run/inverse.nii.gz", "warp.nii.gz"] {
        write_field(bench.path(name), &field, "").unwrap();
    }
    // A place 13 mm outside the grid, in LPS; the field goes 2 mm along each axis of RAS.
    std::fs::write(bench.path("far.csv"), "13,1,1\n").unwrap();
    for (transform, expected) in [
        ("warp.nii.gz", "13.000000,1.000000,1.000000\n"),
        ("run/inverse.nii.gz", "11.000000,-1.000000,3.000000\n"),
        ("run", "11.000000,-1.000000,3.000000\n"),
    ] {
        apply(
            &bench,
            &format!("-t {transform} -p far.csv --force -o out.csv"),
        );
        let text = std::fs::read_to_string(bench.path("out.csv")).unwrap();
        assert_eq!(text, expected, "{transform}");
    }
}
