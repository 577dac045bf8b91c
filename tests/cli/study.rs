//! `hmorph study` on a tiny data set: the grid, its cells, going on, and what it writes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use assert_cmd::cargo::CommandCargoExt;
use hmorph::config::RunConfig;
use hmorph::study::{StudyRow, read};
use hmorph::volume::{Dimension, Volume};

use crate::studies::{image, save, save_labels};
use crate::training::{Bench, failure, names};

const STUDY: &str = r#"
base = "tiny.toml"
paradigms = ["synthetic", "few-shot", "transfer", "weighted"]
n = [2]
alphas = [0.5]
seeds = [3, 4]
folds = 2
validation_subjects = 2
pretrain_share = 0.5
test_pairs = 3
conditions = ["clean", "noise", "shift"]
[run.data]
images = "scans/{subject}/t1.nii.gz"
labels = "scans/{subject}/seg.nii.gz"
[run.train]
epochs = 2
steps_per_epoch = 2
validation_pairs = 0
workers = 0
"#;

/// Nine subjects, a disk of their own size each.
fn bench() -> Bench {
    let bench = Bench::new();
    for n in 0..9 {
        add_subject(&bench, n, [32, 32, 1]);
    }
    fs::write(bench.path("study.toml"), STUDY).unwrap();
    bench
}

fn add_subject(bench: &Bench, n: usize, shape: [usize; 3]) {
    let folder = bench.path("scans");
    let radius = 6.0 + n as f32;
    let inside = |[i, j, _]: [usize; 3]| {
        let (x, y) = (i as f32 - 14.0, j as f32 - 17.0);
        radius - (x * x + y * y).sqrt()
    };
    let picture = image(shape, Dimension::Two, |at| inside(at).clamp(0.0, 4.0));
    let labels = Volume {
        data: picture.data.mapv(|v| i32::from(v > 0.0)),
        geometry: picture.geometry.clone(),
    };
    save(&folder, &format!("s{n}/t1.nii.gz"), &picture);
    save_labels(&folder, &format!("s{n}/seg.nii.gz"), &labels);
}

fn study(bench: &Bench, more: &[&str]) -> assert_cmd::Command {
    let mut command = bench.hmorph();
    command
        .args(["study", "--config", "study.toml", "-o", "out"])
        .args(more);
    command
}

fn listed(bench: &Bench) -> Vec<String> {
    let output = study(bench, &["--list"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(String::from).collect()
}

fn table(folder: &Path) -> Vec<StudyRow> {
    read(&folder.join("study.csv")).unwrap()
}

/// Subjects that the two folds test, sorted.
fn tested(out: &Path) -> Vec<String> {
    let mut tested = Vec::new();
    for fold in ["0", "1"] {
        let split = fs::read_to_string(out.join(format!("folds/{fold}.csv"))).unwrap();
        let of_fold = split.lines().filter(|line| line.contains(",test,"));
        tested.extend(of_fold.map(|line| line.split(',').nth(2).unwrap().to_string()));
    }
    tested.sort();
    tested
}

/// The settings with which a cell was run.
fn settings(out: &Path, cell: &str) -> RunConfig {
    let text = fs::read_to_string(out.join("cells").join(cell).join("config.toml")).unwrap();
    toml::from_str(&text).unwrap()
}

#[test]
fn the_whole_grid_is_run_measured_and_summarised() {
    let bench = bench();
    study(&bench, &[]).assert().success();
    let out = bench.path("out");
    // 4 arms x 2 seeds x 2 folds, and a pretraining a seed, which random shapes let the folds share.
    assert_eq!(names(&out.join("cells")).len(), 16 + 2);
    let rows = table(&out);
    let cells: std::collections::BTreeSet<&str> =
        rows.iter().map(|row| row.cell.as_str()).collect();
    assert_eq!(cells.len(), 16);
    // The same pairs and conditions for every cell.
    let of = |cell: &str| -> Vec<(String, String)> {
        let here = rows.iter().filter(|row| row.cell == cell);
        let mut found: Vec<_> = here
            .map(|row| (row.pair.clone(), row.condition.clone()))
            .collect();
        found.sort();
        found.dedup();
        found
    };
    assert_eq!(
        of("few-shot_n2_seed3_fold1"),
        of("weighted_n2_a0.5_seed4_fold1")
    );
    assert_eq!(of("few-shot_n2_seed3_fold1").len(), 9);
    // All have the same steps, whatever they share.
    let costs: Vec<hmorph::study::CellFacts> = read(&out.join("cells.csv")).unwrap();
    assert!(
        costs
            .iter()
            .all(|cell| cell.steps == 4 && cell.parameters == 3246)
    );
    for name in ["summary.csv", "summary.md", "summary.tex", "tests.csv"] {
        assert!(
            fs::read_to_string(out.join(name))
                .unwrap()
                .contains("weighted"),
            "{name}"
        );
    }
    assert!(out.join("plots/dice_by_alpha.png").is_file());

    // No image of a test subject trains in its fold, and every subject is tested once.
    let all: Vec<String> = (0..9).map(|n| format!("s{n}")).collect();
    assert_eq!(tested(&out), all);

    // Nothing is left to do; a lost result is measured again from its run, and comes out the same.
    let lost = out.join("results/transfer_n2_seed4_fold0.csv");
    let before = fs::read_to_string(out.join("summary.csv")).unwrap();
    fs::remove_file(&lost).unwrap();
    let output = study(&bench, &[]).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("finished before").count(), 15, "{text}");
    let seconds = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| !line.contains(",seconds,"))
            .map(String::from)
            .collect()
    };
    let after = fs::read_to_string(out.join("summary.csv")).unwrap();
    assert_eq!(seconds(&before), seconds(&after));
}

#[test]
fn the_list_has_a_command_per_cell_and_each_runs_alone() {
    let bench = bench();
    let commands = listed(&bench);
    assert_eq!(commands.len(), 18);
    assert_eq!(
        commands[17],
        "hmorph --threads 1 --device cpu study --config study.toml -o out --cell 17  # weighted_n2_a0.5_seed4_fold1"
    );
    assert!(!bench.path("out").exists(), "a list writes nothing");
    // A cell that needs a pretraining makes it; the next one finds it.
    let place = |name: &str| {
        let output = |k: usize| study(&bench, &["--cell", &k.to_string()]).output().unwrap();
        let text = String::from_utf8(output(name.parse().unwrap()).stdout).unwrap();
        text.lines().next().unwrap().to_string()
    };
    assert_eq!(place("4"), "cell 4 of 18: transfer_n2_seed3_fold0");
    assert_eq!(
        names(&bench.path("out/cells")),
        ["pretraining_seed3", "transfer_n2_seed3_fold0"]
    );
    assert_eq!(place("5"), "cell 5 of 18: weighted_n2_a0.5_seed3_fold0");
    // Tables are made when they are asked for, not by each of a thousand cells.
    assert!(!bench.path("out/summary.csv").exists());
    study(&bench, &["--summary"]).assert().success();
    let rows = table(&bench.path("out"));
    assert!(
        rows.iter()
            .any(|row| row.paradigm == "weighted" && row.n == 2 && row.alpha == 0.5)
    );
    let text = failure(&mut study(&bench, &["--cell", "18"]), 1);
    assert!(text.contains("counted from 0"), "{text}");
    // Other settings would make cells that cannot be compared with these; a larger grid does not.
    let text = failure(
        &mut study(&bench, &["--set", "test_pairs=4", "--summary"]),
        1,
    );
    assert!(text.contains("holds cells of another test_pairs"), "{text}");
    let measured = names(&bench.path("out/results"));
    assert!(!measured.is_empty());
    let larger = ["--set", "seeds=[3, 4, 5]", "--summary"];
    assert!(study(&bench, &larger).output().unwrap().status.success());
    let text = failure(&mut study(&bench, &["--seed", "3"]), 1);
    assert!(text.contains("--set seeds"), "{text}");
    // By force what was measured with other settings goes, so that no later run takes it for its own.
    let forced = ["--set", "test_pairs=4", "--force", "--summary"];
    let text = failure(&mut study(&bench, &forced), 1);
    assert!(text.contains("no cell is finished"), "{text}");
    assert!(names(&bench.path("out/results")).is_empty());
}

#[test]
fn grids_that_cannot_be_run_are_refused() {
    let bench = bench();
    for (change, reason) in [
        ("alphas=[0.5, 1.0]", "alphas has 1"),
        ("seeds=[3, 3]", "seeds has 3 twice"),
        // Nothing validates in this study.
        ("weights=best", "run.train.validation_pairs is 0"),
        ("run.train.patience=2", "run.train.patience is 2"),
        ("run.data.n_train=3", "run.data.n_train is 3, but n says"),
        ("paradigms=[]", "at least one"),
        ("paradigms=['mixed']", "unknown variant"),
        ("n=[6]", "subjects in 2 folds leave"),
        ("folds=9", "subjects in 9 folds"),
        ("pretrain_share=0.1", "cannot be divided"),
        ("base=nothing", "no such file and no preset"),
        ("run.trian.epochs=3", "unknown field `trian`"),
        ("test_pair=3", "did you mean `test_pairs`?"),
    ] {
        let text = failure(&mut study(&bench, &["--set", change]), 1);
        assert!(text.contains(reason), "{change}: {text}");
    }
    assert!(!bench.path("out/cells/pretraining_seed3").exists());
}

#[test]
fn every_cell_trains_on_the_grid_that_holds_all_images() {
    let bench = bench();
    // Whether or not it is one of the two that train.
    add_subject(&bench, 9, [40, 32, 1]);
    let out = bench.path("out");
    study(&bench, &["--cell", "2"]).assert().success();
    let written = || {
        let file = fs::metadata(out.join("grid.toml")).unwrap();
        file.modified().unwrap()
    };
    let first = written();
    study(&bench, &["--cell", "3"]).assert().success();
    assert_eq!(written(), first, "all images were read again");
    for cell in ["synthetic_seed3_fold0", "few-shot_n2_seed3_fold0"] {
        let data = settings(&out, cell).data.unwrap();
        assert_eq!(data.shape, Some(vec![40, 32]), "{cell}");
    }
    // A larger grid of cells is checked, too, and what is there stays.
    let text = failure(&mut study(&bench, &["--set", "n=[2, 5]"]), 1);
    let reason = "study, n = 5, fold 0: [data] n_train = 5, but the training split has 3 subjects";
    assert!(text.contains(reason), "{text}");
    assert!(out.join("folds/1.csv").is_file());
}

#[test]
fn images_that_some_cell_cannot_use_are_refused_before_any_trains() {
    let bench = bench();
    let out = bench.path("out");
    let one_split = "folds=1";
    for (changes, reason) in [
        (
            &[one_split, "run.data.split=[0.8, 0.2, 0.0]"][..],
            "study: the test split has no pairs",
        ),
        (
            &[one_split, "n=[2, 6]"],
            "study, n = 6: [data] n_train = 6, but the training split has 5 subjects",
        ),
        (
            &[one_split, "n=[1]"],
            "study, n = 1: [data] the train split has one subject",
        ),
        (
            &[
                one_split,
                "weights=best",
                "run.train.validation_pairs=2",
                "run.data.split=[0.8, 0.0, 0.2]",
            ],
            "weights is \"best\", but the validation split has no pairs",
        ),
        (
            &["n=[1]"],
            "study, n = 1, fold 0: [data] the train split has one subject",
        ),
    ] {
        let mut command = study(&bench, &[]);
        command.args(changes.iter().flat_map(|change| ["--set", change]));
        let text = failure(&mut command, 1);
        assert!(text.contains(reason), "{changes:?}: {text}");
        assert!(names(&out.join("cells")).is_empty(), "{changes:?}");
        // Nothing is left that a study of other settings would take for its own.
        for name in ["folds", "grid.toml", "study.toml"] {
            assert!(!out.join(name).exists(), "{changes:?}: {name}");
        }
    }
}

#[test]
fn settings_that_fail_take_nothing_away() {
    let bench = bench();
    let out = bench.path("out");
    // A folder of the user's own that is called as ours.
    fs::create_dir_all(out.join("folds")).unwrap();
    fs::write(out.join("folds/mine.txt"), "mine").unwrap();
    failure(&mut study(&bench, &["--set", "n=[1]"]), 1);
    assert_eq!(names(&out.join("folds")), ["mine.txt"]);

    study(&bench, &["--cell", "2"]).assert().success();
    let state = || {
        let text = |name: &str| fs::read_to_string(out.join(name)).unwrap();
        let texts = ["study.toml", "grid.toml", "folds/0.csv"].map(text);
        (names(&out.join("results")), texts)
    };
    let before = state();
    assert!(!before.0.is_empty());
    let other = ["--force", "--set", "validation_subjects=3"];
    let mut command = study(&bench, &other);
    let text = failure(command.args(["--set", "n=[1]"]), 1);
    assert!(text.contains("the train split has one subject"), "{text}");
    assert_eq!(state(), before);

    // A study that is run anew looks at its images again.
    add_subject(&bench, 9, [40, 32, 1]);
    let small = ["--set", "paradigms=['synthetic']", "--set", "seeds=[3]"];
    study(&bench, &["--force"]).args(small).assert().success();
    assert!(tested(&out).contains(&"s9".to_string()));
    let cell = settings(&out, "synthetic_seed3_fold0");
    assert_eq!(cell.data.unwrap().shape, Some(vec![40, 32]));
}

#[test]
fn folds_are_dealt_whatever_split_the_manifest_gives() {
    let bench = bench();
    // One subject cannot validate pairs; but the folds deal all subjects anew.
    let splits = "train train train validation test test test test unused";
    let mut list = "image,label,subject,split\n".to_string();
    for (n, split) in splits.split(' ').enumerate() {
        list += &format!("scans/s{n}/t1.nii.gz,scans/s{n}/seg.nii.gz,s{n},{split}\n");
    }
    fs::write(bench.path("list.csv"), list).unwrap();
    let images = "images = \"scans/{subject}/t1.nii.gz\"\nlabels = \"scans/{subject}/seg.nii.gz\"";
    assert!(STUDY.contains(images));
    let text = STUDY.replace(images, "manifest = \"list.csv\"");
    fs::write(bench.path("study.toml"), text).unwrap();
    study(&bench, &["--cell", "2"]).assert().success();
    let used: Vec<String> = (0..8).map(|n| format!("s{n}")).collect();
    assert_eq!(tested(&bench.path("out")), used);
}

#[test]
fn who_waits_for_a_pretraining_reads_no_images() {
    let bench = bench();
    study(&bench, &["--cell", "2"]).assert().success();
    let folder = bench.path("out/cells/pretraining_seed3");
    fs::create_dir(&folder).unwrap();
    // As another process holds it that trains.
    let held = fs::File::create(folder.join(".lock")).unwrap();
    held.lock().unwrap();
    fs::remove_dir_all(bench.path("scans")).unwrap();
    let mut command = std::process::Command::cargo_bin("hmorph").unwrap();
    command
        .args(["--threads", "1", "--device", "cpu", "study"])
        .args(["--config", "study.toml", "-o", "out", "--cell", "4"])
        .current_dir(bench.folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    // Ends with the program, if that fails for want of images.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let waits = lines.any(|line| {
        let line = line.unwrap();
        line.contains("another process trains pretraining_seed3; waiting")
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(waits);
}

/// What was measured of a cell is lost.
fn forget_results(out: &Path) {
    fs::remove_dir_all(out.join("results")).unwrap();
}

#[test]
fn a_study_goes_on_however_its_folder_is_spelt_and_wherever_it_lies() {
    let bench = bench();
    study(&bench, &["--cell", "2"]).assert().success();
    let cell = |out: &Path| out.join("cells/synthetic_seed3_fold0");
    let trained = fs::read(cell(&bench.path("out")).join("run.json")).unwrap();
    let goes_on = |out: &Path| {
        forget_results(out);
        let mut again = bench.hmorph();
        again.args(["study", "--config", "study.toml", "--cell", "2", "-o"]);
        again.arg(out).assert().success();
        assert!(out.join("results/synthetic_seed3_fold0.csv").is_file());
        // Measured again, not trained again.
        assert_eq!(fs::read(cell(out).join("run.json")).unwrap(), trained);
    };
    goes_on(&bench.path("out"));
    goes_on(&bench.path("scans/../out"));
    fs::rename(bench.path("out"), bench.path("moved")).unwrap();
    goes_on(&bench.path("moved"));
}

#[test]
fn a_cell_that_was_stopped_in_its_last_validation_is_validated() {
    let bench = bench();
    let validated_once = [
        "weights=best",
        "run.train.validation_pairs=2",
        "run.train.validate_every=2",
    ];
    let run = || {
        let mut command = study(&bench, &["--cell", "2"]);
        command.args(validated_once.iter().flat_map(|change| ["--set", change]));
        command.assert().success();
    };
    run();
    let cell = bench.path("out/cells/synthetic_seed3_fold0");
    let [best, validations] = ["best.safetensors", "validation.csv"].map(|name| cell.join(name));
    let read = || {
        (
            fs::read(&best).unwrap(),
            fs::read_to_string(&validations).unwrap(),
        )
    };
    let before = read();
    // As an interruption leaves it: all steps done, and measured before the first alone.
    let state = cell.join("checkpoints/step-4/state.toml");
    let text = fs::read_to_string(&state).unwrap();
    assert!(
        text.contains("validated = 4") && text.contains("best_step = 4"),
        "{text}"
    );
    let text = text
        .replace("validated = 4", "validated = 0")
        .replace("best_step = 4", "best_step = 0");
    let lines = text.lines().filter(|line| !line.starts_with("best = "));
    fs::write(
        &state,
        lines.map(|line| format!("{line}\n")).collect::<String>(),
    )
    .unwrap();
    fs::remove_file(&best).unwrap();
    forget_results(&bench.path("out"));
    run();
    let after = read();
    assert!(after == before, "{} {}", after.1, before.1);
}
