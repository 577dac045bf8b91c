//! `hmorph eval`: by a model, by given transforms, on held-out pairs.

use std::collections::HashMap;
use std::path::Path;

use hmorph::dataset::Align;
use hmorph::volume::{Affine, Dimension, Geometry, Image, LabelMap, Volume};
use nalgebra::{Matrix3, Vector3};
use ndarray::Array3;

use crate::support::{Bench, Card, constant_model, hmorph, one_line_error, refused};

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
fn landmarks_keep_their_names_where_others_are_left_out() {
    let bench = Bench::new();
    study(&bench);
    let fewer = "x,y,z,name\n6,2,7,b\n1,1,1,c\n2,2,2,d\n";
    std::fs::write(bench.path("fewer.csv"), fewer).unwrap();
    let list = std::fs::read_to_string(bench.path("pairs.csv")).unwrap();
    let row = "fixed.nii.gz,moving.nii.gz,,,f.csv,fewer.csv,two\n";
    std::fs::write(bench.path("pairs.csv"), list + row).unwrap();
    let text = eval(&bench, "--pairs pairs.csv --model m.safetensors -o out");
    let note = "note: landmarks that both files name: 1; left out: 1 of f.csv, 2 of fewer.csv";
    assert!(text.contains(note), "{text}");
    let record = std::fs::read_to_string(bench.path("out/run.json")).unwrap();
    assert!(record.contains(note), "{record}");
    check(&bench, "out");
    let found = results(&bench.path("out/results.csv"));
    let mut names: Vec<&str> = found
        .keys()
        .filter(|[pair, _, metric]| pair == "two" && metric == "tre")
        .map(|[_, name, _]| name.as_str())
        .collect();
    assert_eq!(names.pop(), Some("b"));
    assert!(names.is_empty(), "{names:?}");
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
fn held_out_pairs_of_a_configuration() {
    let bench = Bench::new();
    study(&bench);
    let mut list = "image,label,subject,split\nfixed.nii.gz,fixed_seg.nii.gz,a,test\n\
         moving.nii.gz,moving_seg.nii.gz,b,test\n"
        .to_string();
    for (n, split) in ["train", "train", "validation", "validation"]
        .iter()
        .enumerate()
    {
        bench.image(&format!("other{n}.nii.gz"), &image(n % 3));
        list += &format!("other{n}.nii.gz,,s{n},{split}\n");
    }
    std::fs::write(bench.path("study.csv"), list).unwrap();
    std::fs::write(
        bench.path("run.toml"),
        "[data]\nmanifest = \"study.csv\"\nalign = \"centre\"\n[loss.mse]\nweight = 1.0\n",
    )
    .unwrap();
    refused(
        &bench,
        "eval",
        "--data run.toml --protocol lumir --model m.safetensors -o out",
        "the mask of --protocol lumir",
    );
    eval(
        &bench,
        "--data run.toml --split test --model m.safetensors -o out",
    );
    let found = results(&bench.path("out/results.csv"));
    let dice = |pair: &str, label: &str| found[&[pair, label, "dice"].map(String::from)];
    assert_eq!(dice("moving_to_fixed", "3"), [0.5, 1.0]);
    // The other way round the same displacement leads away: two more voxels, no overlap left.
    assert_eq!(dice("fixed_to_moving", "3"), [0.5, 0.0]);
    assert!(
        bench.path("out/dice.png").is_file(),
        "two pairs make a box plot"
    );
    // The intensity variance over both would be of no pair.
    let pairs = std::fs::read_to_string(bench.path("out/pairs.csv")).unwrap();
    assert!(!pairs.contains("population"), "{pairs}");

    // Of a run its own split counts, whatever its settings would deal out now.
    let split = bench.path("study.csv");
    let run = bench.path("run");
    std::fs::create_dir(&run).unwrap();
    std::fs::copy(bench.path("run.toml"), run.join("config.toml")).unwrap();
    let swapped = std::fs::read_to_string(split).unwrap();
    let swapped = swapped
        .replace("test", "train")
        .replace("validation", "test");
    let swapped = swapped
        .replace("other", "../other")
        .replace("fixed", "../fixed");
    std::fs::write(
        run.join("split.csv"),
        swapped.replace("moving", "../moving"),
    )
    .unwrap();
    eval(
        &bench,
        "--data run/config.toml --split test --model m.safetensors -o own",
    );
    let pairs = std::fs::read_to_string(bench.path("own/pairs.csv")).unwrap();
    assert!(
        pairs.contains("other3_to_other2") && !pairs.contains("moving_to_fixed"),
        "{pairs}"
    );
}

#[test]
fn options_without_effect_are_refused() {
    let bench = Bench::new();
    study(&bench);
    let column = "fixed,moving,transform\nfixed.nii.gz,moving.nii.gz,moving.nii.gz\n";
    std::fs::write(bench.path("column.csv"), column).unwrap();
    let registration = [
        "--network-spacing 2",
        "--in-plane",
        "--linear rigid",
        "--init mass",
        "--metric mi",
        "--search 60",
        "--allow-flip",
        "--refine 0",
        "--no-network",
        "--smoothness 0.5",
        "--one-sided",
        "--deformation velocity",
    ];
    let images = [
        "--normalize z-score",
        "--spacing 1",
        "--window 0,1",
        "--fixed-window 0,1",
        "--moving-window 0,1",
    ];
    let nothing = |source: &str, option: &str| {
        let (name, _) = option.split_once(' ').unwrap_or((option, ""));
        let part = format!("so {name} would do nothing");
        refused(&bench, "eval", &format!("{source} {option} -o out"), &part);
    };
    for option in registration {
        nothing("--data none.toml", option);
        nothing("--pairs pairs.csv --transforms .", option);
        nothing("--pairs column.csv", option);
    }
    for option in images {
        nothing("--data none.toml", option);
    }
    nothing("--pairs column.csv", "--model m.safetensors");
    for source in ["--data none.toml", "--pairs pairs.csv"] {
        nothing(source, "--field-units voxel");
    }
    let data = ["eval", "--data", "none.toml", "-o", "out"];
    hmorph()
        .args(data)
        .args(["--points-space", "ras"])
        .assert()
        .code(2);
}

#[test]
fn wrong_lists_are_refused_before_anything_is_written() {
    let bench = Bench::new();
    study(&bench);
    std::fs::write(
        bench.path("bad.csv"),
        "fixed,moving\nfixed.nii.gz,none.nii.gz\n",
    )
    .unwrap();
    let before = bench.names();
    for (arguments, part) in [
        ("--pairs bad.csv -o out", "none.nii.gz"),
        ("--pairs none.csv -o out", "none.csv"),
        ("--pairs pairs.csv --transforms . -o out", "no transform in"),
        (
            "--pairs pairs.csv --model fixed.nii.gz -o out",
            "fixed.nii.gz",
        ),
        ("--data none.toml -o out", "none.toml"),
    ] {
        let mut command = hmorph();
        command
            .current_dir(bench.folder.path())
            .arg("eval")
            .args(arguments.split_whitespace());
        let error = one_line_error(&mut command);
        assert!(error.contains(part), "{arguments}: {error}");
        assert_eq!(bench.names(), before, "{arguments}");
    }
    for arguments in [
        &["eval", "-o", "out"][..],
        &["eval", "--pairs", "a", "--data", "b", "-o", "c"],
    ] {
        hmorph().args(arguments).assert().code(2);
    }
}
