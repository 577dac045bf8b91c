//! A run that is interrupted, killed or out of disk continues to the same bits.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::cargo::CommandCargoExt;

use crate::training::{Bench, assert_same_run, failure, names, one_line, rows};

/// Long enough to be interrupted: some seconds.
const LONG: [&str; 2] = ["train.epochs=120", "train.patience=0"];

/// The run of `bench` as a process of its own.
fn start(bench: &Bench, out: &str, overrides: &[&str]) -> Child {
    let mut command = Command::cargo_bin("hmorph").unwrap();
    command
        .args(["train", "--config", "tiny.toml", "-o", out, "--quiet"])
        .args(["--threads", "1", "--device", "cpu"])
        .args(overrides.iter().flat_map(|change| ["--set", change]))
        .current_dir(bench.folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Waits until the run folder has a checkpoint of `step` or later.
fn wait_for_step(run: &Path, step: u64, child: &mut Child) {
    let started = Instant::now();
    let last = || -> Option<u64> {
        let entries = fs::read_dir(run.join("checkpoints")).ok()?;
        let steps = entries.filter_map(|entry| {
            let name = entry.ok()?.file_name();
            name.to_str()?.strip_prefix("step-")?.parse().ok()
        });
        steps.max()
    };
    while last().is_none_or(|last: u64| last < step) {
        assert!(
            child.try_wait().unwrap().is_none(),
            "the run ended by itself"
        );
        assert!(started.elapsed() < Duration::from_secs(300), "no progress");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

#[test]
fn interrupted_and_killed_runs_come_to_the_same_bits() {
    let bench = Bench::new();
    bench.train("straight", &LONG).assert().success();
    let broken = bench.path("broken");

    let mut child = start(&bench, "broken", &LONG);
    wait_for_step(&broken, 40, &mut child);
    send("-TERM", &child);
    let line = one_line(&child.wait_with_output().unwrap(), 1);
    assert!(line.contains("the same command continues"), "{line}");
    let record = fs::read_to_string(broken.join("run.json")).unwrap();
    assert!(record.contains("\"ending\": \"interrupted\""), "{record}");

    for step in [120, 200] {
        let mut child = start(&bench, "broken", &LONG);
        wait_for_step(&broken, step, &mut child);
        send("-KILL", &child);
        child.wait().unwrap();
        let record = fs::read_to_string(broken.join("run.json")).unwrap();
        assert!(record.contains("\"ending\": \"running\""), "{record}");
    }
    // What a kill in the middle of writing leaves.
    let unfinished = broken.join("checkpoints/.writing-AbCdEf");
    fs::create_dir(&unfinished).unwrap();
    fs::write(unfinished.join("weights.safetensors"), "half").unwrap();
    fs::write(broken.join(".hmorph-AbCdEf"), "half").unwrap();
    let metrics = fs::read_to_string(broken.join("metrics.csv")).unwrap();
    fs::write(broken.join("metrics.csv"), metrics + "479,1.0").unwrap();

    bench.train("broken", &LONG).assert().success();
    assert_same_run(&broken, &bench.path("straight"));
    let hidden: Vec<String> = names(&broken)
        .into_iter()
        .chain(names(&broken.join("checkpoints")))
        .filter(|name| name.starts_with('.') && name != ".lock")
        .collect();
    assert!(hidden.is_empty(), "{hidden:?}");
}

#[test]
fn a_longer_run_continues_and_a_complete_one_does_nothing() {
    let bench = Bench::new();
    bench.train("long", &["train.epochs=6"]).assert().success();
    bench.train("grown", &[]).assert().success();
    bench.train("grown", &["train.epochs=6"]).assert().success();
    assert_same_run(&bench.path("grown"), &bench.path("long"));
    let written = || {
        let file = |name: &str| fs::metadata(bench.path("grown").join(name)).unwrap();
        ["last.safetensors", "run.json"].map(|name| file(name).modified().unwrap())
    };
    let before = written();
    let again = bench.train("grown", &["train.epochs=6"]).output().unwrap();
    assert!(again.status.success());
    let told = String::from_utf8(again.stdout).unwrap();
    assert!(
        told.contains("best Dice ") && told.contains("already complete (24 steps)"),
        "{told}"
    );
    assert_eq!(written(), before);
}

#[test]
fn the_log_ends_with_the_run_and_goes_on_with_it() {
    let bench = Bench::new();
    let log = |out: &str| rows(&bench.path(out).join("metrics.csv"));
    let steps = |out: &str| log(out).iter().map(|row| row["step"]).collect::<Vec<_>>();
    bench.train("grown", &["train.epochs=2"]).assert().success();
    assert_eq!(steps("grown"), [3.0, 6.0, 8.0]);
    // The last row is of the two steps that are left.
    bench
        .train("each", &["train.epochs=2", "train.log_every=1"])
        .assert()
        .success();
    let [seventh, eighth] = [6, 7].map(|n| log("each")[n]["total"]);
    let (found, expected) = (log("grown")[2]["total"], (seventh + eighth) / 2.0);
    // Values have seven digits.
    assert!(
        (found - expected).abs() < 1e-5 * expected,
        "{found} {expected}"
    );

    bench.train("grown", &["train.epochs=4"]).assert().success();
    assert_eq!(steps("grown"), [3.0, 6.0, 9.0, 12.0, 15.0, 16.0]);
    bench.train("long", &["train.epochs=4"]).assert().success();
    assert_same_run(&bench.path("grown"), &bench.path("long"));
}

#[test]
fn a_fine_tuning_that_goes_on_keeps_its_pairs() {
    let bench = Bench::new();
    bench.train("first", &["train.epochs=1"]).assert().success();
    for place in ["host", "device"] {
        let synthesis = format!("train.synthesis='{place}'");
        let finetune = |out: &str, epochs: &str| {
            let out = format!("{place}-{out}");
            let mut run = bench.run("finetune", &out, &[epochs, &synthesis]);
            run.args(["--weights", "first/last.safetensors"]);
            run.assert().success();
            bench.path(&out)
        };
        let straight = finetune("straight", "train.epochs=4");
        finetune("grown", "train.epochs=2");
        let grown = finetune("grown", "train.epochs=4");
        assert_same_run(&grown, &straight);
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    // Large enough that the kernels share the work.
    let overrides = ["synth_labels.shape=[96, 64]", "train.epochs=2"];
    let bench = Bench::new();
    for threads in ["1", "2", "3"] {
        let mut run = bench.hmorph();
        run.args(["train", "--config", "tiny.toml", "-o", threads]);
        run.args(overrides.iter().flat_map(|change| ["--set", change]));
        // The last one counts.
        run.args(["--threads", threads]).assert().success();
    }
    assert_same_run(&bench.path("1"), &bench.path("2"));
    assert_same_run(&bench.path("1"), &bench.path("3"));
}

#[test]
fn two_runs_do_not_share_a_folder() {
    let bench = Bench::new();
    let mut child = start(&bench, "shared", &LONG);
    wait_for_step(&bench.path("shared"), 4, &mut child);
    // The other one is told before settings are compared and images are read.
    let elsewhere = ["data.manifest='gone.csv'"];
    let lines = [&LONG[..], &elsewhere].map(|run| failure(&mut bench.train("shared", run), 1));
    send("-TERM", &child);
    child.wait().unwrap();
    for line in lines {
        assert!(
            line.contains("another hmorph is training in this folder"),
            "{line}"
        );
    }
}

#[test]
fn hangup_of_a_nohup_run_is_ignored() {
    let bench = Bench::new();
    let program = assert_cmd::cargo::cargo_bin("hmorph");
    let script =
        "trap '' HUP; exec \"$0\" train --config tiny.toml -o out -q --set train.epochs=3000";
    let mut child = Command::new("sh")
        .args(["-c", script])
        .arg(program)
        .current_dir(bench.folder.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_step(&bench.path("out"), 4, &mut child);
    send("-HUP", &child);
    let now = 40;
    wait_for_step(&bench.path("out"), now, &mut child);
    send("-TERM", &child);
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

/// Files may not grow beyond 12 kB, as on a disk with that much left; the weights need 14 kB.
#[test]
fn a_failed_write_keeps_the_checkpoint_before() {
    let bench = Bench::new();
    bench.train("out", &[]).assert().success();
    let last = fs::read(bench.path("out/last.safetensors")).unwrap();
    let program = assert_cmd::cargo::cargo_bin("hmorph");
    let script = "trap '' XFSZ; ulimit -f 24; exec \"$0\" train --config tiny.toml -o out -q --set train.epochs=6";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(program)
        .current_dir(bench.folder.path())
        .output()
        .unwrap();
    let line = one_line(&output, 1);
    assert!(line.contains("safetensors: File too large"), "{line}");
    assert_eq!(fs::read(bench.path("out/last.safetensors")).unwrap(), last);
    assert!(names(&bench.path("out/checkpoints")).contains(&"step-12".to_string()));
    bench.train("out", &["train.epochs=6"]).assert().success();
    bench.train("long", &["train.epochs=6"]).assert().success();
    assert_same_run(&bench.path("out"), &bench.path("long"));
}

/// A file system of its own, unmounted at the end.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(path: &'a Path) -> Option<Self> {
        fs::create_dir(path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"])
            .arg(path)
            .stderr(Stdio::null())
            .status();
        mounted.is_ok_and(|s| s.success()).then_some(Self(path))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_keeps_the_checkpoint_before() {
    let bench = Bench::new();
    let path = bench.path("disk");
    let Some(_disk) = SmallDisk::mount(&path) else {
        eprintln!("skipped: mounting a small disk needs root");
        return;
    };
    bench.train("disk/out", &[]).assert().success();
    // Fills the disk but for a few kB.
    let filler = path.join("filler");
    let mut size = 500_000;
    while size > 0 && fs::write(&filler, vec![0_u8; size]).is_err() {
        size -= 4096;
    }
    let line = failure(&mut bench.train("disk/out", &["train.epochs=6"]), 1);
    assert!(line.contains("No space left on device"), "{line}");
    assert!(names(&path.join("out/checkpoints")).contains(&"step-12".to_string()));
    fs::remove_file(&filler).unwrap();
    bench
        .train("disk/out", &["train.epochs=6"])
        .assert()
        .success();
    bench.train("long", &["train.epochs=6"]).assert().success();
    assert_same_run(&path.join("out"), &bench.path("long"));
}
