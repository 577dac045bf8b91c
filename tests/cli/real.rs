//! Real scans, where `HMORPH_TEST_DATA` names the folder that holds them.

use std::path::PathBuf;

use hmorph::dataset::Align;
use hmorph::volume::{read_image, read_labels};

use crate::scans::scans;
use crate::support::{Bench, Card, constant_model, register};

#[test]
fn one_anatomy_in_six_orientations_meets_itself() {
    let Some(folder) = scans("odd/derived") else {
        return;
    };
    let bench = Bench::new();
    let model = bench.path("zero.safetensors");
    let card = Card {
        orientation: Some("RAS"),
        ..Card::default()
    };
    constant_model(&model, &card, &[0.0; 3]);
    let base = folder.join("base_ras_u8.nii.gz");
    let [image, labels] =
        ["", "_label"].map(|part| folder.join(format!("base_ras{part}_u8.nii.gz")));
    let (image, labels) = (read_image(image).unwrap(), read_labels(labels).unwrap());
    for code in ["LPS", "LAS", "ASL", "PIR", "SRA"] {
        let out = bench.path(code);
        let moving = folder.join(format!("orient_{code}_u8.nii.gz"));
        let moving_labels = folder.join(format!("orient_{code}_label_u8.nii.gz"));
        register([&base, &moving], &model, &out)
            .arg("--moving-labels")
            .arg(&moving_labels)
            .assert()
            .success();
        // Whole voxels: nothing is interpolated.
        assert_eq!(
            read_image(out.join("moved.nii.gz")).unwrap().data,
            image.data,
            "{code}"
        );
        let moved = read_labels(out.join("moved_labels.nii.gz")).unwrap();
        assert_eq!(moved.data, labels.data, "{code}");
    }
}

#[test]
fn crops_without_meaningful_headers_meet_at_their_centres() {
    let Some(folder) = scans("hippocampus_msd") else {
        return;
    };
    let bench = Bench::new();
    let model = bench.path("zero.safetensors");
    constant_model(
        &model,
        &Card {
            align: Align::Centre,
            ..Card::default()
        },
        &[0.0; 3],
    );
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder.join("images"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    let (fixed, moving) = (&files[0], &files[3]);
    let out = bench.path("out");
    register([fixed, moving], &model, &out).assert().success();
    let moved = read_image(out.join("moved.nii.gz")).unwrap();
    let (fixed, moving) = (read_image(fixed).unwrap(), read_image(moving).unwrap());
    assert_eq!(moved.geometry.shape, fixed.geometry.shape);
    // Half the difference of the sizes, rounded down, as both are padded to the larger one.
    let shift = [0, 1, 2].map(|axis| {
        let [f, m] = [&fixed, &moving].map(|image| image.geometry.shape[axis]);
        let size = f.max(m);
        ((size - f) / 2) as isize - ((size - m) / 2) as isize
    });
    let mut compared = 0;
    for ((i, j, k), &value) in moved.data.indexed_iter() {
        let at = [i, j, k].map(|v| v as isize);
        let from = [0, 1, 2].map(|axis| at[axis] + shift[axis]);
        let inside =
            (0..3).all(|axis| (0..moving.geometry.shape[axis] as isize).contains(&from[axis]));
        if inside {
            compared += 1;
            assert_eq!(value, moving.data[from.map(|v| v as usize)], "{at:?}");
        }
    }
    assert!(compared * 2 > moved.data.len(), "{compared}");
}
