//! Phantoms and models for the tests of the command line.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use burn::tensor::Device;
use hmorph::dataset::Align;
use hmorph::model::{Model, ModelCard, ModelConfig, TransformKind, WeightsFile};
use hmorph::volume::intensity::Normalisation;
use hmorph::volume::{
    Affine, DType, Dimension, Geometry, Image, LabelMap, VoxelPoint, write_image, write_labels,
};
use nalgebra::{Matrix3, Rotation3, Vector3};
use ndarray::Array3;
use tempfile::TempDir;

/// The program with two threads.
pub fn hmorph() -> Command {
    let mut command = Command::cargo_bin("hmorph").unwrap();
    command.args(["--threads", "2"]);
    // Where it is unset, drivers of displays say so on stderr, whose lines tests count.
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        command.env("XDG_RUNTIME_DIR", std::env::temp_dir());
    }
    command
}

/// `hmorph register` of a fixed and a moving image by the model alone, ready for more arguments.
pub fn register([fixed, moving]: [&Path; 2], model: &Path, out: &Path) -> Command {
    let mut command = hmorph();
    command.arg("register").args([fixed, moving]);
    command.arg("--model").arg(model).arg("-o").arg(out);
    command.args(["--linear", "none", "--refine", "0"]);
    command
}

/// Runs a command that must fail with exit code 1 and one line on stderr; the line.
pub fn one_line_error(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.trim_end().lines().count(), 1, "{text}");
    text
}

/// Runs a subcommand in the folder of the test, which must say `part` in one line and write nothing.
pub fn refused(bench: &Bench, command: &str, arguments: &str, part: &str) {
    let before = bench.names();
    let mut hmorph = hmorph();
    hmorph
        .current_dir(bench.folder.path())
        .arg(command)
        .args(arguments.split_whitespace());
    let error = one_line_error(&mut hmorph);
    assert!(error.contains(part), "{arguments}: {error}");
    assert_eq!(bench.names(), before, "{arguments}");
}

/// A folder for one test.
pub struct Bench {
    pub folder: TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn image(&self, name: &str, image: &Image) -> PathBuf {
        let path = self.path(name);
        write_image(&path, image, DType::F32, "test").unwrap();
        path
    }

    pub fn labels(&self, name: &str, labels: &LabelMap) -> PathBuf {
        let path = self.path(name);
        write_labels(&path, labels, "test").unwrap();
        path
    }

    /// Everything in the folder, hidden files too.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

/// A grid whose axes follow the columns of `axes` (world directions), turned by a few degrees, centred at `centre`.
pub fn grid(
    shape: [usize; 3],
    spacing: [f64; 3],
    axes: Matrix3<f64>,
    centre: [f64; 3],
) -> Geometry {
    let turn = Rotation3::from_euler_angles(0.12, -0.2, 0.3);
    let linear = turn.matrix() * axes * Matrix3::from_diagonal(&Vector3::from(spacing));
    let middle = linear * Vector3::from(shape.map(|n| (n as f64 - 1.0) / 2.0));
    let origin = Vector3::from(centre) - middle;
    Geometry::new(shape, Dimension::Three, Affine::from_parts(linear, origin))
}

/// Axes to the left, posterior and superior.
pub fn lps() -> Matrix3<f64> {
    Matrix3::from_diagonal(&Vector3::new(-1.0, -1.0, 1.0))
}

/// Axes to anterior, superior and right.
pub fn asr() -> Matrix3<f64> {
    Matrix3::new(0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
}

pub fn world(grid: &Geometry, voxel: [usize; 3]) -> Vector3<f64> {
    grid.affine
        .to_world(VoxelPoint(Vector3::from(voxel.map(|v| v as f64))))
        .0
}

/// An image that takes its values from the world.
pub fn painted(grid: &Geometry, value: impl Fn(Vector3<f64>) -> f64) -> Image {
    let data = Array3::from_shape_fn(grid.shape, |(i, j, k)| value(world(grid, [i, j, k])) as f32);
    Image {
        data,
        geometry: grid.clone(),
    }
}

/// Linear in the world, so that linear interpolation is exact; no symmetry.
pub fn ramp(place: Vector3<f64>) -> f64 {
    500.0 + 3.0 * place.x + 5.0 * place.y - 2.0 * place.z
}

/// Blocks of labels 1..4, a different one in each quarter of the x-y plane.
pub fn quarters(grid: &Geometry) -> LabelMap {
    let label = |place: Vector3<f64>| 1 + i32::from(place.x > 0.0) + 2 * i32::from(place.y > 0.0);
    let data = Array3::from_shape_fn(grid.shape, |(i, j, k)| label(world(grid, [i, j, k])));
    LabelMap {
        data,
        geometry: grid.clone(),
    }
}

/// What the test model's card says.
pub struct Card {
    pub dimension: Dimension,
    pub orientation: Option<&'static str>,
    pub spacing: Option<[f64; 3]>,
    pub align: Align,
}

impl Default for Card {
    fn default() -> Self {
        Self {
            dimension: Dimension::Three,
            orientation: None,
            spacing: None,
            align: Align::Header,
        }
    }
}

/// A model that predicts the same displacement (network voxels) everywhere: zero weights, `shift` as bias.
pub fn constant_model(path: &Path, card: &Card, shift: &[f32]) {
    let config = ModelConfig {
        dimension: card.dimension,
        encoder_features: vec![2, 2],
        decoder_features: vec![2, 2, 2],
        transform: TransformKind::Displacement,
        flow_std: 0.0,
        ..ModelConfig::default()
    };
    let model = Model::new(&config, 0, &Device::flex()).unwrap();
    let card = ModelCard {
        config,
        shape: Some([16; 3]),
        spacing: card.spacing,
        orientation: card.orientation.map(String::from),
        align: card.align,
        normalize: Normalisation::MinMax {},
        reference_quantiles: Vec::new(),
        licence: "MIT".into(),
        provenance: "test".into(),
    };
    let mut weights = WeightsFile::of(&model, card);
    let (_, bias) = weights.tensors.get_mut("flow.bias").unwrap();
    bias.copy_from_slice(shift);
    weights.write(path).unwrap();
}
