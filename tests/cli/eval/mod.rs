//! `hmorph eval`: by a model, by given transforms, on held-out pairs.

mod challenges;
mod held_out;
mod landmarks;
mod refusals;

use std::collections::HashMap;
use std::path::Path;

use hmorph::dataset::Align;
use hmorph::volume::{Affine, Dimension, Geometry, Image, LabelMap, Volume};
use nalgebra::{Matrix3, Vector3};
use ndarray::Array3;

use crate::support::{Bench, Card, constant_model, hmorph, one_line_error};

/// Voxels of the moving image lie this far along `i` from those of the fixed image.
const SHIFT: usize = 2;

fn geometry() -> Geometry {
    // LAS with voxels of 1.5 mm along i.
    let linear = Matrix3::from_diagonal(&Vector3::new(-1.5, 1.0, 2.0));
    let affine = Affine::from_parts(linear, Vector3::new(9.0, -5.0, 3.0));
    Geometry::new([14, 11, 9], Dimension::Three, affine)
}

fn volume<T>(value: impl Fn(usize, usize, usize) -> T) -> Volume<T> {
    let geometry = geometry();
    let data = Array3::from_shape_fn(geometry.shape, |(i, j, k)| value(i, j, k));
    Volume { data, geometry }
}

/// Label 3 is a block four voxels long, label 7 one that does not move apart from itself.
fn labels(offset: usize) -> LabelMap {
    volume(|i, j, k| match (i.wrapping_sub(offset), j, k) {
        (4..8, 3..6, 2..5) => 3,
        (1..11, 8, 2..5) => 7,
        _ => 0,
    })
}

/// Zero but for the two structures, which differ from voxel to voxel.
fn image(offset: usize) -> Image {
    let labels = labels(offset);
    volume(|i, j, k| match labels.data[[i, j, k]] {
        0 => 0.0,
        label => (20 * label as usize + 2 * (i - offset) + j * k) as f32,
    })
}

/// A study of one pair: files, landmarks, a list and the model whose constant displacement is right.
fn study(bench: &Bench) {
    bench.image("fixed.nii.gz", &image(0));
    bench.image("moving.nii.gz", &image(SHIFT));
    bench.labels("fixed_seg.nii.gz", &labels(0));
    bench.labels("moving_seg.nii.gz", &labels(SHIFT));
    // LPS: x of RAS negated, so that a voxel more along i (to the left) is 1.5 mm more.
    std::fs::write(bench.path("f.csv"), "x,y,z,name\n0,0,9,a\n3,2,7,b\n").unwrap();
    std::fs::write(bench.path("m.csv"), "x,y,z,name\n6,2,7,b\n3,0,9,a\n").unwrap();
    let head = "fixed,moving,fixed_labels,moving_labels,fixed_points,moving_points,id";
    let row = "fixed.nii.gz,moving.nii.gz,fixed_seg.nii.gz,moving_seg.nii.gz,f.csv,m.csv,one";
    std::fs::write(bench.path("pairs.csv"), format!("{head}\n{row}\n")).unwrap();
    let card = Card {
        align: Align::Centre,
        ..Card::default()
    };
    constant_model(
        &bench.path("m.safetensors"),
        &card,
        &[SHIFT as f32, 0.0, 0.0],
    );
}

/// What an evaluation says.
fn eval(bench: &Bench, arguments: &str) -> String {
    let done = hmorph()
        .current_dir(bench.folder.path())
        .arg("eval")
        .args(arguments.split_whitespace())
        .assert()
        .success();
    String::from_utf8(done.get_output().stdout.clone()).unwrap()
}

/// `(pair, structure, measure)` to (before, after).
fn results(path: &Path) -> HashMap<[String; 3], [f64; 2]> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let number = |text: &str| text.parse().unwrap_or(f64::NAN);
    reader
        .records()
        .map(|row| {
            let row = row.unwrap();
            let key = [&row[0], &row[3], &row[4]].map(String::from);
            (key, [number(&row[5]), number(&row[6])])
        })
        .collect()
}

/// By hand: label 3 overlaps by 2 of 4 planes before, 7 by 8 of 10; after the shift both fit.
fn check(bench: &Bench, out: &str) {
    let found = results(&bench.path(out).join("results.csv"));
    let of = |structure: &str, metric: &str| found[&["one", structure, metric].map(String::from)];
    assert_eq!(of("3", "dice"), [0.5, 1.0], "{out}");
    assert_eq!(of("7", "dice"), [0.8, 1.0], "{out}");
    // Every landmark moves by two voxels of 1.5 mm.
    for landmark in ["a", "b"] {
        let [before, after] = of(landmark, "tre");
        approx::assert_abs_diff_eq!(before, 3.0, epsilon = 1e-5);
        approx::assert_abs_diff_eq!(after, 0.0, epsilon = 1e-4);
    }
    assert_eq!(of("", "folded_voxels")[1], 0.0);
    let [before, after] = of("", "mse");
    assert!(before > 0.01 && after < 1e-9, "{before} {after}");
    let folder = bench.path(out);
    for file in ["pairs.csv", "summary.csv", "summary.md", "run.json"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    let summary = std::fs::read_to_string(folder.join("summary.csv")).unwrap();
    assert!(summary.contains("\ntre,a,mm,after,1,0,"), "{summary}");
}

/// [`write_voxel_shifts`] of one shift everywhere.
fn write_voxel_field(path: &Path, shift: f32) {
    write_voxel_shifts(path, |_| shift);
}

/// (x, y, z, 3) float32 NIfTI-1 as the challenges want it, without any orientation in its header; shifts of voxels along the
/// first axis.
fn write_voxel_shifts(path: &Path, shift: impl Fn([usize; 3]) -> f32) {
    let [x, y, z] = geometry().shape;
    let mut bytes = vec![0_u8; 352];
    bytes[..4].copy_from_slice(&348_i32.to_le_bytes());
    let dim = [4, x as i16, y as i16, z as i16, 3, 1, 1, 1];
    for (n, size) in dim.into_iter().enumerate() {
        bytes[40 + 2 * n..][..2].copy_from_slice(&size.to_le_bytes());
        bytes[76 + 4 * n..][..4].copy_from_slice(&1.0_f32.to_le_bytes());
    }
    bytes[70..72].copy_from_slice(&16_i16.to_le_bytes());
    bytes[72..74].copy_from_slice(&32_i16.to_le_bytes());
    bytes[108..112].copy_from_slice(&352.0_f32.to_le_bytes());
    bytes[344..348].copy_from_slice(b"n+1\0");
    // The first axis is the fastest.
    for voxel in 0..x * y * z {
        let value = shift([voxel % x, voxel / x % y, voxel / (x * y)]);
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend(0.0_f32.to_le_bytes().repeat(2 * x * y * z));
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_model_and_its_transforms_in_files_are_judged_alike() {
    let bench = Bench::new();
    study(&bench);
    eval(&bench, "--pairs pairs.csv --model m.safetensors -o model");
    check(&bench, "model");
    hmorph()
        .current_dir(bench.folder.path())
        .args([
            "register",
            "fixed.nii.gz",
            "moving.nii.gz",
            "--model",
            "m.safetensors",
        ])
        .args(["-o", "transforms/one", "--linear", "none", "--refine", "0"])
        .assert()
        .success();
    eval(&bench, "--pairs pairs.csv --transforms transforms -o files");
    check(&bench, "files");
    std::fs::create_dir(bench.path("voxels")).unwrap();
    write_voxel_field(&bench.path("voxels/disp_one.nii"), SHIFT as f32);
    eval(
        &bench,
        "--pairs pairs.csv --transforms voxels --field-units voxel -o voxel",
    );
    check(&bench, "voxel");
    // A composite in the list itself.
    hmorph()
        .current_dir(bench.folder.path())
        .args(["transform", "-t", "transforms/one", "-o", "chain.h5"])
        .assert()
        .success();
    let list = std::fs::read_to_string(bench.path("pairs.csv")).unwrap();
    let list = list
        .replace(",id\n", ",id,transform\n")
        .replace(",one\n", ",one,chain.h5\n");
    std::fs::write(bench.path("listed.csv"), list).unwrap();
    eval(&bench, "--pairs listed.csv -o composite");
    check(&bench, "composite");
    let record = std::fs::read_to_string(bench.path("model/run.json")).unwrap();
    assert!(record.contains("\"protocol\": \"hmorph\""), "{record}");
}

#[test]
fn pairs_of_one_fixed_image_are_measured_together_and_listed_as_given() {
    let bench = Bench::new();
    study(&bench);
    let list = "fixed,moving,id\nfixed.nii.gz,moving.nii.gz,one\nmoving.nii.gz,fixed.nii.gz,two\n\
         fixed.nii.gz,fixed.nii.gz,three\n";
    std::fs::write(bench.path("pairs.csv"), list).unwrap();
    let text = eval(&bench, "--pairs pairs.csv --model m.safetensors -o out");
    let measured: Vec<&str> = text
        .lines()
        .filter(|line| line.contains(" of 3  "))
        .map(str::trim_start)
        .collect();
    assert_eq!(measured, ["1 of 3  one", "2 of 3  three", "3 of 3  two"]);
    let mut reader = csv::Reader::from_path(bench.path("out/results.csv")).unwrap();
    let mut order: Vec<String> = reader
        .records()
        .map(|row| row.unwrap()[0].to_string())
        .collect();
    order.dedup();
    assert_eq!(order, ["one", "two", "three", "population"]);
}

#[test]
fn structures_of_one_side_are_counted_whichever_it_is() {
    let bench = Bench::new();
    study(&bench);
    let given = labels(SHIFT);
    let more = volume(|i, j, k| match (i, j, k) {
        (4..8, 0..2, 0..2) => 9,
        _ => given.data[[i, j, k]],
    });
    bench.labels("moving_seg.nii.gz", &more);
    let text = eval(
        &bench,
        "--pairs pairs.csv --model m.safetensors --labels 3,9 -o out",
    );
    let note = "1 structures are in only one of the fixed and the moved labels";
    assert!(text.contains(note), "{text}");
    let found = results(&bench.path("out/results.csv"));
    let of = |structure: &str, metric: &str| found[&["one", structure, metric].map(String::from)];
    assert_eq!(of("9", "dice"), [0.0, 0.0]);
    assert_eq!(of("9", "hd95"), [f64::INFINITY; 2]);
}

#[test]
fn labels_have_names_and_a_mask_says_what_counts() {
    let bench = Bench::new();
    study(&bench);
    std::fs::write(
        bench.path("lut.txt"),
        "#No. Name R G B A\n3 Block 1 2 3 0\n",
    )
    .unwrap();
    // Both images are zero in the first plane.
    bench.labels("mask.nii.gz", &volume(|i, _, _| i32::from(i == 0)));
    let head = "fixed,moving,fixed_labels,moving_labels,fixed_mask,id";
    let row = "fixed.nii.gz,moving.nii.gz,fixed_seg.nii.gz,moving_seg.nii.gz,mask.nii.gz,one";
    std::fs::write(bench.path("masked.csv"), format!("{head}\n{row}\n")).unwrap();
    eval(
        &bench,
        "--pairs masked.csv --model m.safetensors --label-names lut.txt -o out",
    );
    let found = results(&bench.path("out/results.csv"));
    let of = |structure: &str, metric: &str| found[&["one", structure, metric].map(String::from)];
    assert_eq!(of("Block", "dice"), [0.5, 1.0]);
    assert_eq!(of("7", "dice"), [0.8, 1.0]);
    assert_eq!(of("", "mse"), [0.0, 0.0]);
}

#[test]
fn what_was_before_does_not_depend_on_the_transform() {
    let bench = Bench::new();
    study(&bench);
    // The moving image's block lies from i = 6 to 9: this edge, moved by one transform or the other, cuts it elsewhere.
    bench.labels("mask.nii.gz", &volume(|i, _, _| i32::from(i < 8)));
    let mut list = "fixed,moving,moving_mask,id,transform\n".to_string();
    for shift in [0, 2] {
        write_voxel_field(&bench.path(&format!("by{shift}.nii")), shift as f32);
        list += &format!("fixed.nii.gz,moving.nii.gz,mask.nii.gz,by{shift},by{shift}.nii\n");
    }
    std::fs::write(bench.path("masked.csv"), list).unwrap();
    eval(&bench, "--pairs masked.csv --field-units voxel -o out");
    let found = results(&bench.path("out/results.csv"));
    let of = |pair: &str, metric: &str| found[&[pair, "", metric].map(String::from)];
    for metric in ["mse", "ncc", "local_ncc", "mutual_information"] {
        let [still, shifted] = ["by0", "by2"].map(|pair| of(pair, metric));
        assert_eq!(still[0], shifted[0], "{metric}");
        assert_ne!(shifted[0], shifted[1], "{metric}");
    }
    // Where nothing moves, neither does the mask.
    let [before, after] = of("by0", "mse");
    approx::assert_abs_diff_eq!(before, after, epsilon = 1e-6);
}

#[test]
fn a_population_leaves_out_what_is_masked() {
    let bench = Bench::new();
    study(&bench);
    bench.image("other.nii.gz", &image(1));
    write_voxel_field(&bench.path("still.nii"), 0.0);
    // All images are zero in the first plane.
    bench.labels("mask.nii.gz", &volume(|i, _, _| i32::from(i == 0)));
    let variance = |mask: &str, out: &str| {
        let mut list = "fixed,moving,fixed_mask,transform\n".to_string();
        for moving in ["moving", "other"] {
            list += &format!("fixed.nii.gz,{moving}.nii.gz,{mask},still.nii\n");
        }
        std::fs::write(bench.path("population.csv"), list).unwrap();
        let arguments = "--pairs population.csv --field-units voxel";
        eval(&bench, &format!("{arguments} -o {out}"));
        let found = results(&bench.path(out).join("results.csv"));
        found[&["population", "", "intensity_variance"].map(String::from)]
    };
    assert!(variance("", "all").iter().all(|&value| value > 0.0));
    assert_eq!(variance("mask.nii.gz", "masked"), [0.0, 0.0]);
}

#[test]
fn a_pair_that_fails_does_not_cost_the_others() {
    let bench = Bench::new();
    study(&bench);
    std::fs::write(bench.path("broken.nii.gz"), "not an image").unwrap();
    let list = std::fs::read_to_string(bench.path("pairs.csv")).unwrap();
    let rows = "broken.nii.gz,moving.nii.gz,,,,,two\nfixed.nii.gz,broken.nii.gz,,,,,three\n";
    std::fs::write(bench.path("pairs.csv"), list + rows).unwrap();
    let mut command = hmorph();
    command
        .current_dir(bench.folder.path())
        .args(["eval", "--pairs", "pairs.csv"]);
    let error = one_line_error(command.args(["--model", "m.safetensors", "-o", "out"]));
    assert!(
        error.contains("pair two") && error.contains("1 more failed"),
        "{error}"
    );
    check(&bench, "out");
    let record = std::fs::read_to_string(bench.path("out/run.json")).unwrap();
    assert!(record.contains("pair three"), "{record}");
}

#[test]
fn a_pair_without_its_transform_does_not_cost_the_others() {
    let bench = Bench::new();
    study(&bench);
    std::fs::create_dir(bench.path("voxels")).unwrap();
    write_voxel_field(&bench.path("voxels/disp_one.nii"), SHIFT as f32);
    let list = std::fs::read_to_string(bench.path("pairs.csv")).unwrap();
    let row = "fixed.nii.gz,moving.nii.gz,,,,,two\n";
    std::fs::write(bench.path("pairs.csv"), list + row).unwrap();
    let mut command = hmorph();
    command.current_dir(bench.folder.path()).args([
        "eval",
        "--pairs",
        "pairs.csv",
        "--transforms",
        "voxels",
    ]);
    let error = one_line_error(command.args(["--field-units", "voxel", "-o", "out"]));
    assert!(
        error.contains("pair two: no transform in voxels"),
        "{error}"
    );
    check(&bench, "out");
}
