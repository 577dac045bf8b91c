//! The model that a command line chooses, ready to register.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use burn::tensor::Device;
use serde_json::{Value, json};

use super::Common;
use super::scan::ScanFile;
use crate::dataset::{Align, Preprocessing};
use crate::device;
use crate::error::Error;
use crate::model::{Model, ModelCard, WeightsFile, builtin};
use crate::register::{
    NetworkFields, NetworkPair, Registration, back_to_scans, network_bytes, predict, prepare,
    preprocessing,
};
use crate::volume::intensity::{Mask, Normalisation, Normaliser};
use crate::volume::{Dimension, Geometry};

/// Which model, and how images are brought to it.
#[derive(Debug, Clone, clap::Args)]
pub struct ModelArgs {
    /// Weights file of hmorph train or finetune [default: the built-in model for 2-D or 3-D images]
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Intensities: none, min-max, percentile[:LOW:HIGH], z-score [default: as the model was trained]
    #[arg(long, value_name = "KIND", value_parser = parse_normalisation)]
    pub normalize: Option<Normalisation>,
    /// Voxel size of the network's grid in mm, one number or one per axis [default: as the model was trained]
    #[arg(long, value_name = "MM", value_delimiter = ',', value_parser = parse_size)]
    pub spacing: Option<Vec<f64>>,
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

fn parse_size(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(size) if size.is_finite() && size > 0.0 => Ok(size),
        _ => Err("expected a voxel size above 0 mm".into()),
    }
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
        let mut preprocessing = preprocessing(&card, args.normalize.as_ref())?;
        if let Some(spacing) = &args.spacing {
            let sizes = match spacing[..] {
                [size] => vec![size; axes],
                _ => spacing.clone(),
            };
            anyhow::ensure!(
                sizes.len() == axes,
                "--spacing: {} numbers for {axes}-D images; give one, or one per axis",
                sizes.len()
            );
            preprocessing.spacing = Some(sizes);
        }
        Ok(Self {
            model: weights.model(&device).with_context(|| source.clone())?,
            preprocessing,
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
        self.check_memory([fixed.geometry(), moving.geometry()])?;
        let factor = self.model.config().size_factor();
        let (fixed_scan, moving_scan) = (fixed.scan(), moving.scan());
        let pair = prepare(
            fixed_scan,
            moving_scan,
            &self.preprocessing,
            self.align,
            factor,
        )?;
        let fields = self.predict(&pair)?;
        let registration = back_to_scans(&pair, &fields, fixed.geometry(), moving.geometry())?;
        Ok((registration, started.elapsed().as_secs_f64()))
    }

    /// A network that does not fit would be killed by the system without a word.
    fn check_memory(&self, scans: [&Geometry; 2]) -> crate::error::Result<()> {
        let voxels = scans.map(|grid| self.network_voxels(grid));
        let voxels = match self.align {
            Align::Centre => voxels[0].max(voxels[1]),
            Align::Header | Align::Affine => voxels[0],
        };
        let needed = network_bytes(self.model.config(), voxels);
        match device::available_memory() {
            Some(free) if needed > free as f64 => Err(Error::invalid(format!(
                "the network needs about {:.1} GB for {:.1} million voxels, {:.1} GB are free; choose larger voxels \
                 by --spacing, or crop the images",
                needed / 1e9,
                voxels / 1e6,
                free as f64 / 1e9
            ))),
            _ => Ok(()),
        }
    }

    /// Voxels of a scan at the network's voxel size, before padding.
    fn network_voxels(&self, grid: &Geometry) -> f64 {
        let axes = grid.dimension.axes();
        let size: f64 = grid.spacing()[..axes].iter().product();
        let wanted = self.preprocessing.spacing.as_ref();
        let ratio = wanted.map_or(1.0, |wanted| size / wanted.iter().product::<f64>());
        grid.voxels() as f64 * ratio
    }

    /// The transform of a pair that is on a grid already.
    ///
    /// # Errors
    /// A model that predicts numbers that are not finite.
    pub fn predict(&self, pair: &NetworkPair) -> crate::error::Result<NetworkFields> {
        predict(&self.model, pair, &self.device)
    }

    /// Each axis of the network grid must be a multiple of this many voxels.
    pub fn size_factor(&self) -> usize {
        let [_, _, factor] = self.model.config().size_factor();
        factor
    }

    /// Of the images that the model registers.
    pub fn dimension(&self) -> Dimension {
        self.card.config.dimension
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
