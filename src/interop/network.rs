//! A registration network as another program stores it, and its weights as ours.

use std::collections::BTreeMap;

use burn::tensor::Device;
use ndarray::{ArrayD, Axis, IxDyn};

use super::{ImportOptions, Imported};
use crate::dataset::Align;
use crate::model::{ModelCard, ModelConfig, TransformKind, WeightsFile};
use crate::nn::Encoder;
use crate::ops::Border;
use crate::volume::Dimension;
use crate::volume::intensity::Normalisation;

/// VoxelMorph's defaults for what a file does not say: squarings, and how much coarser the velocity is.
pub const INTEGRATION: (usize, usize) = (7, 2);
/// Slope of the LeakyReLU everywhere in VoxelMorph.
pub const SLOPE: f32 = 0.2;

/// Where a convolution stands in the U-Net, counted in the order of the data flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Encoder(usize),
    Decoder(usize),
    Last(usize),
    Flow,
}

impl Place {
    /// The name of the block in our weights files.
    fn path(self) -> String {
        match self {
            Self::Encoder(n) => format!("encoder.{n}"),
            Self::Decoder(n) => format!("decoder.{n}"),
            Self::Last(n) => format!("last.{n}"),
            Self::Flow => "flow".into(),
        }
    }
}

/// One convolution of another program's file.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Its name in the file, for messages.
    pub name: String,
    /// `[out, in, (d,) h, w]`
    pub weight: ArrayD<f32>,
    /// `[out]`
    pub bias: Vec<f32>,
}

/// How the output becomes a transform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integration {
    /// The output is the displacement.
    No,
    /// The output is a velocity; `None` where the file does not say how it is integrated.
    Yes {
        steps: Option<usize>,
        downsize: Option<usize>,
    },
    /// The file does not say whether it is integrated.
    Unknown,
}

/// A network with what its file says about it.
#[derive(Debug)]
pub struct ForeignNetwork {
    pub layers: BTreeMap<Place, Layer>,
    pub encoder: Encoder,
    pub integration: Integration,
    pub bidirectional: bool,
    pub border: Border,
    /// Training grid, a number an axis.
    pub shape: Option<Vec<usize>>,
    /// The program and version that wrote the file.
    pub source: String,
    pub notes: Vec<String>,
}

impl ForeignNetwork {
    /// Recovers the architecture from the shapes of the layers, and renames the weights.
    ///
    /// # Errors
    /// A network that is not whole, or has an arrangement that ours lacks; the layer is named.
    pub fn into_weights(mut self, options: ImportOptions) -> Result<Imported, String> {
        let dimension = self.dimension()?;
        self.check_kernels(dimension)?;
        let mut config = ModelConfig {
            dimension,
            encoder: self.encoder,
            encoder_features: self.features(Place::Encoder),
            decoder_features: self.features(Place::Decoder),
            slope: SLOPE,
            bidirectional: self.bidirectional,
            border: self.border,
            ..ModelConfig::default()
        };
        config.decoder_features.extend(self.features(Place::Last));
        self.check_channels()?;
        self.integrate(&mut config, options)?;
        config.out_downsize = self.out_downsize(&config);
        config.validate().map_err(|e| e.to_string())?;
        let tensors = self.layers.iter().flat_map(|(place, layer)| {
            let bias = (vec![layer.bias.len()], layer.bias.clone());
            let path = place.path();
            [
                (format!("{path}.weight"), rank_five(&layer.weight)),
                (format!("{path}.bias"), bias),
            ]
        });
        let weights = WeightsFile {
            tensors: tensors.collect(),
            card: self.card(config),
        };
        weights
            .model(&Device::flex())
            .map_err(|error| error.to_string())?;
        if let Some(parameter) = weights.not_finite() {
            return Err(format!("{parameter} holds values that are not finite"));
        }
        Ok(Imported {
            weights,
            notes: self.notes,
        })
    }

    fn dimension(&self) -> Result<Dimension, String> {
        let flow = self
            .layers
            .get(&Place::Flow)
            .ok_or("no flow layer, which gives the field; expected a whole registration network")?;
        let axes = flow.weight.ndim().saturating_sub(2);
        match (axes, flow.weight.shape().first()) {
            (2, Some(2)) => Ok(Dimension::Two),
            (3, Some(3)) => Ok(Dimension::Three),
            _ => Err(format!(
                "layer {:?} has weights of shape {:?} (output first); expected 2 outputs in 2-D or 3 in 3-D",
                flow.name,
                flow.weight.shape()
            )),
        }
    }

    fn check_kernels(&self, dimension: Dimension) -> Result<(), String> {
        let axes = dimension.axes();
        for layer in self.layers.values() {
            let shape = layer.weight.shape();
            let cubic = shape.len() == axes + 2 && shape[2..].iter().all(|&n| n == 3);
            if !cubic || layer.bias.len() != shape[0] {
                return Err(format!(
                    "layer {:?} has weights of shape {shape:?} and {} biases; expected [out, in] and 3 for each of \
                     {axes} axes",
                    layer.name,
                    layer.bias.len()
                ));
            }
        }
        Ok(())
    }

    /// Outputs of the layers of one part, in the order of the data flow.
    fn features(&self, part: fn(usize) -> Place) -> Vec<usize> {
        (0..)
            .map_while(|n| self.layers.get(&part(n)))
            .map(|layer| layer.weight.shape()[0])
            .collect()
    }

    /// By what the file says, else by the options, else by VoxelMorph's defaults.
    ///
    /// # Errors
    /// Options that the file contradicts.
    fn integrate(
        &mut self,
        config: &mut ModelConfig,
        options: ImportOptions,
    ) -> Result<(), String> {
        let (steps, downsize) = match self.integration {
            Integration::No => (Some(0), Some(1)),
            Integration::Yes { steps, downsize } => (steps, downsize),
            Integration::Unknown => (None, None),
        };
        match self.integration {
            Integration::No
                if options.int_steps.is_some_and(|steps| steps != 0)
                    || options.int_downsize.is_some_and(|factor| factor != 1) =>
            {
                Err(
                    "this file says displacement, which is not integrated; leave --int-steps and --int-downsize out",
                )
            }
            Integration::Yes { .. } if options.int_steps == Some(0) => Err(
                "--int-steps 0: this file says velocity, which is integrated; give the number of squarings",
            ),
            _ => Ok(()),
        }?;
        let steps = agreed("--int-steps", options.int_steps, steps)?;
        let downsize = agreed("--int-downsize", options.int_downsize, downsize)?;
        let assumed = steps.is_none();
        let steps = steps.unwrap_or(INTEGRATION.0);
        let downsize = match downsize {
            Some(downsize) => downsize,
            None if steps == 0 => 1,
            None => INTEGRATION.1,
        };
        if assumed {
            self.notes.push(format!(
                "the file does not say how the output is integrated: {steps} squarings on a grid {downsize} times coarser \
                 are VoxelMorph's defaults (change them by --int-steps and --int-downsize)"
            ));
        }
        config.int_downsize = downsize;
        config.transform = match steps {
            0 => TransformKind::Displacement,
            _ => TransformKind::Velocity,
        };
        if steps > 0 {
            config.int_steps = steps;
        }
        config.bidirectional &= steps > 0;
        Ok(())
    }

    /// Channels that a layer takes.
    fn inputs(&self, place: Place) -> Option<usize> {
        Some(self.layers.get(&place)?.weight.shape()[1])
    }

    /// # Errors
    /// Images of several channels.
    fn check_channels(&self) -> Result<(), String> {
        match self.layers.get(&Place::Encoder(0)) {
            Some(layer) if layer.weight.shape()[1] != 2 => Err(format!(
                "layer {:?} takes {} channels; hmorph registers images of one channel, which makes 2",
                layer.name,
                layer.weight.shape()[1]
            )),
            _ => Ok(()),
        }
    }

    /// How many times coarser than the image the output is: twice for each of the last convolutions of the decoder
    /// whose output goes on alone, without a skip connection.
    fn out_downsize(&self, config: &ModelConfig) -> usize {
        let levels = config.encoder_features.len();
        let alone = |n: &usize| {
            let next = [Place::Decoder(n + 1), Place::Last(0), Place::Flow];
            let taken = next.into_iter().find_map(|place| self.inputs(place));
            taken == config.decoder_features.get(*n).copied()
        };
        match config.encoder {
            Encoder::MaxPool => 1 << (0..levels).rev().take_while(alone).count(),
            Encoder::Strided => 1,
        }
    }

    fn card(&self, config: ModelConfig) -> ModelCard {
        let shape = self.shape.as_deref().and_then(|shape| match *shape {
            [i, j] => Some([i, j, 1]),
            [i, j, k] => Some([i, j, k]),
            _ => None,
        });
        ModelCard {
            config,
            shape,
            spacing: None,
            orientation: None,
            align: Align::Header,
            // VoxelMorph's networks expect intensities in [0, 1].
            normalize: Normalisation::MinMax {},
            reference_quantiles: Vec::new(),
            licence: "not stated in the file; ask who published it".into(),
            provenance: format!("imported from {}", self.source),
        }
    }
}

/// What an option and the file say together.
///
/// # Errors
/// Both say something, and not the same.
fn agreed(
    option: &str,
    given: Option<usize>,
    said: Option<usize>,
) -> Result<Option<usize>, String> {
    match (given, said) {
        (Some(given), Some(said)) if given != said => Err(format!(
            "{option} {given}: this file says {said}; leave {option} out"
        )),
        _ => Ok(said.or(given)),
    }
}

/// Weights with the singleton axis that 2-D has in tensors: `[out, in, 1, h, w]`.
fn rank_five(weight: &ArrayD<f32>) -> (Vec<usize>, Vec<f32>) {
    let weight = match weight.ndim() {
        4 => weight.view().insert_axis(Axis(2)),
        _ => weight.view(),
    };
    (weight.shape().to_vec(), weight.iter().copied().collect())
}

/// An array of values in the file's order.
///
/// # Errors
/// As many values as the shape says are expected.
pub fn array(shape: Vec<usize>, values: Vec<f32>) -> Result<ArrayD<f32>, String> {
    let found = values.len();
    ArrayD::from_shape_vec(IxDyn(&shape), values)
        .map_err(|_| format!("{found} values for the shape {shape:?}"))
}
