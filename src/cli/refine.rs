//! How a command line has the transform of a pair optimised.

use crate::linear::Similarity;
use crate::model::TransformKind;
use crate::register::RefineSettings;

/// The instance optimisation.
#[derive(Debug, Clone, clap::Args)]
pub struct RefineArgs {
    /// Steps of optimisation on the pair itself, at each resolution (half as many at the finest); 0 leaves the network's
    /// transform as it is [default: 60; eval: 0]
    #[arg(long, value_name = "STEPS")]
    pub refine: Option<usize>,
    /// Do without the network: optimise from the linear registration
    #[arg(long)]
    pub no_network: bool,
    /// How smooth the optimised deformation is, from 0 (free) to 1 (stiff)
    #[arg(long, value_name = "S", default_value_t = 0.5, value_parser = parse_share)]
    pub smoothness: f64,
    /// Compare the images on the fixed grid only, not on both
    #[arg(long)]
    pub one_sided: bool,
    /// What is optimised: a velocity, whose transform has an inverse, or the displacement itself, by the fixed grid only
    #[arg(long, value_name = "KIND", value_enum, default_value_t)]
    pub deformation: Deformation,
}

/// How a deformation is described while it is optimised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Deformation {
    #[default]
    Velocity,
    Displacement,
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a number from 0 to 1".into()),
    }
}

impl RefineArgs {
    /// The settings, with `steps` where the command line names none; `None` for 0 steps.
    pub fn settings(&self, steps: usize, similarity: Option<Similarity>) -> Option<RefineSettings> {
        let steps = self.refine.unwrap_or(steps);
        let defaults = RefineSettings::default();
        (steps > 0).then(|| RefineSettings {
            steps,
            similarity: similarity.unwrap_or(defaults.similarity),
            smoothness: self.smoothness,
            kind: match self.deformation {
                Deformation::Velocity => TransformKind::Velocity,
                Deformation::Displacement => TransformKind::Displacement,
            },
            symmetric: !self.one_sided,
            ..defaults
        })
    }
}
