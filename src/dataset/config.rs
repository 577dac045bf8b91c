//! The `[data]` section: which images, which subjects train, and what the network gets to see.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::problems::Problems;
use super::slice::Slice;
use crate::synth::AugmentConfig;
use crate::volume::Dimension;
use crate::volume::intensity::Normalisation;

/// Real images and how pairs are made of them. Paths are relative to the working directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// CSV `image,label,subject,split,landmarks,id`, paths relative to it (no default; or `images`).
    pub manifest: Option<PathBuf>,
    /// Pattern such as `subjects/{subject}/mri/norm.mgz` (no default; or `manifest`).
    pub images: Option<String>,
    /// Pattern of the labels with captures of `images` (default: no labels).
    pub labels: Option<String>,
    /// Shares of subjects for training, validation and test (default [0.6, 0.2, 0.2]); a `split`
    /// column of the manifest goes before it.
    pub split: [f64; 3],
    /// Seed of the order of subjects (default 0); apart from the run's seed, so that repeated runs
    /// share their held-out subjects.
    pub split_seed: u64,
    /// Number of training subjects, the first of the seeded order (default: all).
    pub n_train: Option<usize>,
    /// `"between-subjects"` (default), `"any"`, `"atlas"` or `"listed"`.
    pub pairs: Pairs,
    /// Fixed image of every pair with `pairs = "atlas"`.
    pub atlas: Option<PathBuf>,
    /// Labels of the atlas (default: none).
    pub atlas_labels: Option<PathBuf>,
    /// CSV with the columns `fixed,moving` for `pairs = "listed"`: ids or paths (relative to it) of
    /// images of the study.
    pub pairs_file: Option<PathBuf>,
    /// Slice of each volume, `PLANE:FRACTION` such as `axial:0.5` (default: whole volumes).
    pub slice: Option<Slice>,
    /// How intensities are brought to one scale, from the voxels before padding (default: percentile 0.5 to 99.5).
    pub normalize: Normalisation,
    /// Axis directions that every volume is brought to, such as `RAS`, or `stored` for the order of
    /// the file (default: `RAS` for slices, else as stored, which must then be one for all).
    pub orientation: Option<String>,
    /// Voxel size in mm per axis, 2 or 3 numbers (default: as stored).
    pub spacing: Option<Vec<f64>>,
    /// How two images are brought together: `"header"` (default), `"centre"` or `"affine"` (each image is registered
    /// linearly once, to the atlas or else to an image of the first training subject of the seeded order).
    pub align: Align,
    /// Network grid in voxels, 2 or 3 numbers; images are padded or cropped about their centre
    /// (default: the smallest that holds every image). Rounded up to what the network can halve.
    pub shape: Option<Vec<usize>>,
    /// Crops to the voxels above the image's minimum and this margin in voxels (default: off); for
    /// skull-stripped or masked images.
    pub crop_foreground: Option<usize>,
    /// Random changes of training pairs (default: none); an empty table has small defaults.
    pub augment: Option<AugmentConfig>,
}

/// Which images meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pairs {
    /// Two images of two subjects of the same split.
    BetweenSubjects,
    /// Any two training images, also an image and itself, as VoxelMorph's generator draws them; held-out pairs are
    /// between subjects.
    Any,
    /// The atlas is fixed, an image of the split moves.
    Atlas,
    /// The pairs of a CSV file; those that are held out may be of one subject too.
    Listed,
}

impl Pairs {
    /// As settings write it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::BetweenSubjects => "between-subjects",
            Self::Any => "any",
            Self::Atlas => "atlas",
            Self::Listed => "listed",
        }
    }
}

/// How a moving image comes onto the grid of the fixed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Align {
    /// Through both affines.
    Header,
    /// Centre on centre, voxel by voxel, for data whose headers mean nothing.
    Centre,
    /// By a linear registration that starts from the headers and centres.
    Affine,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            manifest: None,
            images: None,
            labels: None,
            split: [0.6, 0.2, 0.2],
            split_seed: 0,
            n_train: None,
            pairs: Pairs::BetweenSubjects,
            atlas: None,
            atlas_labels: None,
            pairs_file: None,
            slice: None,
            normalize: Normalisation::default(),
            orientation: None,
            spacing: None,
            align: Align::Header,
            shape: None,
            crop_foreground: None,
            augment: None,
        }
    }
}

impl DataConfig {
    /// Notes every setting that cannot work, before any file is read.
    pub(super) fn check(&self, problems: &mut Problems) {
        self.check_sources(problems);
        self.check_split(problems);
        if let Some(augment) = &self.augment {
            problems.keep(augment.check());
            let powers = augment.gamma.prob > 0.0 && augment.gamma.log_sd > 0.0;
            let unit = matches!(
                self.normalize,
                Normalisation::MinMax {}
                    | Normalisation::Percentile { .. }
                    | Normalisation::HistogramMatch { .. }
            );
            if powers && !unit {
                problems.push(
                    "augment.gamma needs intensities from 0 to 1: normalize by min-max or percentile, or set augment.gamma.prob = 0",
                );
            }
        }
        let lengths = [
            ("shape", self.shape.as_ref().map(Vec::len)),
            ("spacing", self.spacing.as_ref().map(Vec::len)),
        ];
        for (name, length) in lengths {
            if let Some(length) = length.filter(|length| !(2..=3).contains(length)) {
                problems.push(format!("{name}: expected 2 or 3 numbers, found {length}"));
            }
        }
        if let Some(size) = self.shape.iter().flatten().find(|&&size| size < 2) {
            problems.push(format!(
                "shape: expected at least 2 voxels an axis, found {size}"
            ));
        }
        let wrong = |size: &&f64| !(**size > 0.0 && size.is_finite());
        if let Some(size) = self.spacing.iter().flatten().find(wrong) {
            problems.push(format!("spacing: expected sizes above 0 mm, found {size}"));
        }
    }

    fn check_sources(&self, problems: &mut Problems) {
        match (&self.manifest, &self.images) {
            (None, None) => {
                problems.push("no images: set manifest = \"FILE.csv\" or images = \"PATTERN\"")
            }
            (Some(_), Some(_)) => problems.push("manifest and images are both set; keep one"),
            (Some(_), None) if self.labels.is_some() => problems.push(
                "labels is a pattern for use with images; a manifest has its own label column",
            ),
            _ => {}
        }
        let needs = [
            (Pairs::Atlas, "atlas", &self.atlas),
            (Pairs::Atlas, "atlas_labels", &self.atlas_labels),
            (Pairs::Listed, "pairs_file", &self.pairs_file),
        ];
        for (rule, name, path) in needs {
            if path.is_some() && self.pairs != rule {
                let pairs = self.pairs.name();
                problems.push(format!("{name} is set, but pairs is \"{pairs}\""));
            }
            if path.is_none() && self.pairs == rule && name != "atlas_labels" {
                let pairs = rule.name();
                problems.push(format!("pairs is \"{pairs}\": set {name} = \"FILE\""));
            }
        }
    }

    fn check_split(&self, problems: &mut Problems) {
        let sum: f64 = self.split.iter().sum();
        if (sum - 1.0).abs() > 1e-6 || self.split.iter().any(|share| !(0.0..=1.0).contains(share)) {
            problems.push(format!(
                "split: expected three shares of the subjects that add up to 1, found {:?}",
                self.split
            ));
        }
        if self.n_train == Some(0) {
            problems.push("n_train: expected at least 1 subject, found 0");
        }
    }
}

/// A list of one value per axis as three values, `last` for the missing axis of 2-D grids.
pub(super) fn per_axis<T: Copy>(
    name: &str,
    values: &[T],
    dimension: Dimension,
    last: T,
) -> Result<[T; 3], String> {
    match (values, dimension) {
        ([i, j], Dimension::Two) => Ok([*i, *j, last]),
        ([i, j, k], Dimension::Three) => Ok([*i, *j, *k]),
        _ => Err(format!(
            "{name}: expected {} numbers, one per axis of the images, found {}",
            dimension.axes(),
            values.len()
        )),
    }
}
