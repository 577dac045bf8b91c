//! Keras `.h5` files of VoxelMorph's TensorFlow code.
//!
//! A group a layer, in which `kernel:0` is `[h, w, in, out]` or `[d, h, w, in, out]` and `bias:0` is `[out]`; layers
//! without weights have empty groups. A whole model has its layers below `model_weights`, and an attribute
//! `model_config` (JSON).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hdf5_pure::{Dataset, File, Group};
use ndarray::ArrayD;
use regex::Regex;
use serde_json::Value;

use super::family;
use super::network::{ForeignNetwork, Integration, Layer, Place, array};
use crate::nn::Encoder;
use crate::ops::Border;

/// Deeper nested groups are no Keras model.
const DEPTH: usize = 12;
/// Groups of a whole model that do not belong to the network.
const BESIDE: &[&str] = &["optimizer_weights", "top_level_model_weights"];

/// Reads a weights file or a whole model; the error is the problem without the file's name.
pub fn read(path: &Path) -> Result<ForeignNetwork, String> {
    let file = open(path)?;
    let root = file.root();
    let attributes = root.attrs().map_err(broken)?;
    let text = |name: &str| attributes.get(name).and_then(|value| value.as_str());
    let settings = text("model_config").and_then(|json| serde_json::from_str(json).ok());
    let mut content = Content::default();
    content.collect(&root, "", 0)?;
    let mut notes = Vec::new();
    let layers = places(&content, &mut notes)?;
    let version = text("keras_version").map_or(String::new(), |version| format!(" {version}"));
    Ok(ForeignNetwork {
        layers,
        encoder: Encoder::MaxPool,
        integration: integration(&content.groups, settings.as_ref()),
        bidirectional: content.has("neg_flow"),
        border: border(settings.as_ref()),
        shape: setting(settings.as_ref(), "inshape").and_then(numbers),
        source: format!("VoxelMorph weights of Keras{version}"),
        notes,
    })
}

/// Whether an HDF5 file has the groups of a Keras model rather than, say, a transform of ITK.
pub fn holds_layers(path: &Path) -> bool {
    let marks = |file: File| {
        let attributes = file.root().attrs().ok()?;
        let keras =
            attributes.contains_key("layer_names") || attributes.contains_key("keras_version");
        Some(keras || file.root().group("model_weights").is_ok())
    };
    open(path).ok().and_then(marks).unwrap_or(false)
}

fn open(path: &Path) -> Result<File, String> {
    File::open_streaming(path).map_err(|error| format!("not a readable HDF5 file ({error})"))
}

fn broken(error: hdf5_pure::Error) -> String {
    format!("the HDF5 file is broken ({error})")
}

/// The groups and datasets of a file.
#[derive(Default)]
struct Content {
    /// Names of all groups: those of all layers are among them.
    groups: BTreeSet<String>,
    /// Datasets by the group that holds them, and by name without `:0`.
    datasets: BTreeMap<String, BTreeMap<String, Dataset>>,
}

impl Content {
    fn collect(&mut self, group: &Group, name: &str, depth: usize) -> Result<(), String> {
        if depth > DEPTH {
            return Err(format!(
                "groups nested more than {DEPTH} deep; no Keras model"
            ));
        }
        for dataset in group.datasets().map_err(broken)? {
            let short = dataset.split(':').next().unwrap_or_default().to_string();
            let handle = group.dataset(&dataset).map_err(broken)?;
            let known = self.datasets.entry(name.to_string()).or_default();
            if known.insert(short, handle).is_some() {
                return Err(format!("two layers have the name {name:?}"));
            }
        }
        for inner in group.groups().map_err(broken)? {
            if BESIDE.contains(&inner.as_str()) {
                continue;
            }
            self.collect(&group.group(&inner).map_err(broken)?, &inner, depth + 1)?;
            self.groups.insert(inner);
        }
        Ok(())
    }

    /// Whether there is a layer whose name ends so.
    fn has(&self, ending: &str) -> bool {
        self.groups.iter().any(|group| ends_with(group, ending))
    }
}

/// The layer's name after the prefix that the user's name of the model gives.
fn ends_with(name: &str, ending: &str) -> bool {
    name.strip_suffix(ending)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
}

fn places(content: &Content, notes: &mut Vec<String>) -> Result<BTreeMap<Place, Layer>, String> {
    let mut groups = content.groups.iter();
    if let Some((group, family)) = groups.find_map(|group| Some((group, family::keras(group)?))) {
        return Err(family::refusal("layer", group, Some(family)));
    }
    let levels = content
        .datasets
        .keys()
        .filter(|name| matches!(part(name), Some(Part::Encoder(_))))
        .count();
    let mut layers = BTreeMap::new();
    for (name, datasets) in &content.datasets {
        let place = match part(name) {
            Some(Part::Encoder(level)) => Place::Encoder(level),
            Some(Part::Decoder(level)) if level < levels => Place::Decoder(levels - 1 - level),
            Some(Part::Last(n)) => Place::Last(n),
            Some(Part::Flow) => Place::Flow,
            Some(Part::Uncertainty) => {
                notes.push(format!(
                    "layer {name:?} (the variance of a probabilistic network) is left out: the mean is used"
                ));
                continue;
            }
            _ => return Err(family::refusal("layer", name, None)),
        };
        if layers.insert(place, layer(name, datasets)?).is_some() {
            return Err(format!(
                "layer {name:?} is there twice, with different prefixes; expected one network"
            ));
        }
    }
    if layers.is_empty() {
        return Err("no layers with weights; expected the weights of a Keras model".into());
    }
    Ok(layers)
}

/// The part of a layer in VoxelMorph's naming; levels count from full resolution.
enum Part {
    Encoder(usize),
    Decoder(usize),
    Last(usize),
    Flow,
    Uncertainty,
}

fn part(name: &str) -> Option<Part> {
    let number = |pattern: &str| -> Option<usize> {
        let regex = Regex::new(pattern).expect("a valid pattern");
        regex.captures(name)?[1].parse().ok()
    };
    let level = || {
        let encoder = number(r"(?:^|_)enc_conv_(\d+)_0$").map(Part::Encoder);
        let decoder = || number(r"(?:^|_)dec_conv_(\d+)_0$").map(Part::Decoder);
        encoder
            .or_else(decoder)
            .or_else(|| number(r"(?:^|_)dec_final_conv_(\d+)$").map(Part::Last))
    };
    match name {
        _ if ends_with(name, "log_sigma") => Some(Part::Uncertainty),
        _ if ends_with(name, "flow") && !ends_with(name, "neg_flow") => Some(Part::Flow),
        _ => level(),
    }
}

fn layer(name: &str, datasets: &BTreeMap<String, Dataset>) -> Result<Layer, String> {
    if let Some(other) = datasets.keys().find(|n| *n != "kernel" && *n != "bias") {
        return Err(format!(
            "layer {name:?} has weights named {other:?}; expected kernel and bias alone"
        ));
    }
    let read = |part: &str| {
        let missing = || format!("layer {name:?} has no {part}");
        values(datasets.get(part).ok_or_else(missing)?)
            .map_err(|problem| format!("layer {name:?}, {part}: {problem}"))
    };
    let (kernel, bias) = (read("kernel")?, read("bias")?);
    if kernel.ndim() < 3 || bias.ndim() != 1 {
        return Err(format!(
            "layer {name:?} has a kernel of shape {:?} and a bias of shape {:?}; expected those of a convolution",
            kernel.shape(),
            bias.shape()
        ));
    }
    // [.., in, out] to [out, in, ..]
    let axes = kernel.ndim();
    let order: Vec<usize> = [axes - 1, axes - 2]
        .into_iter()
        .chain(0..axes - 2)
        .collect();
    Ok(Layer {
        name: name.to_string(),
        weight: kernel.permuted_axes(order),
        bias: bias.into_iter().collect(),
    })
}

fn values(dataset: &Dataset) -> Result<ArrayD<f32>, String> {
    let shape = dataset.shape().map_err(broken)?;
    let shape = shape.into_iter().map(|n| n as usize).collect();
    array(shape, dataset.read_f32().map_err(broken)?)
}

/// Integration shows in the names of layers without weights; its settings only in the configuration of a whole model.
fn integration(groups: &BTreeSet<String>, settings: Option<&Value>) -> Integration {
    let has = |ending: &str| groups.iter().any(|group| ends_with(group, ending));
    let count = |key: &str| {
        let value = setting(settings, key)?.as_u64()?;
        usize::try_from(value).ok()
    };
    if !has("flow_int") {
        return Integration::No;
    }
    Integration::Yes {
        steps: count("int_steps"),
        downsize: if has("diffflow") {
            count("int_downsize").or_else(|| count("int_resolution"))
        } else {
            Some(1)
        },
    }
}

/// TensorFlow's transformer takes the nearest voxel outside an image unless it is told a value.
fn border(settings: Option<&Value>) -> Border {
    match setting(settings, "fill_value") {
        Some(_) => Border::Zeros,
        None => Border::Edge,
    }
}

/// A setting that is not null, wherever it stands: in the configuration of VxmDense, or in that of a layer.
fn setting<'a>(settings: Option<&'a Value>, key: &str) -> Option<&'a Value> {
    match settings? {
        Value::Object(map) => {
            let here = map.get(key).filter(|value| !value.is_null());
            here.or_else(|| map.values().find_map(|value| setting(Some(value), key)))
        }
        Value::Array(values) => values.iter().find_map(|value| setting(Some(value), key)),
        _ => None,
    }
}

fn numbers(value: &Value) -> Option<Vec<usize>> {
    let number = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
    value.as_array()?.iter().map(number).collect()
}
