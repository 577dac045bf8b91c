//! Studies on disk: what is read, how it is prepared, and what is refused.

use std::fs;

use hmorph::dataset::{Dataset, HeldOutPairs, Split};
use hmorph::volume::{Affine, Dimension, Geometry, LabelMap, Volume, distinct_labels};
use nalgebra::{Matrix3, Vector3};
use ndarray::Array3;

use crate::scans::scans;
use crate::studies::{PATTERNS, config, image, load, save, save_labels, small_study};

#[test]
fn patterns_load_split_and_pair_between_subjects() {
    let folder = tempfile::tempdir().unwrap();
    small_study(folder.path(), 10);
    let data = load(folder.path(), PATTERNS).unwrap();
    assert_eq!(data.items().len(), 10);
    let subjects = [Split::Train, Split::Validation, Split::Test].map(|s| data.subjects(s));
    assert_eq!(subjects, [6, 2, 2]);
    assert_eq!(labels(&data, Split::Train), [1, 2]);
    let members = data.members(Split::Train).iter();
    let members: Vec<&str> = members.map(|&n| data.items()[n].id.as_str()).collect();
    let maps = data.label_maps(Split::Train);
    let named: Vec<&str> = maps.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(named, members);
    let pairs = data.validation_pairs(Split::Test, 9, 0);
    assert_eq!(pairs.len(), 2);
    let sample = data.pair(pairs[0].0, pairs[0].1).unwrap();
    assert_ne!(sample.fixed_id, sample.moving_id);
    assert_eq!(sample.fixed, data.items()[pairs[0].0].image);
    assert!(sample.fixed_labels.is_some() && sample.field.is_none());
}

/// The labels that occur in a split, ascending.
fn labels(data: &Dataset, split: Split) -> Vec<i32> {
    let maps = data.label_maps(split);
    let found = distinct_labels(maps.iter().flat_map(|(_, map)| &map.data));
    found.into_iter().collect()
}

fn ids(data: &Dataset) -> Vec<&str> {
    data.items().iter().map(|item| item.id.as_str()).collect()
}

#[test]
fn the_written_split_gives_the_same_split_again() {
    let folder = tempfile::tempdir().unwrap();
    small_study(folder.path(), 10);
    let first = load(
        folder.path(),
        &format!("{PATTERNS}split_seed = 5\nn_train = 3\n"),
    )
    .unwrap();
    first.write_split(&folder.path().join("split.csv")).unwrap();
    let again = load(folder.path(), "manifest = '@/split.csv'\n").unwrap();
    for split in [Split::Train, Split::Validation, Split::Test] {
        let subjects = |data: &Dataset| {
            let members = data.members(split).iter();
            members
                .map(|&n| data.items()[n].subject.clone())
                .collect::<Vec<_>>()
        };
        assert!(!subjects(&first).is_empty());
        assert_eq!(subjects(&first), subjects(&again));
    }
    assert_eq!(ids(&again), ids(&first));
    assert_eq!(again.subjects(Split::Train), 3);
}

#[test]
fn the_written_split_keeps_the_ids_that_lists_of_pairs_use() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    small_study(at, 4);
    // One stem for all, so that the ids are the paths as they are written here, relative to the manifest.
    fs::write(
        at.join("study.csv"),
        "image,subject,split\ns0/t1.nii.gz,a,train\ns1/t1.nii.gz,b,train\ns2/t1.nii.gz,c,test\n\
         s3/t1.nii.gz,d,test\n",
    )
    .unwrap();
    // From its own folder these are no paths.
    fs::create_dir(at.join("lists")).unwrap();
    let rows = "fixed,moving\ns0/t1.nii.gz,s1/t1.nii.gz\ns3/t1.nii.gz,s2/t1.nii.gz\n";
    fs::write(at.join("lists/pairs.csv"), rows).unwrap();
    let listed = |manifest: &str| {
        let text = format!(
            "manifest = '@/{manifest}'\npairs = 'listed'\npairs_file = '@/lists/pairs.csv'\n"
        );
        load(at, &text).unwrap()
    };
    let first = listed("study.csv");
    assert_eq!(ids(&first)[3], "s3/t1.nii.gz");
    fs::create_dir(at.join("run")).unwrap();
    first.write_split(&at.join("run/split.csv")).unwrap();
    let again = listed("run/split.csv");
    assert_eq!(ids(&again), ids(&first));
    let pairs = |data: &Dataset| data.validation_pairs(Split::Test, 9, 0);
    assert_eq!(pairs(&again), [(3, 2)]);
    assert_eq!(pairs(&again), pairs(&first));
}

#[test]
fn every_problem_is_in_one_report() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    small_study(at, 4);
    fs::write(at.join("broken.nii.gz"), "not an image").unwrap();
    let shifted = Volume {
        data: Array3::zeros([5, 6, 1]),
        geometry: Geometry::new(
            [5, 6, 1],
            Dimension::Two,
            Affine::from_parts(Matrix3::identity(), Vector3::new(2.0, 0.0, 0.0)),
        ),
    };
    save_labels(at, "shifted.nii.gz", &shifted);
    save_labels(
        at,
        "wrong_shape.nii.gz",
        &Volume {
            data: Array3::zeros([4, 6, 1]),
            ..small(4)
        },
    );
    fs::write(
        at.join("study.csv"),
        "image,label,subject,split\n\
         s0/t1.nii.gz,shifted.nii.gz,a,train\n\
         s1/t1.nii.gz,wrong_shape.nii.gz,b,train\n\
         s1/t1.nii.gz,,c,train\n\
         gone.nii.gz,gone_too.nii.gz,d,train\n\
         broken.nii.gz,,e,train\n\
         s2/t1.nii.gz,,,train\n\
         s3/t1.nii.gz,,f,test\n\
         s0/t1.nii.gz,,a,test\n",
    )
    .unwrap();
    let report = load(at, "manifest = '@/study.csv'\nn_train = 9\n")
        .unwrap_err()
        .to_string();
    for problem in [
        "the subject is empty",
        "s1/t1.nii.gz: listed twice (subjects b and c)",
        "subject a is in two splits",
        "n_train = 9, but the training split has 5 subjects",
        "the test split has one subject",
        "shifted.nii.gz: label map and image have the same shape, but their headers place them 2.0 voxels apart",
        "wrong_shape.nii.gz: 4x6x1 voxels for an image of 5x6x1",
        "gone.nii.gz: no such file (image of d)",
        "gone_too.nii.gz: no such file (label map of d)",
        "broken.nii.gz: ",
    ] {
        assert!(report.contains(problem), "`{problem}` is not in:\n{report}");
    }
    // One line each and a heading; s0 is listed twice as well.
    assert_eq!(report.lines().count(), 12, "{report}");
}

fn small(i: usize) -> LabelMap {
    Volume {
        data: Array3::zeros([i, 6, 1]),
        geometry: Geometry::new([i, 6, 1], Dimension::Two, Affine::identity()),
    }
}

#[test]
fn images_are_padded_and_cropped_about_the_centre() {
    let folder = tempfile::tempdir().unwrap();
    for s in 0..10 {
        let picture = image([3, 6, 1], Dimension::Two, |[i, j, _]| {
            (10 * i + j + 1) as f32
        });
        save(folder.path(), &format!("s{s}/t1.nii.gz"), &picture);
    }
    let text = "images = '@/{subject}/t1.nii.gz'\nnormalize = { kind = 'none' }\nalign = 'centre'\nshape = [6, 3]\n";
    let data = load(folder.path(), text).unwrap();
    // 3 -> 6: one row of zeros before, two after; 6 -> 3: columns 1 to 3 remain.
    let expected = [
        [0.0, 0.0, 0.0],
        [2.0, 3.0, 4.0],
        [12.0, 13.0, 14.0],
        [22.0, 23.0, 24.0],
        [0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0],
    ];
    let expected = Array3::from_shape_fn([6, 3, 1], |(i, j, _)| expected[i][j]);
    assert_eq!(data.items()[0].image, expected);
    assert!(
        data.notes()
            .iter()
            .any(|note| note.contains("10 of 10 images are larger"))
    );
    let padded = Dataset::load(&config(folder.path(), text), 4).unwrap();
    assert_eq!(padded.shape(), [8, 4, 1]);
    assert!(
        padded
            .notes()
            .iter()
            .any(|n| n.contains("6x3 is padded to 8x4") && n.contains("of 4"))
    );
    // 6 -> 8 puts one row before; 3 -> 4 none.
    assert_eq!(padded.items()[0].image[[2, 0, 0]], 2.0);
    assert_eq!(padded.items()[0].image[[2, 3, 0]], 0.0);
}

#[test]
fn an_atlas_is_fixed_in_every_pair() {
    let folder = tempfile::tempdir().unwrap();
    small_study(folder.path(), 10);
    let atlas = image([5, 6, 1], Dimension::Two, |[i, _, _]| i as f32);
    save(folder.path(), "atlas.nii.gz", &atlas);
    let text = format!("{PATTERNS}pairs = 'atlas'\natlas = '@/atlas.nii.gz'\n");
    let data = load(folder.path(), &text).unwrap();
    let pairs = data.validation_pairs(Split::Validation, 9, 0);
    assert_eq!(pairs.len(), 2);
    for (fixed, moving) in pairs {
        let sample = data.pair(fixed, moving).unwrap();
        assert_eq!(sample.fixed_id, "atlas");
        assert!(sample.fixed_labels.is_none() && sample.moving_labels.is_some());
    }
    // Six training images and no more: the atlas is in no split.
    assert_eq!(data.members(Split::Train).len(), 6);
}

#[test]
fn an_atlas_that_is_listed_is_in_no_split() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    small_study(at, 8);
    // The subject of the atlas has another image, which is one as any other.
    let subject = |n: usize| n.saturating_sub(1);
    let rows = (0..8).map(|n| format!("s{n}/t1.nii.gz,p{}\n", subject(n)));
    let list = format!("image,subject\n{}", rows.collect::<String>());
    fs::write(at.join("study.csv"), list).unwrap();
    let with = |manifest: &str| {
        format!("manifest = '@/{manifest}'\npairs = 'atlas'\natlas = '@/s1/../s0/t1.nii.gz'\n")
    };
    let first = load(at, &with("study.csv")).unwrap();
    let members = |data: &Dataset| {
        [Split::Train, Split::Validation, Split::Test].map(|split| {
            let members = data.members(split).iter();
            members
                .map(|&n| data.items()[n].id.clone())
                .collect::<Vec<_>>()
        })
    };
    let found = members(&first);
    assert_eq!(found.each_ref().map(Vec::len), [5, 1, 1]);
    assert!(
        !found.concat().contains(&"s0/t1.nii.gz".to_string()),
        "{found:?}"
    );
    let told = first
        .notes()
        .iter()
        .find(|note| note.contains("is the atlas"));
    assert!(
        told.is_some_and(|note| note.starts_with("s0/t1.nii.gz ")),
        "{told:?}"
    );
    first.write_split(&at.join("split.csv")).unwrap();
    let written = fs::read_to_string(at.join("split.csv")).unwrap();
    let row = written.lines().find(|line| line.ends_with(",s0/t1.nii.gz"));
    assert!(row.is_some_and(|row| row.contains(",unused,")), "{written}");
    assert_eq!(members(&load(at, &with("split.csv")).unwrap()), found);
    let counted = HeldOutPairs::count(&config(at, &with("split.csv"))).unwrap();
    assert_eq!((counted.validation, counted.test), (1, 1));
}

#[test]
fn few_subjects_can_all_train() {
    let folder = tempfile::tempdir().unwrap();
    small_study(folder.path(), 3);
    let report = load(folder.path(), PATTERNS).unwrap_err().to_string();
    for split in ["train", "validation", "test"] {
        assert!(
            report.contains(&format!("the {split} split has one subject")),
            "{report}"
        );
    }
    let remedy = "split = [1, 0, 0]";
    assert!(report.contains(&format!("data.{remedy}")), "{report}");
    let data = load(folder.path(), &format!("{PATTERNS}{remedy}\n")).unwrap();
    assert_eq!(data.subjects(Split::Train), 3);
}

#[test]
fn listed_pairs_may_be_of_one_subject() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    small_study(at, 5);
    fs::write(
        at.join("study.csv"),
        "image,subject,split\ns0/t1.nii.gz,a,train\ns4/t1.nii.gz,c,unused\ns1/t1.nii.gz,a,train\n\
         s2/t1.nii.gz,b,test\ns3/t1.nii.gz,b,test\n",
    )
    .unwrap();
    // What is not in use is left out, so that one list serves the parts of a study.
    let rows = "fixed,moving\ns0/t1.nii.gz,s1/t1.nii.gz\ns3/t1.nii.gz,s2/t1.nii.gz\ns0/t1.nii.gz,s4/t1.nii.gz\n";
    fs::write(at.join("pairs.csv"), rows).unwrap();
    let text = "manifest = '@/study.csv'\npairs = 'listed'\npairs_file = '@/pairs.csv'\n";
    let data = load(at, text).unwrap();
    let train = data.validation_pairs(Split::Train, 9, 0);
    assert_eq!(train.len(), 1);
    let items = [train[0].0, train[0].1].map(|n| &data.items()[n]);
    assert_eq!(items.map(|item| item.subject.as_str()), ["a", "a"]);
    assert_eq!(
        items.map(|item| item.id.as_str()),
        ["s0/t1.nii.gz", "s1/t1.nii.gz"]
    );
    assert_eq!(data.validation_pairs(Split::Test, 9, 0).len(), 1);
    // The same study cannot pair between subjects.
    let error = load(at, "manifest = '@/study.csv'\n")
        .unwrap_err()
        .to_string();
    assert!(error.contains("the train split has one subject"), "{error}");
    assert!(error.contains("the test split has one subject"), "{error}");
}

#[test]
fn an_undivided_study_trains_on_all_that_is_not_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    small_study(at, 6);
    let splits = ["train", "train", "validation", "test", "test", "unused"];
    let rows = splits.iter().enumerate();
    let rows = rows.map(|(n, split)| format!("s{n}/t1.nii.gz,s{n},{split}\n"));
    let list = format!("image,subject,split\n{}", rows.collect::<String>());
    fs::write(at.join("study.csv"), list).unwrap();
    let rows = "fixed,moving\ns0/t1.nii.gz,s3/t1.nii.gz\n";
    fs::write(at.join("pairs.csv"), rows).unwrap();
    let plain = "manifest = '@/study.csv'\nn_train = 2\n";
    let listed = format!("{plain}pairs = 'listed'\npairs_file = '@/pairs.csv'\n");
    for (text, reason) in [
        (plain, "the validation split has one subject"),
        (&listed, "a pair must lie within one"),
    ] {
        let error = load(at, text).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        let data = Dataset::load_undivided(&config(at, text), 1).unwrap();
        assert_eq!(ids(&data).len(), 5);
        assert_eq!(data.members(Split::Train).len(), 5);
    }
    let data = Dataset::load_undivided(&config(at, &listed), 1).unwrap();
    assert_eq!(data.validation_pairs(Split::Train, 9, 0), [(0, 3)]);
}

#[test]
fn held_out_pairs_are_counted_without_reading_an_image() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    small_study(at, 10);
    let count = |more: &str| {
        let counted = HeldOutPairs::count(&config(at, &format!("{PATTERNS}{more}")));
        let counted = counted.map_err(|error| error.to_string())?;
        Ok::<_, String>((counted.validation, counted.test))
    };
    let data = load(at, PATTERNS).unwrap();
    let loaded = [Split::Validation, Split::Test].map(|s| data.validation_pairs(s, 99, 0).len());
    fs::write(at.join("s0/t1.nii.gz"), "not an image").unwrap();
    assert_eq!(count(""), Ok((loaded[0], loaded[1])));
    assert_eq!(count("split = [0.8, 0.2, 0.0]\n"), Ok((2, 0)));
    assert_eq!(count("split = [0.8, 0.0, 0.2]\n"), Ok((0, 2)));
    let error = count("n_train = 9\n").unwrap_err();
    assert!(
        error.contains("n_train = 9, but the training split has 6 subjects"),
        "{error}"
    );
}

#[test]
fn settings_that_contradict_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    small_study(folder.path(), 4);
    for (text, reason) in [
        ("", "no images"),
        (
            "images = '@/{subject}/t1.nii.gz'\nmanifest = 'a.csv'\n",
            "keep one",
        ),
        (
            "images = '@/{subject}/t1.nii.gz'\nsplit = [0.5, 0.2, 0.2]\n",
            "add up to 1",
        ),
        (
            "images = '@/{subject}/t1.nii.gz'\npairs = 'atlas'\n",
            "set atlas",
        ),
        (
            "images = '@/{subject}/t1.nii.gz'\npairs_file = 'x'\n",
            "pairs_file is set",
        ),
        (
            "images = '@/{subject}/t1.nii.gz'\nshape = [4, 4, 4]\n",
            "expected 2 numbers",
        ),
        (
            "images = '@/{subject}/t1.nii.gz'\nshape = [4]\n",
            "expected 2 or 3 numbers",
        ),
        (
            "images = '@/{subject}/t1.nii.gz'\nslice = 'axial:0.5'\n",
            "this is a 2-D image",
        ),
        (
            "images = '@/{subject}/t1.nii.gz'\nsplit = [1.0, 0.0, 0.0]\nn_train = 1\n",
            "one subject",
        ),
    ] {
        let error = load(folder.path(), text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
    // What follows from a missing manifest is not reported beside it.
    let error = load(folder.path(), "manifest = '@/gone.csv'\n")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("gone.csv") && error.lines().count() == 1,
        "{error}"
    );
}

#[test]
fn the_hippocampus_study_loads_whole() {
    let Some(set) = scans("hippocampus_msd") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = String::from("image,label,subject\n");
    for entry in fs::read_dir(set.join("images")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let digits: String = name.chars().filter(char::is_ascii_digit).collect();
        // Two hippocampi of one scan have ids (odd, even).
        let subject = digits.parse::<usize>().unwrap().div_ceil(2);
        let set = set.display();
        manifest += &format!("{set}/images/{name},{set}/labels/{name},{subject}\n");
    }
    fs::write(folder.path().join("m.csv"), manifest).unwrap();
    let text = "manifest = '@/m.csv'\nalign = 'centre'\nshape = [48, 64, 48]\n";
    let data = Dataset::load(&config(folder.path(), text), 16).unwrap();
    assert_eq!(data.items().len(), 155);
    let subjects = [Split::Train, Split::Validation, Split::Test].map(|s| data.subjects(s));
    assert_eq!(subjects, [61, 20, 20]);
    assert_eq!(labels(&data, Split::Train), [1, 2]);
    // numpy on hippocampus_001 with load() and fit() of the VoxelMorph baseline: percentiles 0.5 and
    // 99.5 to [0, 1], padded to 48x64x48; x.sum(), x[20, 30, 24], bincount(labels).
    let item = data
        .items()
        .iter()
        .find(|item| item.id == "hippocampus_001")
        .unwrap();
    let sum: f64 = item.image.iter().map(|&v| f64::from(v)).sum();
    // Voxels are float32 there and here: 1e-7 relative each, errors of random sign.
    assert!((sum - 34616.06881860737).abs() < 0.01, "{sum}");
    assert!((item.image[[20, 30, 24]] - 0.5392157).abs() < 1e-6);
    let labels = item.labels.as_ref().unwrap();
    let count = |id| labels.iter().filter(|&&label| label == id).count();
    assert_eq!([0, 1, 2].map(count), [144508, 1324, 1624]);
}
