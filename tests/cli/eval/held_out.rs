//! Held-out pairs of a training configuration.

use super::{eval, image, results, study};
use crate::support::{Bench, hmorph, one_line_error, refused};

/// Settings whose test subjects are the two images of the study, among others that train and validate.
fn configuration(bench: &Bench) {
    study(bench);
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
}

/// A run folder of these settings, whose own split tests the images that they validate with.
fn run_folder(bench: &Bench) {
    configuration(bench);
    let run = bench.path("run");
    std::fs::create_dir(&run).unwrap();
    std::fs::copy(bench.path("run.toml"), run.join("config.toml")).unwrap();
    let mut split = std::fs::read_to_string(bench.path("study.csv")).unwrap();
    for (from, to) in [
        ("test", "train"),
        ("validation", "test"),
        ("other", "../other"),
        ("fixed", "../fixed"),
        ("moving", "../moving"),
    ] {
        split = split.replace(from, to);
    }
    std::fs::write(run.join("split.csv"), split).unwrap();
}

/// The pairs that were evaluated.
fn pairs(bench: &Bench, out: &str) -> String {
    std::fs::read_to_string(bench.path(out).join("pairs.csv")).unwrap()
}

#[test]
fn held_out_pairs_of_a_configuration() {
    let bench = Bench::new();
    configuration(&bench);
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
    let pairs = pairs(&bench, "out");
    assert!(!pairs.contains("population"), "{pairs}");
}

#[test]
fn of_a_run_its_own_split_counts() {
    let bench = Bench::new();
    run_folder(&bench);
    // Whatever its settings would deal out now.
    let arguments = "--data run/config.toml --split test --model m.safetensors -o out";
    eval(&bench, arguments);
    let pairs = pairs(&bench, "out");
    assert!(
        pairs.contains("other3_to_other2") && !pairs.contains("moving_to_fixed"),
        "{pairs}"
    );
    for change in [
        "data.n_train=1",
        "data.split=[0.0,0.0,1.0]",
        "data.split_seed=3",
    ] {
        let (key, _) = change.split_once('=').unwrap();
        refused(
            &bench,
            "eval",
            &format!("--data run/config.toml --set {change} -o none"),
            &format!("--set {key}: run/split.csv has the split of the run"),
        );
    }
}

#[test]
fn images_that_are_named_go_before_those_of_a_run() {
    let bench = Bench::new();
    run_folder(&bench);
    // A manifest of test subjects alone, and a pattern.
    let list = "image,subject,split\nfixed.nii.gz,a,test\nmoving.nii.gz,b,test\n";
    std::fs::write(bench.path("ext.csv"), list).unwrap();
    std::fs::create_dir(bench.path("ext")).unwrap();
    for name in ["fixed", "moving"] {
        let name = format!("{name}.nii.gz");
        std::fs::copy(bench.path(&name), bench.path("ext").join(name)).unwrap();
    }
    for (named, out) in [
        ("--set data.manifest=ext.csv", "manifest"),
        (
            "--set data.images=ext/{subject}.nii.gz --set data.split=[0.0,0.0,1.0]",
            "pattern",
        ),
    ] {
        let arguments = "--data run/config.toml --model m.safetensors";
        eval(&bench, &format!("{arguments} {named} -o {out}"));
        let pairs = pairs(&bench, out);
        assert_eq!(pairs.lines().count(), 3, "{pairs}");
        assert!(pairs.contains("moving_to_fixed"), "{pairs}");
    }
}

#[test]
fn a_held_out_pair_that_fails_does_not_cost_the_others() {
    let bench = Bench::new();
    configuration(&bench);
    std::fs::write(bench.path("o.csv"), "x,y,z,name\n0,0,9,z\n").unwrap();
    let list = "image,subject,split,landmarks\nfixed.nii.gz,a,test,f.csv\n\
                moving.nii.gz,b,test,m.csv\nother0.nii.gz,c,test,o.csv\n";
    std::fs::write(bench.path("study.csv"), list).unwrap();
    let mut command = hmorph();
    command.current_dir(bench.folder.path()).args([
        "eval",
        "--data",
        "run.toml",
        "--model",
        "m.safetensors",
    ]);
    let error = one_line_error(command.args(["-o", "out"]));
    for part in ["no name in common", "3 more failed"] {
        assert!(error.contains(part), "{error}");
    }
    let pairs = pairs(&bench, "out");
    assert_eq!(pairs.lines().count(), 3, "{pairs}");
    assert!(pairs.contains("moving_to_fixed"), "{pairs}");
    let record = std::fs::read_to_string(bench.path("out/run.json")).unwrap();
    assert!(record.contains("pair other0_to_fixed"), "{record}");
}
