//! `hmorph register --pairs` as its users see it.

use std::collections::HashMap;
use std::path::Path;

use assert_cmd::Command;
use hmorph::volume::{Affine, Dimension, Geometry};
use nalgebra::Vector3;

use crate::support::{
    Bench, Card, constant_model, grid, hmorph, lps, one_line_error, painted, quarters,
};

const HEAD: &str = "fixed,moving,fixed_labels,moving_labels,id\n";

/// Scans a..d with labels, a model of a constant displacement, and a list of three pairs.
pub fn study() -> Bench {
    let bench = Bench::new();
    for (number, name) in ["a", "b", "c", "d"].iter().enumerate() {
        let centre = [number as f64, -1.0, 2.0];
        let geometry = grid([16, 14, 12], [1.5, 2.0, 1.0], lps(), centre);
        let blob = |p: Vector3<f64>| {
            100.0 * (-(p - Vector3::new(2.0, 1.0, 0.0)).norm_squared() / 30.0).exp()
        };
        bench.image(&format!("{name}.nii.gz"), &painted(&geometry, blob));
        bench.labels(&format!("{name}_seg.nii.gz"), &quarters(&geometry));
    }
    constant_model(
        &bench.path("m.safetensors"),
        &Card::default(),
        &[0.5, 0.0, -0.25],
    );
    list(
        &bench,
        "pairs.csv",
        &["a,b,,,ab", "a,c,,,ac", "a,d,a_seg,d_seg,ad"],
    );
    bench
}

/// Writes a list; names stand for files.
pub fn list(bench: &Bench, name: &str, rows: &[&str]) {
    let file = |text: &str| {
        if text.is_empty() {
            String::new()
        } else {
            format!("{text}.nii.gz")
        }
    };
    let rows = rows.iter().map(|row| {
        let cells: Vec<&str> = row.split(',').collect();
        let files: Vec<String> = cells[..4].iter().map(|text| file(text)).collect();
        format!("{},{}\n", files.join(","), cells[4])
    });
    let text = format!("{HEAD}{}", rows.collect::<String>());
    std::fs::write(bench.path(name), text).unwrap();
}

pub fn batch(bench: &Bench, arguments: &str) -> Command {
    let mut command = hmorph();
    command
        .current_dir(bench.folder.path())
        .args([
            "register",
            "--model",
            "m.safetensors",
            "--linear",
            "none",
            "--refine",
            "0",
        ])
        .args(arguments.split_whitespace());
    command
}

/// What a command that must succeed prints.
pub fn text(mut command: Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    text
}

/// The rows of a table by id, each by column.
fn rows(path: &Path) -> HashMap<String, HashMap<String, String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let rows = reader.deserialize::<HashMap<String, String>>();
    rows.map(|row| row.unwrap())
        .map(|row| (row["id"].clone(), row))
        .collect()
}

/// Everything below a folder that is hidden: what an unfinished write would leave.
fn hidden(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap());
    entries
        .flat_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let mut found = if entry.path().is_dir() {
                hidden(&entry.path())
            } else {
                Vec::new()
            };
            found.extend(name.starts_with('.').then_some(name));
            found
        })
        .collect()
}

#[test]
fn each_pair_gets_its_folder_and_its_row_and_is_not_done_twice() {
    let bench = study();
    let first = text(batch(&bench, "--pairs pairs.csv -o out"));
    assert!(first.contains("3 of 3  ad"), "{first}");
    let out = bench.path("out");
    for id in ["ab", "ac", "ad"] {
        for file in ["moved.nii.gz", "forward.nii.gz", "report.html", "run.json"] {
            assert!(out.join(id).join(file).is_file(), "{id}/{file}");
        }
    }
    let table = rows(&out.join("results.csv"));
    assert_eq!(table.len(), 3);
    assert!(
        table
            .values()
            .all(|row| row["status"] == "done" && row["error"].is_empty())
    );
    for column in [
        "seconds",
        "peak_memory_bytes",
        "ncc_before",
        "ncc_after",
        "folded_voxels",
    ] {
        assert!(
            table.values().all(|row| row[column].parse::<f64>().is_ok()),
            "{column}"
        );
    }
    // Labels of one pair alone.
    assert!(table["ab"]["dice_after"].is_empty());
    let record = std::fs::read(out.join("ad/run.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    let dice = |table: &HashMap<String, HashMap<String, String>>| {
        table["ad"]["dice_after"].parse::<f64>().unwrap()
    };
    let expected = record["measures"]["after"]["dice"].as_f64().unwrap();
    approx::assert_abs_diff_eq!(dice(&table), expected, epsilon = 1e-12);
    let page = std::fs::read_to_string(out.join("index.html")).unwrap();
    assert!(
        page.contains("href=\"ad&#x2f;report.html\"") && page.contains("src=\"ad&#x2f;qc.png\"")
    );

    let moved = out.join("ab/moved.nii.gz");
    let written = std::fs::metadata(&moved).unwrap().modified().unwrap();
    std::fs::remove_dir_all(out.join("ac")).unwrap();
    let again = text(batch(&bench, "--pairs pairs.csv -o out"));
    assert!(
        again.contains("2 of them done before and skipped"),
        "{again}"
    );
    assert_eq!(
        std::fs::metadata(&moved).unwrap().modified().unwrap(),
        written
    );
    let table = rows(&out.join("results.csv"));
    let status = ["ab", "ac", "ad"].map(|id| table[id]["status"].as_str());
    assert_eq!(status, ["done"; 3]);
    approx::assert_abs_diff_eq!(dice(&table), expected, epsilon = 1e-12);

    // Other words for the same are not taken for something else.
    let same = text(batch(&bench, "--pairs pairs.csv -o out --init header"));
    assert!(same.contains("3 of them done before"), "{same}");

    // Results of something else are neither taken nor replaced.
    let error = one_line_error(&mut batch(&bench, "--pairs pairs.csv -o out --fill 3"));
    assert!(
        error.contains("other settings") && error.contains("--force"),
        "{error}"
    );
    let geometry = grid([16, 14, 13], [1.5, 2.0, 1.0], lps(), [0.0; 3]);
    bench.image("b.nii.gz", &painted(&geometry, |p| p.x));
    let error = one_line_error(&mut batch(&bench, "--pairs pairs.csv -o out"));
    assert!(
        error.contains("out/ab") && error.contains("other inputs"),
        "{error}"
    );
    let forced = text(batch(&bench, "--pairs pairs.csv -o out --fill 3 --force"));
    assert!(forced.contains("3 of 3"), "{forced}");
    assert_eq!(hidden(bench.folder.path()), [""; 0]);
}

#[test]
fn a_pair_that_fails_does_not_stop_the_others() {
    let bench = study();
    std::fs::write(bench.path("c.nii.gz"), "not an image").unwrap();
    let flat = Geometry::new([12, 13, 1], Dimension::Two, Affine::from_spacing([1.0; 3]));
    bench.image("flat.nii.gz", &painted(&flat, |p| p.x));
    let pairs = [
        "a,b,,,ab",
        "a,c,,,ac",
        "flat,flat,,,flat",
        "a,d,d_seg,a_seg,grids",
        "a,d,,,ad",
    ];
    // Labels on another grid than their image.
    let other = grid([9, 9, 9], [1.0; 3], lps(), [0.0; 3]);
    bench.labels("d_seg.nii.gz", &quarters(&other));
    list(&bench, "pairs.csv", &pairs);
    let output = batch(&bench, "--pairs pairs.csv -o out --jobs 2")
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    // One line a pair, and one in the end.
    assert_eq!(errors.trim_end().lines().count(), 4, "{errors}");
    assert!(errors.contains("pair ac: c.nii.gz"), "{errors}");
    assert!(
        errors.contains("pair flat: flat.nii.gz: 2-D among 3-D"),
        "{errors}"
    );
    assert!(errors.contains("pair grids: d_seg.nii.gz"), "{errors}");
    assert!(errors.contains("3 of 5 pairs failed"), "{errors}");
    let table = rows(&bench.path("out/results.csv"));
    let status = ["ab", "ac", "flat", "grids", "ad"].map(|id| table[id]["status"].as_str());
    assert_eq!(status, ["done", "failed", "failed", "failed", "done"]);
    assert!(table["ac"]["error"].contains("c.nii.gz"));
    assert!(!bench.path("out/ac").exists());
    assert_eq!(hidden(bench.folder.path()), [""; 0]);
}

#[test]
fn parts_make_up_the_whole_and_jobs_do_not_change_results() {
    let bench = study();
    text(batch(&bench, "--pairs pairs.csv -o whole --jobs 3"));
    for part in ["1/2", "2/2"] {
        text(batch(
            &bench,
            &format!("--pairs pairs.csv -o parts --shard {part}"),
        ));
    }
    let parts = bench.path("parts");
    let count = |name: &str| rows(&parts.join(name)).len();
    assert_eq!(
        (count("results-1-of-2.csv"), count("results-2-of-2.csv")),
        (2, 1)
    );
    assert!(!parts.join("results.csv").exists());
    for id in ["ab", "ac", "ad"] {
        let file = |folder: &str| {
            std::fs::read(bench.path(folder).join(id).join("forward.nii.gz")).unwrap()
        };
        assert_eq!(file("whole"), file("parts"), "{id}");
    }
    // A job more than there are pairs has nothing to do.
    let none = text(batch(&bench, "--pairs pairs.csv -o parts --shard 4/4"));
    assert!(none.contains("none in this part"), "{none}");
    // The same command without a part collects what the parts have done.
    let collected = text(batch(&bench, "--pairs pairs.csv -o parts"));
    assert!(collected.contains("3 of them done before"), "{collected}");
    assert_eq!(count("results.csv"), 3);
}

#[test]
fn what_is_wrong_with_the_list_shows_before_the_first_pair() {
    let bench = study();
    list(&bench, "missing.csv", &["a,b,,,ab", "a,zz,,,az"]);
    list(&bench, "twice.csv", &["a,b,,,ab", "a,c,,,ab"]);
    list(&bench, "folders.csv", &["a,b,,,../ab"]);
    std::fs::write(bench.path("file"), "").unwrap();
    std::fs::create_dir_all(bench.path("other/ab")).unwrap();
    std::fs::write(bench.path("other/ab/thesis.txt"), "years of work").unwrap();
    let before = bench.names();
    for (arguments, part) in [
        ("--pairs none.csv -o out", "none.csv"),
        ("--pairs missing.csv -o out", "zz.nii.gz"),
        ("--pairs twice.csv -o out", "two pairs are called 'ab'"),
        ("--pairs folders.csv -o out", "id '../ab'"),
        ("--pairs pairs.csv -o file", "file"),
        ("--pairs pairs.csv -o other", "other/ab"),
    ] {
        let error = one_line_error(&mut batch(&bench, arguments));
        assert!(error.contains(part), "{arguments}: {error}");
        assert_eq!(bench.names(), before, "{arguments}");
    }
    for arguments in [
        "--pairs pairs.csv",
        "--pairs pairs.csv -o out a.nii.gz b.nii.gz",
        "--pairs pairs.csv -o out --fixed-labels a_seg.nii.gz",
        "--pairs pairs.csv -o out --jobs 0",
        "--pairs pairs.csv -o out --shard 3/2",
        "--pairs pairs.csv -o out --shard 0/2",
        "a.nii.gz b.nii.gz -o out --jobs 2",
    ] {
        batch(&bench, arguments).assert().code(2);
        assert_eq!(bench.names(), before, "{arguments}");
    }
}

/// A signal ends the command soon, with whole folders only; the same command goes on.
#[cfg(unix)]
#[test]
fn a_signal_leaves_nothing_half_written() {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use assert_cmd::cargo::CommandCargoExt;

    let bench = study();
    let pairs: Vec<String> = (0..40).map(|n| format!("a,b,,,pair{n}")).collect();
    let pairs: Vec<&str> = pairs.iter().map(String::as_str).collect();
    list(&bench, "pairs.csv", &pairs);
    let child = Command::cargo_bin("hmorph")
        .unwrap()
        .current_dir(bench.folder.path())
        .args(["--threads", "2", "register", "--model", "m.safetensors"])
        .args(["--linear", "none", "--refine", "0"])
        .args(["--pairs", "pairs.csv", "-o", "out", "--jobs", "2"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !bench.path("out/pair2/run.json").exists() {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("stopped") && errors.contains("goes on"),
        "{errors}"
    );
    assert_eq!(hidden(bench.folder.path()), [""; 0]);
    let done = rows(&bench.path("out/results.csv")).len();
    let folders = std::fs::read_dir(bench.path("out")).unwrap();
    let folders = folders
        .filter(|entry| entry.as_ref().unwrap().path().is_dir())
        .count();
    assert!((3..40).contains(&done), "{done}");
    assert_eq!(done, folders);
    let rest = text(batch(&bench, "--pairs pairs.csv -o out"));
    assert!(
        rest.contains(&format!("{done} of them done before")),
        "{rest}"
    );
    assert_eq!(rows(&bench.path("out/results.csv")).len(), 40);
}
