//! The splits of a cross-validation as manifests.

use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::StudyConfig;
use super::row::read;
use crate::dataset::{Dataset, ManifestRow};
use crate::error::{Error, Result};
use crate::volume::write_table;

/// The split of images that their manifest leaves out.
const UNUSED: &str = "unused";

/// The manifest of a fold below the folder of a study.
pub(super) fn fold_file(folder: &Path, fold: usize) -> PathBuf {
    folder.join("folds").join(format!("{fold}.csv"))
}

/// The table of all images, from which the folds are made.
pub(super) fn subjects_file(folder: &Path) -> PathBuf {
    folder.join("folds").join("subjects.csv")
}

pub(super) fn fold_files(study: &StudyConfig, folder: &Path) -> Vec<PathBuf> {
    let folds = 0..study.folds;
    folds.map(|fold| fold_file(folder, fold)).collect()
}

/// Whether the folder has all folds of the study, which may be none.
pub(super) fn has_folds(study: &StudyConfig, folder: &Path) -> bool {
    study.folds == 1 || fold_files(study, folder).iter().all(|file| file.is_file())
}

/// Writes a manifest a fold: each subject is tested in one of them. `all` are the images, undivided; `seed` is that of the
/// order of subjects.
///
/// # Errors
/// Fewer subjects than the folds need, refusals of the operating system.
pub(super) fn write_folds(
    study: &StudyConfig,
    folder: &Path,
    all: &Dataset,
    seed: u64,
) -> Result<()> {
    let parent = folder.join("folds");
    std::fs::create_dir_all(&parent).map_err(|e| Error::io(&parent, e))?;
    let table = subjects_file(folder);
    all.write_split(&table)?;
    let rows: Vec<ManifestRow> = read(&table)?;
    let splits = assign(&rows, study, seed)?;
    for (file, split) in fold_files(study, folder).iter().zip(splits) {
        write_table(file, &with_split(&rows, &split))?;
    }
    Ok(())
}

/// The split of each row in each fold: the seeded order of subjects is dealt out to the folds, and the subjects that
/// follow those of the test validate.
fn assign(rows: &[ManifestRow], study: &StudyConfig, seed: u64) -> Result<Vec<Vec<&'static str>>> {
    let used = rows.iter().filter(|row| !is_unused(row));
    let mut subjects: Vec<&str> = used.map(|row| row.subject.as_str()).collect();
    subjects.sort_unstable();
    subjects.dedup();
    subjects.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let (count, folds) = (subjects.len(), study.folds);
    let largest = count.div_ceil(folds);
    let wanted = study.most_subjects().unwrap_or(2);
    if count / folds < 2 || largest + study.validation_subjects + wanted > count {
        return Err(Error::invalid(format!(
            "study: {count} subjects in {folds} folds leave {} to train beside {} that validate, and test {}; expected {wanted} \
             and at least 2: change folds, n or validation_subjects",
            count.saturating_sub(largest + study.validation_subjects),
            study.validation_subjects,
            count / folds
        )));
    }
    let of_subject = |subject: &str, fold: usize| {
        let rank = subjects
            .iter()
            .position(|one| *one == subject)
            .unwrap_or_default();
        let (start, end) = (fold * count / folds, (fold + 1) * count / folds);
        let after = (rank + count - end) % count;
        match rank {
            _ if (start..end).contains(&rank) => "test",
            _ if after < study.validation_subjects => "validation",
            _ => "train",
        }
    };
    let of_row = |row: &ManifestRow, fold| match is_unused(row) {
        true => UNUSED,
        false => of_subject(&row.subject, fold),
    };
    let fold = |fold| rows.iter().map(|row| of_row(row, fold)).collect();
    Ok((0..folds).map(fold).collect())
}

fn is_unused(row: &ManifestRow) -> bool {
    row.split.as_deref() == Some(UNUSED)
}

/// The rows with another split, and else as they are.
fn with_split(rows: &[ManifestRow], split: &[&str]) -> Vec<ManifestRow> {
    let row = |(row, split): (&ManifestRow, &&str)| ManifestRow {
        split: Some(split.to_string()),
        ..row.clone()
    };
    rows.iter().zip(split).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::Paradigm;

    fn rows(n: usize) -> Vec<ManifestRow> {
        (0..n).map(|n| row(n, "train")).collect()
    }

    fn row(n: usize, split: &str) -> ManifestRow {
        ManifestRow {
            image: format!("{n}.nii"),
            label: None,
            subject: format!("s{n}"),
            split: Some(split.into()),
            landmarks: None,
            id: Some(format!("scan {n}")),
        }
    }

    #[test]
    fn a_fold_keeps_all_but_the_split() {
        let found = with_split(&rows(2), &["test", "validation"]);
        let expected: Vec<ManifestRow> = vec![row(0, "test"), row(1, "validation")];
        assert_eq!(found, expected);
    }

    #[test]
    fn each_subject_is_tested_once() {
        let study = StudyConfig {
            folds: 4,
            n: vec![5],
            ..StudyConfig::default()
        };
        let folds = assign(&rows(23), &study, 7).unwrap();
        for subject in 0..23 {
            let tested = folds.iter().filter(|fold| fold[subject] == "test").count();
            assert_eq!(tested, 1, "{subject}");
        }
        for fold in folds {
            let count = |split| fold.iter().filter(|one| **one == split).count();
            assert_eq!(count("validation"), 2);
            assert!((5..=6).contains(&count("test")));
        }
    }

    #[test]
    fn what_the_manifest_leaves_out_is_in_no_fold() {
        let study = StudyConfig {
            folds: 4,
            n: vec![5],
            ..StudyConfig::default()
        };
        let mut rows = rows(23);
        rows.push(row(23, UNUSED));
        for fold in assign(&rows, &study, 7).unwrap() {
            assert_eq!(fold[23], UNUSED);
            assert!(!fold[..23].contains(&UNUSED));
        }
    }

    #[test]
    fn numbers_of_subjects_count_where_cells_use_them() {
        let with = |paradigms: &[Paradigm]| StudyConfig {
            folds: 5,
            n: vec![5, 15],
            paradigms: paradigms.to_vec(),
            ..StudyConfig::default()
        };
        let refused = |study: &StudyConfig| assign(&rows(20), study, 0).is_err();
        assert!(!refused(&with(&[Paradigm::Real, Paradigm::Synthetic])));
        for few in [Paradigm::FewShot, Paradigm::Transfer, Paradigm::Weighted] {
            assert!(refused(&with(&[Paradigm::Real, few])), "{few:?}");
        }
    }

    #[test]
    fn too_few_subjects_are_refused() {
        let study = StudyConfig {
            folds: 4,
            n: vec![15],
            ..StudyConfig::default()
        };
        let error = assign(&rows(20), &study, 0).unwrap_err().to_string();
        assert!(error.contains("leave 13 to train"), "{error}");
    }
}
