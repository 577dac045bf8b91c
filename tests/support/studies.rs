//! Small studies on disk for the tests of `dataset`.
#![allow(dead_code)] // Each test program uses a part.

use std::fs;
use std::path::Path;

use hmorph::dataset::{DataConfig, Dataset};
use hmorph::error::Result;
use hmorph::volume::{
    Affine, DType, Dimension, Geometry, Image, LabelMap, Volume, write_image, write_labels,
};
use ndarray::Array3;

/// Settings from TOML, in which `@` stands for the folder.
pub fn config(folder: &Path, text: &str) -> DataConfig {
    toml::from_str(&text.replace('@', &folder.display().to_string())).unwrap()
}

pub fn load(folder: &Path, text: &str) -> Result<Dataset> {
    Dataset::load(&config(folder, text), 1)
}

/// An image on the identity grid.
pub fn image(shape: [usize; 3], dimension: Dimension, value: impl Fn([usize; 3]) -> f32) -> Image {
    Volume {
        data: Array3::from_shape_fn(shape, |(i, j, k)| value([i, j, k])),
        geometry: Geometry::new(shape, dimension, Affine::identity()),
    }
}

pub fn save(folder: &Path, name: &str, image: &Image) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    write_image(path, image, DType::F32, "").unwrap();
}

pub fn save_labels(folder: &Path, name: &str, labels: &LabelMap) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    write_labels(path, labels, "").unwrap();
}

/// `n` subjects with one 2-D image `s*/t1.nii.gz` and label map `s*/seg.nii.gz` each.
pub fn small_study(folder: &Path, n: usize) {
    for s in 0..n {
        let picture = image([5, 6, 1], Dimension::Two, |[i, j, _]| {
            (s * 100 + i * 10 + j) as f32
        });
        let labels = Volume {
            data: picture.data.mapv(|v| (v as i32) % 3),
            geometry: picture.geometry.clone(),
        };
        save(folder, &format!("s{s}/t1.nii.gz"), &picture);
        save_labels(folder, &format!("s{s}/seg.nii.gz"), &labels);
    }
}

/// The patterns that find what `small_study` wrote.
pub const PATTERNS: &str = "images = '@/{subject}/t1.nii.gz'\nlabels = '@/{subject}/seg.nii.gz'\n";
