//! The options of whatever registers images.

use std::path::PathBuf;

use crate::cli::linear::LinearArgs;
use crate::cli::options::{NETWORK, OPTIMISATION, given};
use crate::cli::refine::RefineArgs;
use crate::volume::intensity::{Mask, Normalisation};

/// Which model, and how images are brought to it.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = NETWORK)]
pub struct ModelArgs {
    /// Weights of hmorph train, finetune or import, or of VoxelMorph (.h5, .pt) [default: the built-in model for 2-D or 3-D images]
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Intensities: none, min-max, percentile[:LOW:HIGH], z-score [default: as the model was trained]
    #[arg(long, value_name = "KIND", value_parser = parse_normalisation)]
    pub normalize: Option<Normalisation>,
    /// Voxel size of the network's grid in mm, one number or one per axis [default: as the model was trained]
    #[arg(long, value_name = "MM", value_delimiter = ',', value_parser = parse_size)]
    pub network_spacing: Option<Vec<f64>>,
    #[command(flatten)]
    pub linear: LinearArgs,
    #[command(flatten)]
    pub refine: RefineArgs,
    /// For volumes of few thick slices, where movement across them is not to be trusted: move within the slices of FIXED
    /// only (across is the axis of the largest voxel size). Linear map and deformation keep each place in its slice,
    /// where the start (--init) puts it; the deformation is found for all slices together, without the network
    #[arg(long, help_heading = OPTIMISATION)]
    pub in_plane: bool,
}

impl ModelArgs {
    /// The names of the options that were given and say how a pair is registered.
    pub fn registration(&self) -> Vec<&'static str> {
        let own = given([
            ("--network-spacing", self.network_spacing.is_some()),
            ("--in-plane", self.in_plane),
        ]);
        [self.linear.given(), self.refine.given(), own].concat()
    }
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
