//! Real and deliberately odd files, with the values that nibabel gives for them.
//!
//! Needs the folder named by `HMORPH_TEST_DATA` with `odd/derived_expected.json`; skipped without it.

use std::path::{Path, PathBuf};

use hmorph::volume::{self, FileInfo};
use serde_json::Value;

use crate::scans::scans;

fn one_line(error: &hmorph::error::Error, path: &Path) -> String {
    let message = error.to_string();
    assert!(!message.contains('\n'), "{message}");
    assert!(
        message.contains(path.file_name().unwrap().to_str().unwrap()),
        "{message}"
    );
    assert!(message.len() < 400, "{message}");
    message
}

/// Relative to the sum of magnitudes that float64 summation can lose.
fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-9 * expected.abs().max(1.0)
}

#[test]
fn derived_files_are_as_expected() {
    let Some(folder) = scans("odd") else { return };
    let text = std::fs::read_to_string(folder.join("derived_expected.json")).unwrap();
    let expected: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
    let mut counts = [0; 3];
    for (name, entry) in &expected {
        let path = folder.join("derived").join(name);
        match entry["kind"].as_str().unwrap() {
            "ok" => {
                check_info(&volume::probe(&path).unwrap(), entry);
                check_image(&path, entry);
                counts[0] += 1;
            }
            "ok-numpy" => {
                check_numpy(&path);
                counts[1] += 1;
            }
            // Listed as what other readers do not support.
            _ if name == "rgb24.nii.gz" => check_colours(&path),
            _ => {
                one_line(&volume::probe(&path).unwrap_err(), &path);
                one_line(&volume::read_image(&path).unwrap_err(), &path);
                one_line(&volume::read_labels(&path).unwrap_err(), &path);
                one_line(&volume::read_field(&path).unwrap_err(), &path);
                counts[2] += 1;
            }
        }
    }
    assert_eq!(
        counts,
        [56, 4, 24],
        "files without error, numpy files, files with an error"
    );
}

/// Sums by nibabel 5.4.2: `numpy.asarray(nibabel.load(f).dataobj)[c].sum()` for `c` in RGB.
fn check_colours(path: &Path) {
    let series = volume::read_series(path).unwrap();
    let sum = |image: &volume::Image| image.data.iter().map(|&v| f64::from(v)).sum::<f64>();
    let sums: Vec<f64> = series.volumes.iter().map(sum).collect();
    assert_eq!(sums, [2607471.0, 0.0, 0.0]);
}

fn check_info(info: &FileInfo, entry: &Value) {
    let name = info.path.display();
    let numbers = |value: &Value| -> Vec<f64> {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect()
    };
    let shape: Vec<f64> = info.shape.iter().map(|&n| n as f64).collect();
    assert_eq!(shape, numbers(&entry["shape"]), "{name}");
    let dtype = match entry["dtype"].as_str().unwrap() {
        ">i2" => "int16",
        ">f4" => "float32",
        other => other,
    };
    assert_eq!(info.dtype.name(), dtype, "{name}");
    assert_eq!(
        info.orientation,
        entry["orient"].as_str().unwrap(),
        "{name}"
    );
    for (row, expected) in info.affine.iter().zip(entry["affine"].as_array().unwrap()) {
        for (found, expected) in row.iter().zip(numbers(expected)) {
            // The file gives six decimals; MGH and quaternions are float32.
            assert!(
                (found - expected).abs() < 5e-6,
                "{name}: {found} {expected}"
            );
        }
    }
    let statistics = [
        ("sum", Some(info.sum)),
        ("min", info.min),
        ("max", info.max),
    ];
    for (key, found) in statistics {
        let expected = entry[key].as_f64().unwrap();
        assert!(
            found.is_some_and(|f| close(f, expected)),
            "{name}: {key} {found:?} {expected}"
        );
    }
}

/// The image as training would see it: one volume, or an error that says what to do.
fn check_image(path: &Path, entry: &Value) {
    let shape: Vec<u64> = entry["shape"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_u64().unwrap())
        .collect();
    let frames: u64 = shape.iter().skip(3).product();
    let image = volume::read_image(path);
    if frames > 1 {
        assert!(one_line(&image.unwrap_err(), path).contains("take it out of the file"));
        return;
    }
    let image = image.unwrap();
    let finite: f64 = image
        .data
        .iter()
        .filter(|v| v.is_finite())
        .map(|&v| f64::from(v))
        .sum();
    let expected = entry["sum"].as_f64().unwrap();
    // float32 voxels: each is off by at most 6e-8 of itself.
    assert!(
        (finite - expected).abs() <= 1e-7 * expected.abs(),
        "{}",
        path.display()
    );
    let labels = volume::read_labels(path);
    let name = path.file_name().unwrap().to_str().unwrap();
    let fractions = [
        "label_noninteger",
        "scaled_int16",
        "big_endian",
        "vox_offset",
    ];
    let not_labels = fractions.iter().any(|n| name.starts_with(n))
        || ["nan_inf_f32.nii.gz", "huge_values_f64.nii.gz"].contains(&name);
    match labels {
        Ok(labels) => {
            assert!(!not_labels, "{name}");
            let sum: f64 = labels.data.iter().map(|&v| f64::from(v)).sum();
            assert_eq!(sum, expected, "{name}");
        }
        Err(error) => {
            let message = one_line(&error, path);
            assert!(
                not_labels && message.contains("is not a label"),
                "{message}"
            );
        }
    }
}

/// The base image divided by 255, and its labels.
fn check_numpy(path: &Path) {
    let base = path.with_file_name("base_ras_u8.nii.gz");
    let base = volume::read_image(base).unwrap().data;
    let found = volume::read_image(path).unwrap().data;
    for (found, expected) in found.iter().zip(&base) {
        assert!(
            (found - expected / 255.0).abs() < 1e-7,
            "{}",
            path.display()
        );
    }
    if path.ends_with("vxm_style_3d.npz") {
        let labels = path.with_file_name("base_ras_label_u8.nii.gz");
        assert_eq!(
            volume::read_labels(path).unwrap().data,
            volume::read_labels(labels).unwrap().data
        );
    }
}

#[test]
fn orientations_of_one_anatomy_agree() {
    let Some(folder) = scans("odd") else { return };
    let read = |name: &str| volume::read_image(folder.join("derived").join(name)).unwrap();
    let base = read("base_ras_u8.nii.gz");
    for codes in ["LPS", "LAS", "ASL", "PIR", "SRA"] {
        let turned = volume::reorient(&read(&format!("orient_{codes}_u8.nii.gz")), "RAS").unwrap();
        assert_eq!(turned, base, "{codes}");
    }
}

/// Nothing here may panic; what nibabel reads as a scalar image, hmorph reads too.
#[test]
fn real_files_are_read_or_refused() {
    let Some(folder) = scans("odd") else { return };
    let mut read = 0;
    let mut refused = Vec::new();
    for path in files(&folder.join("real")) {
        match volume::probe(&path) {
            Ok(info) => {
                read += 1;
                assert!(info.spacing.iter().all(|&s| s > 0.0), "{}", path.display());
            }
            Err(error) => refused.push(one_line(&error, &path)),
        }
    }
    refused.sort();
    for message in &refused {
        eprintln!("{message}");
    }
    // Five fuzz artefacts, two complex, two series of colours, one CIFTI, one header without image.
    assert_eq!((read, refused.len()), (51, 11));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path());
    entries
        .flat_map(|p| if p.is_dir() { files(&p) } else { vec![p] })
        .collect()
}

/// Sums by nibabel 5.4.2: `numpy.asanyarray(nibabel.load(f).dataobj).sum(dtype="f8")`.
#[test]
fn real_values_are_nibabels() {
    let Some(folder) = scans("odd") else { return };
    for (name, orientation, sum) in [
        ("antspy_oasis_mni_2mm.nii.gz", "LAS", 21783081.0),
        ("greedy_t1longi_2d_bl.nii.gz", "PRS", 9880.25089608645),
        ("nibabel_anatomical.nii", "LAS", 284166082.0),
        ("nibabel_example4d.nii.gz", "LAS", 101985356.0),
        ("nibabel_example_nifti2.nii.gz", "LAS", 6926802.0),
        ("nibabel_functional.nii", "LAS", 77913290.36292362),
        ("nibabel_someones_epi.nii.gz", "RAS", 4873536.8466768265),
        ("nibabel_test.mgz", "SAR", -15.55657383496873),
        ("nifti-rs/minimal.hdr.gz", "LAS", 1290240.0),
        ("nifti-rs/zstat1.nii.gz", "LAS", 11648.372022011292),
        ("niftyreg_target_2D.nii.gz", "LAS", 2404928.0),
        ("niivue_CT_AVM.nii.gz", "RAS", 49383836.6660285),
        ("niivue_spmMotor.nii.gz", "LAS", 126039.44748022081),
    ] {
        let info = volume::probe(folder.join("real").join(name)).unwrap();
        assert_eq!(info.orientation, orientation, "{name}");
        assert!(
            (info.sum - sum).abs() <= 1e-6 * sum.abs(),
            "{name}: {} {sum}",
            info.sum
        );
    }
}

/// By SimpleITK 2.5.7: `GetSize`, sum and minimum of `GetArrayFromImage`, and its `[10, 200]`; spacing 1, origin 0.
#[test]
fn real_metaimages_are_as_itk_reads_them() {
    let Some(folder) = scans("odd") else { return };
    for (name, sum, low, value) in [
        ("fixed", 2660536.0, -2.0, 1.0),
        ("fixed_mask", 27363.0, 0.0, 0.0),
        ("moving", 5027809.0, 0.0, 6.0),
        ("moving_mask", 27976.0, 0.0, 0.0),
    ] {
        let path = folder.join(format!("real/itkelastix_CT_2D_head_{name}.mha"));
        let info = volume::probe(&path).unwrap();
        assert_eq!(
            (&info.shape[..], &info.orientation[..]),
            (&[256, 256][..], "LPS")
        );
        assert_eq!((info.sum, info.min), (sum, Some(low)));
        let image = volume::read_image(&path).unwrap();
        assert_eq!(image.geometry.spacing(), [1.0; 3]);
        assert_eq!(image.data[[200, 10, 0]], value);
        assert!(volume::read_labels(&path).is_ok());
    }
}

/// Every image and label map of the development sets is one readable volume or says what it is.
#[test]
fn development_sets_are_read() {
    let Some(odd) = scans("odd") else { return };
    let sets = files(odd.parent().unwrap())
        .into_iter()
        .filter(|p| !p.starts_with(&odd));
    let (mut images, mut labels) = (0, 0);
    for path in sets.filter(|p| p.extension().is_some_and(|e| e == "gz" || e == "mgz")) {
        let is_labels = path.parent().unwrap().ends_with("labels");
        let frames: usize = volume::probe(&path).unwrap().shape.iter().skip(3).product();
        match frames {
            1 if is_labels => {
                labels += 1;
                volume::read_labels(&path).map(drop).unwrap();
            }
            1 => {
                images += 1;
                volume::read_image(&path).map(drop).unwrap();
            }
            _ => assert!(one_line(&volume::read_image(&path).unwrap_err(), &path).contains("4-D")),
        }
    }
    assert!(
        images > 300 && labels > 300,
        "{images} images and {labels} label maps"
    );
}
