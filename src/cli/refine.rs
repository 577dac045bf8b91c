//! How a command line has the transform of a pair optimised.

use anyhow::bail;

use super::options::{NETWORK, OPTIMISATION, given};
use crate::linear::Similarity;
use crate::model::TransformKind;
use crate::register::RefineSettings;

/// The instance optimisation.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = OPTIMISATION)]
pub struct RefineArgs {
    /// Steps of optimisation on the pair itself, at each resolution (half as many at the finest); 0 leaves the network's
    /// transform as it is [default: 60; eval: 0]
    #[arg(long, value_name = "STEPS")]
    pub refine: Option<usize>,
    /// Do without the network: optimise from the linear registration
    #[arg(long, help_heading = NETWORK)]
    pub no_network: bool,
    /// How smooth the optimised deformation is, from 0 (free) to 1 (stiff) [default: 0.5]
    #[arg(long, value_name = "S", value_parser = parse_share)]
    pub smoothness: Option<f64>,
    /// Compare the images on the fixed grid only, not on both
    #[arg(long)]
    pub one_sided: bool,
    /// What is optimised: a velocity, whose transform has an inverse, or the displacement itself, by the fixed grid only
    /// [default: velocity]
    #[arg(long, value_name = "KIND", value_enum)]
    pub deformation: Option<Deformation>,
}

/// How a deformation is described while it is optimised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Deformation {
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
    ///
    /// # Errors
    /// Options of the optimisation beside none.
    pub fn settings(
        &self,
        steps: usize,
        similarity: Option<Similarity>,
    ) -> anyhow::Result<Option<RefineSettings>> {
        let steps = self.refine.unwrap_or(steps);
        if steps == 0 {
            self.check_unused()?;
            return Ok(None);
        }
        let defaults = RefineSettings::default();
        Ok(Some(RefineSettings {
            steps,
            similarity,
            smoothness: self.smoothness.unwrap_or(defaults.smoothness),
            kind: match self.deformation {
                Some(Deformation::Displacement) => TransformKind::Displacement,
                Some(Deformation::Velocity) | None => TransformKind::Velocity,
            },
            symmetric: !self.one_sided,
            ..defaults
        }))
    }

    /// The names of the options that were given.
    pub fn given(&self) -> Vec<&'static str> {
        let whether = given([
            ("--refine", self.refine.is_some()),
            ("--no-network", self.no_network),
        ]);
        [whether, self.how()].concat()
    }

    /// Those that only say how the optimisation is done.
    fn how(&self) -> Vec<&'static str> {
        given([
            ("--smoothness", self.smoothness.is_some()),
            ("--one-sided", self.one_sided),
            ("--deformation", self.deformation.is_some()),
        ])
    }

    /// Refuses options that nothing would come of.
    fn check_unused(&self) -> anyhow::Result<()> {
        match self.how().first() {
            None => Ok(()),
            Some(name) => bail!(
                "{name} is for the optimisation, which there is none of (--refine 0); leave it out, or name the steps by --refine"
            ),
        }
    }
}
