//! Whether settings are those of the run that a folder holds, so that it can go on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::{Table, Value};

use super::{Schedule, TrainConfig};
use crate::config::RunConfig;
use crate::error::{Error, Result};

/// Settings that may change when a run is continued; for the epochs see [`check_epochs`].
const FREE: [&str; 2] = ["train.epochs", "train.workers"];
/// Differences that an error names.
const NAMED: usize = 5;

/// Refuses to go on in the folder `path`, whose run had the settings `before`.
///
/// # Errors
/// The settings that differ and may not.
pub(super) fn check_settings(path: &Path, before: &RunConfig, now: &RunConfig) -> Result<()> {
    let changes = differences(&table(&spelt_alike(before, now))?, &table(now)?);
    if changes.is_empty() {
        return check_epochs(path, &before.train, &now.train);
    }
    let more = match changes.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    Err(Error::file(
        path,
        format!(
            "holds a run with other settings ({}{more}); choose another folder, or --force to start anew",
            changes[..changes.len().min(NAMED)].join("; ")
        ),
    ))
}

/// The settings `before` with the manifest as it is spelt now, where it is the same file. Of one that is there no more, such as a
/// fold of a study whose folder was moved, the images and their split are compared when the run goes on.
fn spelt_alike(before: &RunConfig, now: &RunConfig) -> RunConfig {
    let mut before = before.clone();
    if let (Some(data), Some(now)) = (&mut before.data, &now.data)
        && let (Some(old), Some(new)) = (&data.manifest, &now.manifest)
        && is_same_or_gone(old, new)
    {
        data.manifest = Some(new.clone());
    }
    before
}

fn is_same_or_gone(old: &Path, new: &Path) -> bool {
    match (old.canonicalize(), new.canonicalize()) {
        (Ok(old), Ok(new)) => old == new,
        (Err(_), Ok(_)) => true,
        (_, Err(_)) => false,
    }
}

/// A learning rate that falls ends with the epochs: over more of them it would stand higher where the run goes on than where
/// it was, and come to neither what the short run nor what a long one comes to.
fn check_epochs(path: &Path, before: &TrainConfig, now: &TrainConfig) -> Result<()> {
    if before.epochs == now.epochs || now.schedule == Schedule::Constant {
        return Ok(());
    }
    Err(Error::file(
        path,
        format!(
            "holds a run whose learning rate falls over {} epochs (train.schedule), and would jump with train.epochs = {}: go \
             on from its weights in another folder (hmorph finetune --weights {}), or --force to start anew",
            before.epochs,
            now.epochs,
            path.join("last.safetensors").display()
        ),
    ))
}

fn table(config: &RunConfig) -> Result<Table> {
    Table::try_from(config).map_err(|e| Error::invalid(format!("settings cannot be compared: {e}")))
}

/// Every setting that differs and may not, in words.
fn differences(before: &Table, now: &Table) -> Vec<String> {
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    flatten("", before, &mut old);
    flatten("", now, &mut new);
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .filter(|key| !FREE.contains(&key.as_str()) && old.get(*key) != new.get(*key))
        .map(|key| {
            let text = |value: Option<&&Value>| value.map_or("not set".into(), |v| v.to_string());
            format!(
                "{key} is {}, was {}",
                text(new.get(key)),
                text(old.get(key))
            )
        })
        .collect()
}

fn flatten<'a>(prefix: &str, table: &'a Table, out: &mut BTreeMap<String, &'a Value>) {
    for (key, value) in table {
        let path = format!("{prefix}{key}");
        match value {
            Value::Table(inner) => flatten(&format!("{path}."), inner, out),
            _ => {
                out.insert(path, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named_and_longer_runs_are_none() {
        let table = |text: &str| toml::from_str::<Table>(text).unwrap();
        let before = table("seed = 1\n[train]\nlr = 0.001\nepochs = 5\n[loss.mse]\nweight = 1.0");
        let now = table("seed = 1\n[train]\nlr = 0.01\nepochs = 9\n[loss.ncc]\nwindow = 9");
        assert_eq!(
            differences(&before, &now),
            [
                "loss.mse.weight is not set, was 1.0",
                "loss.ncc.window is 9, was not set",
                "train.lr is 0.01, was 0.001"
            ]
        );
        assert!(differences(&before, &before).is_empty());
    }

    #[test]
    fn of_many_differences_some_are_named_and_the_others_counted() {
        let run = |text: &str| toml::from_str::<RunConfig>(text).unwrap();
        let now = run(
            "seed = 1\n[train]\nbatch = 2\nlr = 0.1\nlr_end = 0.2\nclip_norm = 1.0\nlog_every = 3\npatience = 4\n",
        );
        let error = check_settings(Path::new("run"), &run(""), &now);
        let text = error.unwrap_err().to_string();
        assert!(text.contains("seed is 1, was 0"), "{text}");
        assert!(
            text.contains("train.lr is 0.1, was 0.0001; and 2 more)"),
            "{text}"
        );
        assert!(!text.contains("train.patience"), "{text}");
    }

    #[test]
    fn a_manifest_is_the_same_however_it_is_spelt() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("in")).unwrap();
        for name in ["a.csv", "b.csv"] {
            std::fs::write(path(name), "image,subject\n").unwrap();
        }
        let run = |manifest: &str| {
            let mut run: RunConfig = toml::from_str("[data]").unwrap();
            run.data.as_mut().unwrap().manifest = Some(path(manifest));
            run
        };
        let same = |before: &str, now: &str| {
            check_settings(Path::new("run"), &run(before), &run(now)).is_ok()
        };
        assert!(same("a.csv", "a.csv"));
        assert!(same("in/../a.csv", "a.csv") && same("a.csv", "./in/../a.csv"));
        assert!(!same("a.csv", "b.csv"));
        // Moved: the old place is empty, but a new one that is empty is not known to be the same.
        assert!(same("gone.csv", "a.csv"));
        assert!(!same("a.csv", "gone.csv"));
    }

    #[test]
    fn epochs_are_free_where_the_learning_rate_does_not_fall_with_them() {
        let check = |schedule, epochs| {
            let of = |epochs| TrainConfig {
                schedule,
                epochs,
                ..TrainConfig::default()
            };
            check_epochs(Path::new("run"), &of(5), &of(epochs)).map_err(|error| error.to_string())
        };
        assert_eq!(check(Schedule::Constant, 9), Ok(()));
        for schedule in [Schedule::Linear, Schedule::Cosine] {
            assert_eq!(check(schedule, 5), Ok(()));
            for epochs in [3, 9] {
                let problem = check(schedule, epochs).unwrap_err();
                assert!(problem.contains("falls over 5 epochs"), "{problem}");
            }
        }
    }
}
