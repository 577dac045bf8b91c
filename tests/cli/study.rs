//! `hmorph study` on a tiny data set: the grid, its cells, going on, and what it writes.

use std::fs;
use std::path::Path;

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
    let folder = bench.path("scans");
    for n in 0..9 {
        let radius = 6.0 + n as f32;
        let inside = |[i, j, _]: [usize; 3]| {
            let (x, y) = (i as f32 - 14.0, j as f32 - 17.0);
            radius - (x * x + y * y).sqrt()
        };
        let picture = image([32, 32, 1], Dimension::Two, |at| inside(at).clamp(0.0, 4.0));
        let labels = Volume {
            data: picture.data.mapv(|v| i32::from(v > 0.0)),
            geometry: picture.geometry.clone(),
        };
        save(&folder, &format!("s{n}/t1.nii.gz"), &picture);
        save_labels(&folder, &format!("s{n}/seg.nii.gz"), &labels);
    }
    fs::write(bench.path("study.toml"), STUDY).unwrap();
    bench
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
    let mut tested = Vec::new();
    for fold in ["0", "1"] {
        let split = fs::read_to_string(out.join(format!("folds/{fold}.csv"))).unwrap();
        let of_fold = split.lines().filter(|line| line.contains(",test,"));
        tested.extend(of_fold.map(|line| line.split(',').nth(2).unwrap().to_string()));
    }
    tested.sort();
    assert_eq!(tested, (0..9).map(|n| format!("s{n}")).collect::<Vec<_>>());

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
        "hmorph --threads 1 --device cpu study --config study.toml -o out --cell 17"
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
