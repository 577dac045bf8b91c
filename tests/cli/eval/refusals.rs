//! What an evaluation refuses.

use super::study;
use crate::support::{Bench, hmorph, one_line_error, refused};

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
