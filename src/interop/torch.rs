//! PyTorch `.pt` files of VoxelMorph's code: `{config, model_state}` of `VxmDense.save`, or a state dict alone.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use ndarray::ArrayD;
use pytorch_reader::{DType, PickleValue, PytorchReader, Tensor};
use regex::Regex;

use super::family;
use super::network::{ForeignNetwork, Integration, Layer, Place, array};
use crate::nn::Encoder;
use crate::ops::Border;

/// Keys under which programs keep the state dict, and the prefix of a network trained on several devices.
const WRAPPERS: &[&str] = &[
    "model_state.",
    "state_dict.",
    "model_state_dict.",
    "module.",
];

/// Reads a state dict or what holds one; the error is the problem without the file's name.
pub fn read(path: &Path) -> Result<ForeignNetwork, String> {
    let broken = |error| format!("not a readable PyTorch file ({error})");
    let tensors = PytorchReader::new(path).map_err(broken)?.into_tensors();
    let state = unwrapped(tensors);
    if state.is_empty() {
        return Err("no tensors; expected the state of a network".into());
    }
    let config = match PytorchReader::read_pickle_data(path, Some("config")) {
        Ok(PickleValue::Dict(config)) => config,
        _ => HashMap::new(),
    };
    let (layers, encoder) = places(&state)?;
    Ok(ForeignNetwork {
        layers,
        encoder,
        integration: integration(&config, &state, encoder),
        bidirectional: config.get("bidir") == Some(&PickleValue::Bool(true)),
        border: Border::Zeros,
        shape: config
            .get("inshape")
            .and_then(numbers)
            .or_else(|| grid(&state, TRANSFORMER)),
        source: "VoxelMorph weights of PyTorch".into(),
        notes: Vec::new(),
    })
}

type State = BTreeMap<String, Tensor>;

/// The state dict alone, where it lies beside an optimiser and the like.
fn unwrapped(tensors: HashMap<String, Tensor>) -> State {
    let mut state: State = tensors.into_iter().collect();
    for wrapper in WRAPPERS {
        if state.keys().any(|name| name.starts_with(wrapper)) {
            let inside = |(name, tensor): (String, Tensor)| {
                Some((name.strip_prefix(wrapper)?.to_string(), tensor))
            };
            state = state.into_iter().filter_map(inside).collect();
        }
    }
    state
}

/// A parameter's place, counted as its file counts, and whether it is the weight or the bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Encoder(usize),
    Decoder(usize),
    Last(usize),
    /// The last convolution of the strided network `vm2`.
    Second,
    Flow,
}

/// Pattern of a layer's name, the arrangement it belongs to where only one has it, and its part by its number.
type Name = (&'static str, Option<Encoder>, fn(usize) -> Part);

/// VoxelMorph's names in PyTorch.
const NAMES: &[Name] = &[
    (
        r"^unet_model\.encoder\.(\d+)\.0\.main$",
        Some(Encoder::MaxPool),
        Part::Encoder,
    ),
    (
        r"^unet_model\.decoder\.(\d+)\.0\.main$",
        Some(Encoder::MaxPool),
        Part::Decoder,
    ),
    (
        r"^unet_model\.remaining\.(\d+)\.main$",
        Some(Encoder::MaxPool),
        Part::Last,
    ),
    (
        r"^(?:unet_model\.)?enc\.(\d+)\.(?:main|0)$",
        Some(Encoder::Strided),
        Part::Encoder,
    ),
    (
        r"^(?:unet_model\.)?dec\.(\d+)\.(?:main|0)$",
        Some(Encoder::Strided),
        Part::Decoder,
    ),
    (
        r"^(?:unet_model\.)?vm2_conv\.(?:main|0)()$",
        Some(Encoder::Strided),
        |_| Part::Second,
    ),
    (r"^flow()$", None, |_| Part::Flow),
];

fn part(layer: &str) -> Option<(Part, Option<Encoder>)> {
    NAMES.iter().find_map(|(pattern, encoder, part)| {
        let regex = Regex::new(pattern).expect("a valid pattern");
        let number = &regex.captures(layer)?[1];
        Some((part(number.parse().unwrap_or_default()), *encoder))
    })
}

fn places(state: &State) -> Result<(BTreeMap<Place, Layer>, Encoder), String> {
    let mut parts = BTreeMap::new();
    for name in state.keys().filter(|name| !is_buffer(name)) {
        let layer = name.strip_suffix(".weight").or(name.strip_suffix(".bias"));
        match layer.and_then(|layer| Some((layer, part(layer)?))) {
            Some((layer, found)) => parts.insert(layer, found),
            None => return Err(family::refusal("parameter", name, family::torch(name))),
        };
    }
    let has = |encoder| parts.values().any(|(_, of)| *of == Some(encoder));
    let encoder = match (has(Encoder::MaxPool), has(Encoder::Strided)) {
        (true, true) => return Err("layers of two networks; expected one".into()),
        (_, true) => Encoder::Strided,
        (_, false) => Encoder::MaxPool,
    };
    let count = |of: fn(&Part) -> bool| parts.values().filter(|(part, _)| of(part)).count();
    let levels = count(|part| matches!(part, Part::Encoder(_)));
    let decoders = count(|part| matches!(part, Part::Decoder(_)));
    let mut layers = BTreeMap::new();
    for (name, (part, _)) in &parts {
        let place = match *part {
            Part::Encoder(n) => Place::Encoder(n),
            // The strided network counts all its convolutions after the encoder as one list.
            Part::Decoder(n) if encoder == Encoder::Strided && n > levels => {
                Place::Last(n - levels - 1)
            }
            Part::Decoder(n) => Place::Decoder(n),
            Part::Last(n) => Place::Last(n),
            Part::Second => Place::Last(decoders.saturating_sub(levels + 1)),
            Part::Flow => Place::Flow,
        };
        layers.insert(place, layer(name, state)?);
    }
    Ok((layers, encoder))
}

/// Sampling grids are stored with the network; they follow from its size.
fn is_buffer(name: &str) -> bool {
    name == "grid" || name.ends_with(".grid")
}

fn layer(name: &str, state: &State) -> Result<Layer, String> {
    let read = |part: &str| {
        let name = format!("{name}.{part}");
        let tensor = state.get(&name).ok_or(format!("{name} is missing"))?;
        values(tensor)
    };
    Ok(Layer {
        name: name.to_string(),
        weight: read("weight")?,
        bias: read("bias")?.into_iter().collect(),
    })
}

fn values(tensor: &Tensor) -> Result<ArrayD<f32>, String> {
    let bytes = tensor
        .read()
        .map_err(|e| format!("the file is broken ({e})"))?;
    let values = match tensor.dtype() {
        DType::F32 => convert(&bytes, f32::from_ne_bytes),
        DType::F64 => convert(&bytes, |b| f64::from_ne_bytes(b) as f32),
        DType::F16 => convert(&bytes, |b| half::f16::from_ne_bytes(b).to_f32()),
        DType::BF16 => convert(&bytes, |b| half::bf16::from_ne_bytes(b).to_f32()),
        other => {
            return Err(format!(
                "{} has type {other:?}; expected floats",
                tensor.name
            ));
        }
    };
    array(tensor.shape().to_vec(), values)
}

fn convert<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|&b| value(b)).collect()
}

const TRANSFORMER: &str = "transformer.grid";
const INTEGRATOR: &str = "integrate.transformer.grid";

/// From the stored configuration, else from the sampling grids of a state dict.
fn integration(
    config: &HashMap<String, PickleValue>,
    state: &State,
    encoder: Encoder,
) -> Integration {
    let count = |key: &str| match config.get(key) {
        Some(PickleValue::Int(n)) => usize::try_from(*n).ok(),
        _ => None,
    };
    if encoder == Encoder::Strided || count("int_steps") == Some(0) {
        return Integration::No;
    }
    if let Some(steps) = count("int_steps") {
        return Integration::Yes {
            steps: Some(steps),
            downsize: count("int_downsize"),
        };
    }
    match (grid(state, TRANSFORMER), grid(state, INTEGRATOR)) {
        (Some(fine), Some(coarse)) => Integration::Yes {
            steps: None,
            downsize: fine
                .first()
                .zip(coarse.first())
                .map(|(fine, coarse)| fine / coarse.max(&1)),
        },
        (Some(_), None) => Integration::No,
        (None, _) => Integration::Unknown,
    }
}

/// The extent of a stored sampling grid, `[1, axes, ..]`.
fn grid(state: &State, name: &str) -> Option<Vec<usize>> {
    state.get(name)?.shape().get(2..).map(<[usize]>::to_vec)
}

fn numbers(value: &PickleValue) -> Option<Vec<usize>> {
    let PickleValue::List(values) = value else {
        return None;
    };
    let number = |value: &PickleValue| match value {
        PickleValue::Int(n) => usize::try_from(*n).ok(),
        _ => None,
    };
    values.iter().map(number).collect()
}
