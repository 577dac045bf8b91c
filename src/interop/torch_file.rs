//! Networks for VoxelMorph's PyTorch code: the file that `VxmDense.load` reads, or the state dict as safetensors.

use std::io::{Cursor, Write};
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::json;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::network::SLOPE;
use super::pickle::{Object, pickle};
use crate::error::{Error, Result};
use crate::model::{ModelCard, ModelConfig, TransformKind, WeightsFile};
use crate::nn::Encoder;
use crate::ops::Border;
use crate::volume::{Dimension, write_atomically};

/// Folder inside the archive, whose name PyTorch does not look at.
const FOLDER: &str = "archive";

/// A network in VoxelMorph's names and shapes.
#[derive(Debug)]
pub struct Exported {
    /// Arguments of `VxmDense`.
    config: Object,
    /// Name, shape and values of each parameter; 2-D weights have rank 4.
    state: Vec<(String, Vec<usize>, Vec<f32>)>,
    /// How the network behaves differently there.
    pub notes: Vec<String>,
}

/// Makes a network for `voxelmorph.torch.networks.VxmDense`, whose grid has the size `shape` (voxels, `(i, j, k)`).
///
/// # Errors
/// A network that `VxmDense` cannot hold; a size that is not known, or that its levels do not divide.
pub fn export(weights: &WeightsFile, shape: Option<[usize; 3]>) -> Result<Exported> {
    let card = &weights.card;
    let config = &card.config;
    check(config)?;
    let Some(shape) = shape.or(card.shape) else {
        return Err(Error::invalid(
            "the model does not say on which grid it was trained, and VxmDense has a fixed one; give it by --shape",
        ));
    };
    check_shape(config, shape)?;
    let mut notes = vec![preprocessing(card)];
    if config.border == Border::Edge {
        notes.push(
            "VxmDense of PyTorch takes zeros outside an image, this model the nearest voxel: results differ near the edge"
                .into(),
        );
    }
    let state = weights.tensors.iter().map(|(name, (shape, values))| {
        let mut shape = shape.clone();
        if config.dimension == Dimension::Two && shape.len() == 5 {
            shape.remove(2);
        }
        (theirs(name), shape, values.clone())
    });
    Ok(Exported {
        config: arguments(config, shape),
        state: state.collect(),
        notes,
    })
}

fn check(config: &ModelConfig) -> Result<()> {
    let problem = if config.encoder == Encoder::Strided {
        "its encoder is strided; VxmDense has max-pooling only".to_string()
    } else if config.out_downsize > 2 || config.out_downsize == 2 && config.int_downsize != 2 {
        format!(
            "its output is {} times coarser than the image and the velocity {} times; VxmDense halves both or none",
            config.out_downsize, config.int_downsize
        )
    } else if config.slope != SLOPE {
        format!(
            "its LeakyReLU has slope {}; that of VxmDense has {SLOPE}",
            config.slope
        )
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!(
        "VxmDense cannot hold this network: {problem}"
    )))
}

/// Where the levels do not divide a size, the halves and doubles of an axis do not meet.
fn check_shape(config: &ModelConfig, shape: [usize; 3]) -> Result<()> {
    let axes = config.dimension.axes();
    // The last of the tensor's axes are those of the image.
    let factor = &config.size_factor()[3 - axes..];
    let fitting: Vec<usize> = shape
        .iter()
        .zip(factor)
        .map(|(size, &factor)| size.next_multiple_of(factor))
        .collect();
    if fitting == shape[..axes] {
        return Ok(());
    }
    let text = |sizes: &[usize]| {
        let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
        sizes.join(",")
    };
    Err(Error::invalid(format!(
        "VxmDense with these levels needs multiples of {} along each axis, found {}; pad the images and give --shape {}",
        factor[0],
        text(&shape[..axes]),
        text(&fitting)
    )))
}

/// What the model's card says of its images, which `VxmDense` takes as they are.
fn preprocessing(card: &ModelCard) -> String {
    let (normalize, align) = (json!(card.normalize), json!(card.align));
    let mut steps = vec![
        format!(
            "normalisation {}",
            normalize["kind"].as_str().unwrap_or_default()
        ),
        format!("alignment by {}", align.as_str().unwrap_or_default()),
    ];
    if let Some(codes) = &card.orientation {
        steps.push(format!("orientation {codes}"));
    }
    if let Some([i, j, k]) = card.spacing {
        steps.push(format!("voxels of {i} x {j} x {k} mm"));
    }
    format!(
        "VoxelMorph's code takes images as they are; bring them to what this model was trained on (hmorph info MODEL): {}",
        steps.join(", ")
    )
}

/// Our `encoder.0.weight` is their `unet_model.encoder.0.0.main.weight`.
fn theirs(name: &str) -> String {
    match name.split('.').collect::<Vec<_>>()[..] {
        ["last", n, kind] => format!("unet_model.remaining.{n}.main.{kind}"),
        [part @ ("encoder" | "decoder"), n, kind] => format!("unet_model.{part}.{n}.0.main.{kind}"),
        _ => name.to_string(),
    }
}

fn arguments(config: &ModelConfig, shape: [usize; 3]) -> Object {
    let list =
        |numbers: &[usize]| Object::List(numbers.iter().map(|&n| Object::Int(n as i32)).collect());
    let (steps, downsize) = match config.transform {
        TransformKind::Displacement => (0, 1),
        TransformKind::Velocity => (config.int_steps, config.int_downsize),
    };
    let features = [&config.encoder_features, &config.decoder_features];
    Object::Dict(vec![
        ("inshape", list(&shape[..config.dimension.axes()])),
        (
            "nb_unet_features",
            Object::List(features.map(|part| list(part)).to_vec()),
        ),
        ("nb_unet_levels", Object::None),
        ("int_steps", Object::Int(steps as i32)),
        ("int_downsize", Object::Int(downsize as i32)),
        ("unet_half_res", Object::Bool(config.out_downsize == 2)),
        ("bidir", Object::Bool(config.bidirectional)),
    ])
}

impl Exported {
    /// Writes a PyTorch checkpoint, or the state dict alone where the name ends in `.safetensors`.
    pub fn write(&self, path: &Path) -> Result<()> {
        let content = match path.extension().and_then(|s| s.to_str()) {
            Some("safetensors") => self.safetensors(),
            Some("pt" | "pth") => self.checkpoint(),
            _ => Err("expected a name that ends in .pt, .pth or .safetensors".into()),
        };
        let content = content.map_err(|problem| Error::file(path, problem))?;
        write_atomically(path, |file| file.write_all(&content))
    }

    fn safetensors(&self) -> Result<Vec<u8>, String> {
        let bytes: Vec<Vec<u8>> = self
            .state
            .iter()
            .map(|(.., values)| little_endian(values))
            .collect();
        let views = self
            .state
            .iter()
            .zip(&bytes)
            .map(|((name, shape, _), data)| {
                let view = TensorView::new(Dtype::F32, shape.clone(), data);
                (
                    name.as_str(),
                    view.expect("as many bytes as the shape says"),
                )
            });
        serialize(views, None).map_err(|error| error.to_string())
    }

    /// The zip archive of `torch.save`: the pickled object, and the values of each tensor in a file.
    fn checkpoint(&self) -> Result<Vec<u8>, String> {
        let shapes = self
            .state
            .iter()
            .map(|(name, shape, _)| (name.clone(), shape.clone()));
        let content = Object::Dict(vec![
            ("config", self.config.clone()),
            ("model_state", Object::Tensors(shapes.collect())),
        ]);
        let mut files = vec![
            ("data.pkl".to_string(), pickle(&content)),
            ("byteorder".to_string(), b"little".to_vec()),
        ];
        for (n, (.., values)) in self.state.iter().enumerate() {
            files.push((format!("data/{n}"), little_endian(values)));
        }
        files.push(("version".to_string(), b"3\n".to_vec()));
        archive(&files).map_err(|error| error.to_string())
    }
}

/// PyTorch maps the files into memory, so they are not compressed.
fn archive(files: &[(String, Vec<u8>)]) -> std::io::Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, content) in files {
        zip.start_file(format!("{FOLDER}/{name}"), options)?;
        zip.write_all(content)?;
    }
    Ok(zip.finish()?.into_inner())
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}
