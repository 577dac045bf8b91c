//! How images of different grids and axis orders come together.

use std::path::Path;

use hmorph::dataset::Dataset;
use hmorph::volume::{Affine, Dimension, Geometry, Image, Volume, VoxelPoint};
use nalgebra::{Matrix3, Vector3};
use ndarray::{Array2, Array3, s};

use crate::scans::scans;
use crate::studies::{image, load, save};

const ANATOMY: [usize; 3] = [5, 6, 7];
const ORIGIN: [f64; 3] = [-10.0, 20.0, 3.0];
const SIZE: [f64; 3] = [1.0, 1.5, 2.0];

/// The intensity of the anatomy, counted to the right, anterior and superior.
fn intensity(r: usize, a: usize, s: usize) -> f32 {
    (100 * r + 10 * a + s) as f32
}

/// The anatomy with array axes that run along RAS axis `axes[n]`, backwards where `reversed[n]`.
fn stored(axes: [usize; 3], reversed: [bool; 3]) -> Image {
    let shape = axes.map(|axis| ANATOMY[axis]);
    let anatomical = |voxel: [usize; 3]| {
        let mut ras = [0; 3];
        for n in 0..3 {
            ras[axes[n]] = if reversed[n] {
                shape[n] - 1 - voxel[n]
            } else {
                voxel[n]
            };
        }
        ras
    };
    let mut linear = Matrix3::zeros();
    for n in 0..3 {
        linear[(axes[n], n)] = if reversed[n] {
            -SIZE[axes[n]]
        } else {
            SIZE[axes[n]]
        };
    }
    let first = anatomical([0, 0, 0]);
    let origin = Vector3::from_fn(|n, _| ORIGIN[n] + SIZE[n] * first[n] as f64);
    Volume {
        data: Array3::from_shape_fn(shape, |(i, j, k)| {
            let [r, a, s] = anatomical([i, j, k]);
            intensity(r, a, s)
        }),
        geometry: Geometry::new(shape, Dimension::Three, Affine::from_parts(linear, origin)),
    }
}

/// One subject each in RAS, LAS, PIR and SAL order, and six more in RAS.
fn oriented_study(folder: &Path) {
    let ras = || stored([0, 1, 2], [false; 3]);
    save(folder, "ras.nii.gz", &ras());
    save(
        folder,
        "las.nii.gz",
        &stored([0, 1, 2], [true, false, false]),
    );
    save(
        folder,
        "pir.nii.gz",
        &stored([1, 2, 0], [true, true, false]),
    );
    save(
        folder,
        "sal.nii.gz",
        &stored([2, 1, 0], [false, false, true]),
    );
    for n in 0..6 {
        save(folder, &format!("more{n}.nii.gz"), &ras());
    }
}

const ALL: &str = "images = '@/{subject}.nii.gz'\nnormalize = { kind = 'none' }\n";

#[test]
fn a_slice_is_the_same_anatomy_in_any_axis_order() {
    let folder = tempfile::tempdir().unwrap();
    oriented_study(folder.path());
    // floor(fraction x voxels), counted to the superior, anterior, right; in-plane axes in RAS order.
    let cases: [(&str, Array2<f32>); 3] = [
        (
            "axial:0.3",
            Array2::from_shape_fn((5, 6), |(r, a)| intensity(r, a, 2)),
        ),
        (
            "coronal:0.5",
            Array2::from_shape_fn((5, 7), |(r, s)| intensity(r, 3, s)),
        ),
        (
            "sagittal:1",
            Array2::from_shape_fn((6, 7), |(a, s)| intensity(4, a, s)),
        ),
    ];
    for (slice, expected) in cases {
        let data = load(folder.path(), &format!("{ALL}slice = '{slice}'\n")).unwrap();
        assert_eq!(data.dimension(), Dimension::Two);
        for item in data.items() {
            assert_eq!(
                item.image.slice(s![.., .., 0]),
                expected,
                "{slice} of {}",
                item.id
            );
        }
    }
}

#[test]
fn a_slice_keeps_its_place_in_the_world() {
    let folder = tempfile::tempdir().unwrap();
    oriented_study(folder.path());
    let data = load(folder.path(), &format!("{ALL}slice = 'coronal:0.5'\n")).unwrap();
    for item in data.items() {
        let at = item
            .geometry
            .affine
            .to_world(VoxelPoint(Vector3::new(1.0, 2.0, 0.0)))
            .0;
        // Voxel (1, 3, 2) of the anatomy.
        assert!(
            (at - Vector3::new(-9.0, 24.5, 7.0)).norm() < 1e-5,
            "{}: {at}",
            item.id
        );
        assert!(
            (Vector3::from(item.geometry.spacing()) - Vector3::new(1.0, 2.0, 1.5)).norm() < 1e-5
        );
    }
}

#[test]
fn mixed_axis_orders_are_refused_or_turned() {
    let folder = tempfile::tempdir().unwrap();
    oriented_study(folder.path());
    let error = load(folder.path(), ALL).unwrap_err().to_string();
    assert!(error.contains("set orientation"), "{error}");
    let data = load(folder.path(), &format!("{ALL}orientation = 'RAS'\n")).unwrap();
    assert_eq!(data.shape(), ANATOMY);
    let expected = stored([0, 1, 2], [false; 3]).data;
    assert!(data.items().iter().all(|item| item.image == expected));
    assert_eq!(data.preprocessing().orientation.as_deref(), Some("RAS"));
    assert_eq!(data.preprocessing().spacing.as_ref().unwrap().len(), 3);
}

/// Two kinds of file of the same anatomy, whose grids are 2 voxels apart along the first axis.
fn shifted_study(folder: &Path) {
    let at = |i: usize, j: usize, k: usize| (1 + i * i + 7 * j + 50 * k) as f32;
    let near = image([8, 6, 5], Dimension::Three, |[i, j, k]| at(i, j, k));
    let mut far = image([8, 6, 5], Dimension::Three, |[i, j, k]| at(i + 2, j, k));
    let origin = Vector3::new(2.0, 0.0, 0.0);
    far.geometry.affine = Affine::from_parts(Matrix3::identity(), origin);
    let mut manifest = String::from("image,subject,split,landmarks\n");
    for (name, image, split) in [
        ("near", &near, "train"),
        ("far", &far, "train"),
        ("n2", &near, "test"),
        ("f2", &far, "test"),
    ] {
        save(folder, &format!("{name}.nii.gz"), image);
        manifest += &format!("{name}.nii.gz,{name},{split},points.csv\n");
    }
    // LPS; RAS (3, 4, 2).
    std::fs::write(folder.join("points.csv"), "x,y,z,name\n-3,-4,2,tip\n").unwrap();
    std::fs::write(folder.join("study.csv"), manifest).unwrap();
}

fn item(data: &Dataset, id: &str) -> usize {
    data.items().iter().position(|item| item.id == id).unwrap()
}

#[test]
fn headers_bring_the_moving_image_onto_the_fixed_grid() {
    let folder = tempfile::tempdir().unwrap();
    shifted_study(folder.path());
    let text = "manifest = '@/study.csv'\nnormalize = { kind = 'none' }\n";
    let data = load(folder.path(), text).unwrap();
    let (near, far) = (item(&data, "near"), item(&data, "far"));
    let pair = data.pair(near, far).unwrap();
    // The far grid begins at voxel 2 of the near one.
    assert_eq!(
        pair.moving.slice(s![2.., .., ..]),
        pair.fixed.slice(s![2.., .., ..])
    );
    assert!(pair.moving.slice(s![..2, .., ..]).iter().all(|&v| v == 0.0));
    let shared = data.landmarks(near, far).unwrap();
    assert_eq!(
        (shared.fixed[0].0, shared.moving[0].0),
        (Vector3::new(3.0, 4.0, 2.0), Vector3::new(3.0, 4.0, 2.0))
    );
}

#[test]
fn centres_leave_voxels_alone() {
    let folder = tempfile::tempdir().unwrap();
    shifted_study(folder.path());
    let text = "manifest = '@/study.csv'\nnormalize = { kind = 'none' }\nalign = 'centre'\n";
    let data = load(folder.path(), text).unwrap();
    let (near, far) = (item(&data, "near"), item(&data, "far"));
    assert_eq!(
        data.pair(near, far).unwrap().moving,
        data.items()[far].image
    );
    let shared = data.landmarks(near, far).unwrap();
    assert_eq!((shared.fixed[0].0.x, shared.moving[0].0.x), (3.0, 1.0));
}

#[test]
fn another_voxel_size_covers_the_same_box() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..10 {
        let ramp = image([8, 6, 1], Dimension::Two, |[i, j, _]| (10 * i + j) as f32);
        save(folder.path(), &format!("s{n}.nii"), &ramp);
    }
    let text = "images = '@/{subject}.nii'\nnormalize = { kind = 'none' }\nspacing = [2.0, 3.0]\n";
    let data = load(folder.path(), text).unwrap();
    assert_eq!(data.shape(), [4, 2, 1]);
    for ((i, j, _), &value) in data.items()[0].image.indexed_iter() {
        // The first new voxel covers old voxels 0 and 1, and 0 to 2: its centre is (0.5, 1).
        let expected = 10.0 * (0.5 + 2.0 * i as f32) + 1.0 + 3.0 * j as f32;
        assert!(
            (value - expected).abs() < 1e-4,
            "({i}, {j}): {value}, not {expected}"
        );
    }
}

#[test]
fn cropping_keeps_the_foreground_and_its_margin() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..10 {
        // A block of 3x4 voxels that lies elsewhere in each image, on a background of -5.
        let block = image([12, 14, 1], Dimension::Two, |[i, j, _]| {
            let inside = (n..n + 3).contains(&i) && (2..6).contains(&j);
            if inside { 3.0 + j as f32 } else { -5.0 }
        });
        save(folder.path(), &format!("s{n}.nii"), &block);
    }
    let text = "images = '@/{subject}.nii'\nnormalize = { kind = 'none' }\ncrop_foreground = 1\nalign = 'centre'\n";
    let data = load(folder.path(), text).unwrap();
    assert_eq!(data.shape(), [5, 6, 1]);
    // s0 lies at the border and has no margin there: 4x6, padded by a row of zeros after.
    let (first, middle) = (&data.items()[0].image, &data.items()[5].image);
    assert_eq!(middle[[1, 1, 0]], 5.0);
    assert_eq!([middle[[0, 0, 0]], middle[[4, 5, 0]]], [-5.0, -5.0]);
    assert_eq!(
        [first[[0, 1, 0]], first[[3, 1, 0]], first[[4, 1, 0]]],
        [5.0, -5.0, 0.0]
    );
}

#[test]
fn cropped_images_have_the_intensities_of_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..4 {
        // Tissue of 100 to 145 in a sixteenth of the image; percentile 96 of all voxels lies within it.
        let block = image([40, 40, 1], Dimension::Two, |[i, j, _]| {
            let inside = (15..25).contains(&i) && (15..25).contains(&j);
            if inside {
                100.0 + 5.0 * (j - 15) as f32
            } else {
                0.0
            }
        });
        save(folder.path(), &format!("s{n}.nii"), &block);
    }
    let text = "images = '@/{subject}.nii'\nnormalize = { kind = 'percentile', low = 0.0, high = 96.0 }\nalign = 'centre'\nsplit = [1.0, 0.0, 0.0]\n";
    let whole = load(folder.path(), text).unwrap();
    let cropped = load(folder.path(), &format!("{text}crop_foreground = 0\n")).unwrap();
    let tissue = |data: &hmorph::dataset::Dataset| {
        let voxels = data.items()[0].image.iter().copied();
        voxels.filter(|&v| v > 0.0).collect::<Vec<_>>()
    };
    assert_eq!(tissue(&cropped), tissue(&whole));
    assert!(tissue(&whole).iter().any(|&v| v < 0.9));
}

#[test]
fn slices_of_lpba40_are_those_of_its_2d_study() {
    let (Some(volumes), Some(slices)) = (scans("lpba40_1mm"), scans("lpba40_2d_axial")) else {
        return;
    };
    let study = |folder: &Path, extra: &str| {
        let text = "images = '@/images/{subject}.nii.gz'\nlabels = '@/labels/{subject}.nii.gz'\n\
                    normalize = { kind = 'none' }\n";
        load(folder, &format!("{text}{extra}")).unwrap()
    };
    // The 2-D set holds slice 80 of 160 of the volumes.
    let cut = study(&volumes, "slice = 'axial:0.5'\n");
    let flat = study(&slices, "");
    assert_eq!(cut.items().len(), 19);
    for item in cut.items() {
        let same = flat
            .items()
            .iter()
            .find(|other| other.id == item.id)
            .unwrap();
        assert_eq!(
            (&item.image, &item.labels),
            (&same.image, &same.labels),
            "{}",
            item.id
        );
    }
}

#[test]
fn freesurfer_folders_are_found_and_sliced() {
    let Some(folder) = scans("fs_mgz") else {
        return;
    };
    let text = "images = '@/{subject}/brainmask.mgz'\nlabels = '@/{subject}/aseg.mgz'\n\
                normalize = { kind = 'none' }\nslice = 'coronal:0.5'\nsplit = [1.0, 0.0, 0.0]\n";
    let data = load(&folder, text).unwrap();
    // nibabel: as_closest_canonical(load("brainmask.mgz")).dataobj[:, 128, :].sum(), likewise of
    // "aseg.mgz" == 2, the left white matter.
    for (subject, sum, white) in [("sub-01", 960_922.0, 1547), ("sub-02", 1_126_219.0, 1931)] {
        let item = data
            .items()
            .iter()
            .find(|item| item.subject == subject)
            .unwrap();
        assert_eq!(item.image.iter().map(|&v| f64::from(v)).sum::<f64>(), sum);
        let labels = item.labels.as_ref().unwrap();
        assert_eq!(labels.iter().filter(|&&label| label == 2).count(), white);
    }
}
