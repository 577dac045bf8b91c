//! `align = "affine"`: the images of a study are registered linearly, each once.

use std::fs;
use std::path::Path;

use hmorph::dataset::Dataset;
use hmorph::volume::{Affine, Dimension, Geometry, Image, LabelMap, VoxelPoint};
use nalgebra::{Matrix4, Rotation3, Vector3};
use ndarray::{Array3, Zip};

use crate::studies::{load, save, save_labels};

/// Blobs without symmetry around the origin, some 30 mm wide.
fn scene(p: Vector3<f64>) -> f64 {
    let blob = |centre: [f64; 3], size: f64| {
        (-(p - Vector3::from(centre)).norm_squared() / (size * size)).exp()
    };
    blob([0.0; 3], 11.0) + blob([8.0, 4.0, -3.0], 6.0) - 0.7 * blob([-4.0, 7.0, 4.0], 5.0)
}

/// Where subject `n` has the scene: from the scene's world to the scan's.
fn map(n: usize) -> Matrix4<f64> {
    let (turn, zoom) = (0.1 * n as f64, 1.0 + 0.05 * n as f64);
    let linear = Rotation3::from_euler_angles(0.5 * turn, -turn, turn).into_inner() * zoom;
    Affine::from_parts(linear, Vector3::new(2.0, -3.0, 1.0) * n as f64).0
}

/// A voxel in which every scan of the study has the scene, in its own place.
fn scan(n: usize, size: f64) -> (Image, LabelMap) {
    let shape = [24, 22, 23];
    let linear = nalgebra::Matrix3::from_diagonal_element(size);
    let origin = Vector3::from(shape.map(|n| -size * (n as f64 - 1.0) / 2.0));
    let grid = Geometry::new(shape, Dimension::Three, Affine::from_parts(linear, origin));
    let back = map(n).try_inverse().unwrap() * grid.affine.0;
    let value = |(i, j, k): (usize, usize, usize)| {
        scene((back * Vector3::new(i as f64, j as f64, k as f64).push(1.0)).xyz())
    };
    let data = Array3::from_shape_fn(shape, |at| value(at) as f32);
    let labels = data.map(|&v| i32::from(v > 0.5));
    let geometry = grid.clone();
    (
        Image { data, geometry },
        LabelMap {
            data: labels,
            geometry: grid,
        },
    )
}

/// Landmarks of the scene in a scan, LPS mm.
fn landmarks(n: usize) -> String {
    let places = [[8.0, 4.0, -3.0], [-4.0, 7.0, 4.0], [0.0, -9.0, 2.0]];
    let rows = places.iter().enumerate().map(|(row, place)| {
        let there = map(n) * Vector3::from(*place).push(1.0);
        format!("{},{},{},p{row}\n", -there.x, -there.y, there.z)
    });
    format!("x,y,z,name\n{}", rows.collect::<String>())
}

/// A study of `count` scans, of which the first `train` train and the others test.
fn write_study(folder: &Path, count: usize, train: usize) {
    let mut list = "image,label,subject,split,landmarks\n".to_string();
    for n in 0..count {
        let (image, labels) = scan(n, 2.0);
        save(folder, &format!("s{n}.nii.gz"), &image);
        save_labels(folder, &format!("seg{n}.nii.gz"), &labels);
        fs::write(folder.join(format!("p{n}.csv")), landmarks(n)).unwrap();
        let split = if n < train { "train" } else { "test" };
        list += &format!("s{n}.nii.gz,seg{n}.nii.gz,s{n},{split},p{n}.csv\n");
    }
    fs::write(folder.join("study.csv"), list).unwrap();
}

#[test]
fn pairs_meet_through_their_maps_to_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    write_study(folder.path(), 4, 2);
    let settings = "manifest = '@/study.csv'\nsplit = [0.5, 0.0, 0.5]\n";
    let data = load(folder.path(), &format!("{settings}align = 'affine'\n")).unwrap();
    let apart = load(folder.path(), settings).unwrap();
    // The reference is one of the two that train.
    for (fixed, moving) in [(2, 3), (1, 2), (0, 3)] {
        let difference = |data: &Dataset| {
            let pair = data.pair(fixed, moving).unwrap();
            let labels = Zip::from(&pair.fixed_labels.unwrap())
                .and(&pair.moving_labels.unwrap())
                .fold(0, |other, f, m| other + usize::from(f != m));
            let voxels = (&pair.fixed - &pair.moving).mapv(f32::abs).mean().unwrap();
            (voxels, labels)
        };
        let (before, after) = (difference(&apart), difference(&data));
        assert!(after.0 < 0.4 * before.0, "{after:?} {before:?}");
        assert!(after.1 * 3 < before.1, "{after:?} {before:?}");
        // The fixed image stays as it is.
        assert_eq!(
            data.pair(fixed, moving).unwrap().fixed,
            apart.pair(fixed, moving).unwrap().fixed
        );
        let shared = data.landmarks(fixed, moving).unwrap();
        assert_eq!(shared.names, ["p0", "p1", "p2"]);
        for (VoxelPoint(f), VoxelPoint(m)) in shared.fixed.iter().zip(&shared.moving) {
            // Two maps, each found from a few thousand voxels.
            assert!((f - m).norm() < 1.0, "{f} {m}");
        }
    }
    let again = load(folder.path(), &format!("{settings}align = 'affine'\n")).unwrap();
    assert_eq!(
        again.pair(2, 3).unwrap().moving,
        data.pair(2, 3).unwrap().moving
    );
}

#[test]
fn held_out_pairs_meet_alike_however_many_subjects_train() {
    let folder = tempfile::tempdir().unwrap();
    write_study(folder.path(), 5, 3);
    let with =
        |more: &str| load(folder.path(), &format!("manifest = '@/study.csv'\n{more}")).unwrap();
    let place = |data: &Dataset, subject: &str| {
        let mut items = data.items().iter();
        items.position(|item| item.subject == subject)
    };
    // An order in which the first of the list is not among the two that train.
    let without_first = |seed: &u64| {
        let data = with(&format!("n_train = 2\nsplit_seed = {seed}\n"));
        place(&data, "s0").is_none()
    };
    let seed = (0..50).find(without_first).unwrap();
    let moving = |more: &str| {
        let data = with(&format!("split_seed = {seed}\nalign = 'affine'\n{more}"));
        let [fixed, moving] = ["s3", "s4"].map(|subject| place(&data, subject).unwrap());
        data.pair(fixed, moving).unwrap().moving
    };
    assert_eq!(moving("n_train = 2\n"), moving(""));
}
