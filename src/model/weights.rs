//! Weights files: one safetensors file that holds a model and all that is needed to use it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::{Deserialize, Serialize};

use super::{Model, ModelConfig};
use crate::dataset::Align;
use crate::error::{Error, Result};
use crate::volume::intensity::{Normalisation, Normaliser};
use crate::volume::io::write_atomically;

/// Marks our files and their version in the metadata.
const FORMAT: &str = "hmorph-weights/1";

/// What travels with the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    pub config: ModelConfig,
    /// Training grid in voxels, `(i, j, k)`; other sizes work as well. `None` where it is not known.
    pub shape: Option<[usize; 3]>,
    /// Voxel size of the training images in mm along `(i, j, k)`; `None` where it means nothing.
    pub spacing: Option<[f64; 3]>,
    /// Axis codes of the training images, such as `RAS`; `None` where they mean nothing.
    pub orientation: Option<String>,
    /// How two images were brought together in training.
    pub align: Align,
    pub normalize: Normalisation,
    /// What `normalize` took from a reference image (see [`Normaliser`]); empty for kinds that have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reference_quantiles: Vec<f32>,
    /// What the training images allow.
    pub licence: String,
    /// What the weights were trained on, by which version, for how many steps.
    pub provenance: String,
}

/// The content of a weights file.
#[derive(Debug, Clone)]
pub struct WeightsFile {
    pub card: ModelCard,
    /// Values and shape by parameter name.
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl WeightsFile {
    /// The weights of a model.
    pub fn of(model: &Model, card: ModelCard) -> Self {
        let read = |tensor: TensorData| {
            let shape = tensor.shape().to_vec();
            let values = tensor
                .try_to_vec::<f32>()
                .expect("parameters are 32-bit floats");
            (shape, values)
        };
        let mut tensors = BTreeMap::new();
        for (path, block) in model.blocks() {
            tensors.insert(
                format!("{path}.weight"),
                read(block.weight.val().into_data()),
            );
            tensors.insert(format!("{path}.bias"), read(block.bias.val().into_data()));
        }
        Self { card, tensors }
    }

    /// The model on `device`.
    ///
    /// # Errors
    /// Names every parameter that is missing, unknown or of another shape.
    pub fn model(&self, device: &Device) -> Result<Model> {
        let mut model = Model::new(&self.card.config, 0, device)?;
        self.check(&model)?;
        for (path, block) in model.blocks_mut() {
            let weight = self.tensor(&format!("{path}.weight"), device);
            let bias = self.tensor(&format!("{path}.bias"), device);
            block.weight = Param::initialized(block.weight.id, weight);
            block.bias = Param::initialized(block.bias.id, bias);
        }
        Ok(model)
    }

    /// Reads a weights file.
    ///
    /// # Errors
    /// A file that is no safetensors file, was not written by hmorph, or does not describe a model.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        Self::from_bytes(&bytes).map_err(|problem| Error::file(path, problem))
    }

    /// Reads the bytes of a weights file; the error is the problem without the file's name.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let no_safetensors = |e| format!("not a weights file: no safetensors content ({e})");
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(no_safetensors)?;
        let file = SafeTensors::deserialize(bytes).map_err(no_safetensors)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        match metadata.get("format").map(String::as_str) {
            Some(FORMAT) => {}
            Some(other) => {
                return Err(format!(
                    "weights format {other:?}; this program reads {FORMAT:?}"
                ));
            }
            None => {
                return Err(format!(
                    "safetensors file without hmorph's metadata (format = {FORMAT:?}); \
                     expected weights written by hmorph train"
                ));
            }
        }
        let card = metadata
            .get("card")
            .ok_or("the metadata has no model card (key \"card\")")?;
        let card =
            serde_json::from_str(card).map_err(|e| format!("the model card is broken: {e}"))?;
        let tensors = file
            .iter()
            .map(|(name, view)| {
                let values = floats(&view).map_err(|e| format!("tensor {name}: {e}"))?;
                Ok((name.to_string(), (view.shape().to_vec(), values)))
            })
            .collect::<Result<_, String>>()?;
        Ok(Self { card, tensors })
    }

    /// Writes the file under a temporary name and renames it.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.store(path, Dtype::F32, |values| {
            values.iter().flat_map(|v| v.to_le_bytes()).collect()
        })
    }

    /// The same at half the size: values are rounded to the 11 bits of a half-precision number.
    pub fn write_half(&self, path: &Path) -> Result<()> {
        self.store(path, Dtype::F16, |values| {
            let halves = values.iter().map(|&v| half::f16::from_f32(v));
            halves.flat_map(half::f16::to_le_bytes).collect()
        })
    }

    fn store(&self, path: &Path, dtype: Dtype, encode: impl Fn(&[f32]) -> Vec<u8>) -> Result<()> {
        let bytes: Vec<(&String, Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, (_, values))| (name, encode(values)))
            .collect();
        let views = bytes.iter().map(|(name, data)| {
            let shape = self.tensors[*name].0.clone();
            let view =
                TensorView::new(dtype, shape, data).expect("as many bytes as the shape says");
            (name.as_str(), view)
        });
        let content = serialize(views, None).map_err(|e| Error::file(path, e.to_string()))?;
        let content = with_metadata(&content, &self.card);
        write_atomically(path, |file| file.write_all(&content))
    }

    /// The first parameter with a value that is not finite.
    pub fn not_finite(&self) -> Option<&str> {
        let broken = |(_, values): &(Vec<usize>, Vec<f32>)| values.iter().any(|v| !v.is_finite());
        let found = self.tensors.iter().find(|(_, tensor)| broken(tensor));
        found.map(|(name, _)| name.as_str())
    }

    /// CRC-32 of names and values, to tell weights apart.
    pub fn checksum(&self) -> u32 {
        let mut crc = flate2::Crc::new();
        for (name, (_, values)) in &self.tensors {
            crc.update(name.as_bytes());
            for value in values {
                crc.update(&value.to_le_bytes());
            }
        }
        crc.sum()
    }

    fn check(&self, model: &Model) -> Result<()> {
        let mut expected: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (path, block) in model.blocks() {
            expected.insert(format!("{path}.weight"), block.weight.dims().to_vec());
            expected.insert(format!("{path}.bias"), block.bias.dims().to_vec());
        }
        let mut problems = Vec::new();
        for (name, shape) in &expected {
            match self.tensors.get(name) {
                None => problems.push(format!("{name} is missing")),
                Some((found, _)) if found != shape => {
                    problems.push(format!("{name} has shape {found:?}, expected {shape:?}"));
                }
                Some(_) => {}
            }
        }
        for name in self.tensors.keys().filter(|n| !expected.contains_key(*n)) {
            problems.push(format!("{name} is unknown"));
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the weights do not fit their model: {}",
            problems.join("; ")
        )))
    }

    fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        let (shape, values) = &self.tensors[name];
        let tensor = Tensor::from_data(TensorData::new(values.clone(), shape.clone()), device);
        if device.is_autodiff() {
            tensor.require_grad()
        } else {
            tensor
        }
    }
}

impl ModelCard {
    /// How intensities were brought to a common scale in training, without need of a reference image.
    ///
    /// # Errors
    /// Settings out of order; a reference image that the card names but holds nothing of, and that cannot be read.
    pub fn normaliser(&self) -> Result<Normaliser> {
        match self.reference_quantiles.is_empty() {
            true => self.normalize.prepare(),
            false => Ok(Normaliser {
                normalisation: self.normalize.clone(),
                reference_quantiles: self.reference_quantiles.clone(),
            }),
        }
    }

    fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a card has no map with keys other than text")
    }
}

/// safetensors content with the card and the format's name in its header.
///
/// The library takes metadata as a hash map, which comes out in another order every time; equal weights must be equal
/// files.
fn with_metadata(content: &[u8], card: &ModelCard) -> Vec<u8> {
    let (length, rest) = content.split_at(8);
    let length = u64::from_le_bytes(length.try_into().expect("8 bytes"));
    let (header, tensors) = rest.split_at(length as usize);
    let header = std::str::from_utf8(header).expect("a header is JSON");
    let metadata = serde_json::json!({ "card": card.to_json(), "format": FORMAT });
    let tensor_list = header.trim_end().trim_start_matches('{');
    let mut header = format!("{{\"__metadata__\":{metadata},{tensor_list}");
    // Tensors begin at a multiple of 8 bytes.
    let padded = header.len().next_multiple_of(8);
    header.extend(std::iter::repeat_n(' ', padded - header.len()));
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(tensors);
    out
}

/// The values of a tensor stored in single or half precision.
fn floats(view: &TensorView) -> Result<Vec<f32>, String> {
    let data = view.data();
    match view.dtype() {
        Dtype::F32 => Ok(data
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect()),
        Dtype::F16 => Ok(data
            .as_chunks::<2>()
            .0
            .iter()
            .map(|b| half::f16::from_le_bytes(*b).to_f32())
            .collect()),
        other => Err(format!("type {other:?}; expected F32 or F16")),
    }
}
