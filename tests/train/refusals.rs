//! Mistakes on the command line of `hmorph train`: one line, and nothing written.

use std::fs;

use crate::training::{Bench, failure, names};

#[test]
fn wrong_settings_are_named_before_anything_is_written() {
    let bench = Bench::new();
    let before = bench.names();
    for (change, expected) in [
        ("train.lrr=1", "did you mean `lr`?"),
        ("trian.lr=1", "did you mean `train`?"),
        (
            "train.lr=fast",
            "invalid type: string \"fast\", expected a number",
        ),
        ("loss.mse=2", "expected a section: write loss.mse.weight=2"),
        ("train.lr=-1", "[train] lr is -1"),
        (
            "train.warmup=12",
            "warmup is 12; expected less than the 12 steps",
        ),
        ("train.epochs=1000000000000000", "2^48"),
        ("train.lr", "KEY.PATH=VALUE"),
        ("model.encoder=stride", "did you mean `strided`?"),
        ("model.dimension=3d", "[synth_labels] shape is [32, 32]"),
        ("synth_labels.shape=[30, 32]", "multiples of 4"),
        ("synth_labels.source=maps/*.nii", "no label map found"),
        ("mixture.alpha=0.5", "[data]"),
        ("train.freeze=['[']", "is no regular expression"),
        (
            "train.freeze=['decoderr']",
            "matches no parameter; the names are decoder.0.bias, decoder.0.weight",
        ),
        ("train.freeze=['.']", "nothing is left to train"),
    ] {
        let line = failure(&mut bench.train("out", &[change]), 1);
        assert!(line.contains(expected), "--set {change}: {line}");
        assert_eq!(bench.names(), before, "--set {change}");
    }
}

#[test]
fn mistakes_in_a_file_have_their_line() {
    let bench = Bench::new();
    fs::write(bench.path("tiny.toml"), "seed = 1\n[train]\nbathc = 2\n").unwrap();
    let line = failure(&mut bench.train("out", &[]), 1);
    assert!(
        line.contains("tiny.toml:3:1: unknown field `bathc`"),
        "{line}"
    );
    assert!(line.trim_end().ends_with("did you mean `batch`?"), "{line}");
}

#[test]
fn unknown_presets_and_devices_are_named() {
    let bench = Bench::new();
    let mut run = bench.hmorph();
    let line = failure(run.args(["train", "--config", "quikstart", "-o", "out"]), 1);
    assert!(line.contains("did you mean `quickstart`?"), "{line}");
    let mut run = bench.train("out", &[]);
    let line = failure(run.args(["--device", "gpu"]), 1);
    assert!(line.contains("--device gpu"), "{line}");
    assert!(!bench.path("out").exists());
    // Wrong usage is the parser's: exit code 2.
    bench.hmorph().arg("train").assert().code(2);
}

#[test]
fn a_run_of_other_settings_is_kept_unless_forced() {
    let bench = Bench::new();
    bench.train("out", &[]).assert().success();
    let first = fs::read(bench.path("out/last.safetensors")).unwrap();
    let line = failure(&mut bench.train("out", &["train.lr=0.002", "seed=2"]), 1);
    assert!(
        line.contains("seed is 2, was 1; train.lr is 0.002, was 0.001"),
        "{line}"
    );
    assert_eq!(fs::read(bench.path("out/last.safetensors")).unwrap(), first);
    // The folder of a run in the place of its settings.
    let mut again = bench.hmorph();
    again.args(["train", "--config", "out", "-o", "other"]);
    let line = failure(&mut again, 1);
    assert!(
        line.contains("out: is a folder; name a file in it"),
        "{line}"
    );
    assert!(line.contains("out/config.toml"), "{line}");
    // A mistake with --force costs nothing.
    failure(bench.train("out", &["train.lr=-1"]).arg("--force"), 1);
    assert_eq!(fs::read(bench.path("out/last.safetensors")).unwrap(), first);
    fs::write(bench.path("out/notes.txt"), "mine").unwrap();
    bench
        .train("out", &["seed=2"])
        .arg("--force")
        .assert()
        .success();
    assert_ne!(fs::read(bench.path("out/last.safetensors")).unwrap(), first);
    assert_eq!(fs::read(bench.path("out/notes.txt")).unwrap(), b"mine");
}

#[test]
fn a_falling_learning_rate_is_not_raised_again() {
    let bench = Bench::new();
    let falling = "train.schedule=cosine";
    bench.train("out", &[falling]).assert().success();
    let first = fs::read(bench.path("out/last.safetensors")).unwrap();
    // 3 epochs are those of the settings.
    let line = failure(&mut bench.train("out", &[falling, "train.epochs=6"]), 1);
    for part in [
        "falls over 3 epochs",
        "finetune --weights",
        "last.safetensors",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert_eq!(fs::read(bench.path("out/last.safetensors")).unwrap(), first);
    let mut on = bench.run("finetune", "more", &[falling, "train.epochs=6"]);
    on.args(["--weights", "out/last.safetensors"]);
    on.assert().success();
}

#[test]
fn patience_needs_validations_to_wait_for() {
    let bench = Bench::new();
    let never = ["train.patience=2", "train.validation_pairs=0"];
    let line = failure(&mut bench.train("out", &never), 1);
    assert!(
        line.contains("train.patience is 2, but nothing validates"),
        "{line}"
    );
    assert!(!bench.path("out").exists());
}

#[test]
fn a_folder_of_something_else_is_never_touched() {
    let bench = Bench::new();
    fs::create_dir(bench.path("thesis")).unwrap();
    fs::write(bench.path("thesis/chapter.tex"), "years").unwrap();
    for force in [false, true] {
        let mut run = bench.train("thesis", &[]);
        if force {
            run.arg("--force");
        }
        let line = failure(&mut run, 1);
        assert!(
            line.contains("thesis: the folder is not empty and holds no run"),
            "{line}"
        );
    }
    assert_eq!(names(&bench.path("thesis")), ["chapter.tex"]);
}

#[test]
fn another_programs_folder_is_not_replaced() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("other/checkpoints")).unwrap();
    fs::write(bench.path("other/config.toml"), "theme = 'dark'\n").unwrap();
    fs::write(bench.path("other/checkpoints/1.pt"), "weights").unwrap();
    let line = failure(bench.train("other", &[]).arg("--force"), 1);
    assert!(line.contains("--force does not replace"), "{line}");
    assert_eq!(names(&bench.path("other/checkpoints")), ["1.pt"]);
}

#[test]
fn a_dry_run_plans_and_writes_nothing() {
    let bench = Bench::new();
    let before = bench.names();
    let output = bench.train("out", &[]).arg("--dry-run").output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "parameters 3246",
        "steps      12 of 2 pairs",
        "step  ",
        "in all",
        "memory",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(bench.names(), before);
}

#[test]
fn presets_are_listed_and_printed_to_start_from() {
    let bench = Bench::new();
    let list = bench.hmorph().arg("config").output().unwrap().stdout;
    let list = String::from_utf8(list).unwrap();
    let presets = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/configs")).unwrap();
    assert_eq!(list.lines().count(), presets.count());
    let line = list
        .lines()
        .find(|line| line.starts_with("hybridmorph-fewshot "));
    assert!(
        line.is_some_and(|line| line.contains("HybridMorph, few-shot")),
        "{list}"
    );
    let text = bench
        .hmorph()
        .args(["config", "quickstart"])
        .output()
        .unwrap()
        .stdout;
    fs::write(bench.path("mine.toml"), text).unwrap();
    let mut run = bench.hmorph();
    run.args(["train", "--config", "mine.toml", "-o", "out", "--dry-run"]);
    run.args(["--set", "synth_labels.shape=[32, 32]"]);
    run.assert().success();
    let line = failure(bench.hmorph().args(["config", "quikstart"]), 1);
    assert!(line.contains("did you mean `quickstart`?"), "{line}");
}
