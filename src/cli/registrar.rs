//! The model that a command line chooses, ready to register.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use burn::tensor::Device;
use serde_json::{Value, json};

use super::Common;
use super::scan::ScanFile;
use crate::dataset::{Align, Preprocessing};
use crate::model::{Model, ModelCard, WeightsFile, builtin};
use crate::register::{Registration, preprocessing, register};
use crate::volume::Dimension;
use crate::volume::intensity::{Mask, Normalisation, Normaliser};

/// Which model, and how images are brought to it.
#[derive(Debug, Clone, clap::Args)]
pub struct ModelArgs {
    /// Weights file of hmorph train or finetune [default: the built-in model for 2-D or 3-D images]
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Intensities: none, min-max, percentile[:LOW:HIGH], z-score [default: as the model was trained]
    #[arg(long, value_name = "KIND", value_parser = parse_normalisation)]
    pub normalize: Option<Normalisation>,
    /// How the images meet before the network: header or none (as their headers say), centre (centre on centre)
    /// [default: as the model was trained]
    #[arg(long, value_name = "HOW")]
    pub init: Option<Init>,
}

/// Alignment before the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Init {
    /// Through the headers of both images
    Header,
    /// The same: nothing but the headers
    None,
    /// The voxel in the centre of one image on that of the other
    #[value(alias = "center")]
    Centre,
}

fn parse_normalisation(text: &str) -> Result<Normalisation, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let number = |text: &str| {
        text.parse::<f64>()
            .map_err(|_| format!("'{text}' is not a number"))
    };
    match parts[..] {
        ["none"] => Ok(Normalisation::None {}),
        ["min-max"] => Ok(Normalisation::MinMax {}),
        ["percentile"] => Ok(Normalisation::default()),
        ["percentile", low, high] => Ok(Normalisation::Percentile {
            low: number(low)?,
            high: number(high)?,
        }),
        ["z-score"] => Ok(Normalisation::ZScore {
            mask: Mask::default(),
        }),
        _ => Err("expected none, min-max, percentile, percentile:LOW:HIGH or z-score".into()),
    }
}

/// A model on its device, with the preprocessing and alignment to use.
pub struct Registrar {
    model: Model,
    card: ModelCard,
    preprocessing: Preprocessing,
    align: Align,
    device: Device,
    /// The file's path, or what else it is.
    source: String,
}

impl Registrar {
    /// # Errors
    /// A weights file that cannot be used, a model for images of the other dimension, a device that is not there.
    pub fn new(args: &ModelArgs, dimension: Dimension, common: &Common) -> anyhow::Result<Self> {
        let axes = dimension.axes();
        let (weights, source) = match &args.model {
            Some(path) => (WeightsFile::read(path)?, path.display().to_string()),
            None => {
                let weights = builtin(dimension)
                    .with_context(|| format!("no built-in {axes}-D model; give one by --model"))?;
                (weights, format!("built-in {axes}-D"))
            }
        };
        let card = weights.card.clone();
        let found = card.config.dimension.axes();
        anyhow::ensure!(
            found == axes,
            "{source}: a model for {found}-D images, but these are {axes}-D; choose another by --model, or leave it out"
        );
        let device = common.device()?;
        Ok(Self {
            model: weights.model(&device).with_context(|| source.clone())?,
            preprocessing: preprocessing(&card, args.normalize.as_ref())?,
            align: match args.init {
                None => card.align,
                Some(Init::Header | Init::None) => Align::Header,
                Some(Init::Centre) => Align::Centre,
            },
            card,
            device,
            source,
        })
    }

    /// The registration and the seconds it took.
    ///
    /// # Errors
    /// Scans that do not fit together.
    pub fn register(
        &self,
        fixed: &ScanFile,
        moving: &ScanFile,
    ) -> crate::error::Result<(Registration, f64)> {
        let started = Instant::now();
        let registration = register(
            fixed.scan(),
            moving.scan(),
            &self.model,
            &self.preprocessing,
            self.align,
            &self.device,
        )?;
        Ok((registration, started.elapsed().as_secs_f64()))
    }

    pub fn normaliser(&self) -> &Normaliser {
        &self.preprocessing.normaliser
    }

    /// Where the model comes from, in one line.
    pub fn describe(&self) -> String {
        format!("{} ({})", self.source, self.card.provenance)
    }

    /// The same for `run.json`.
    pub fn record(&self) -> Value {
        json!({
            "source": self.source, "provenance": self.card.provenance, "licence": self.card.licence,
            "config": self.card.config,
        })
    }

    /// Alignment and preprocessing for `run.json`.
    pub fn settings(&self) -> Value {
        json!({ "align": self.align, "preprocessing": self.preprocessing })
    }
}
