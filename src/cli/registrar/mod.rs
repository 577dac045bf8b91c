//! The model that a command line chooses, ready to register.

mod args;
mod memory;
mod unused;

use std::time::Instant;

use anyhow::Context;
use burn::tensor::Device;
use serde_json::{Value, json};

use super::Common;
use super::linear::AlignmentPlan;
use super::progress::Progress;
use super::scan::ScanFile;
use crate::dataset::Preprocessing;
use crate::error::Error;
use crate::interop;
use crate::linear::{Similarity, Start};
use crate::model::{Model, ModelCard, WeightsFile, builtin};
use crate::register::{
    Alignment, InitialField, NetworkPair, OtherScans, Predicted, RefineSettings, Refined,
    Registration, Scan, align, back_to_scans, optimise, predict, prepare, preprocessing, unmoved,
};
use crate::volume::intensity::Normaliser;
use crate::volume::{Dimension, Geometry};

pub use args::ModelArgs;

/// What is done beside the network where the command line does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stages {
    /// The linear registration before it and the optimisation after it.
    All,
    /// Nothing: an evaluation judges the network alone.
    Network,
}

/// A registered pair.
pub struct Found {
    pub registration: Registration,
    /// The grid that the network worked on, where it did.
    pub network_grid: Option<Geometry>,
    pub optimised: Option<Optimised>,
    pub seconds: f64,
}

/// How the optimisation of a pair went.
pub struct Optimised {
    /// By which it compared the scans.
    pub similarity: Similarity,
    /// Whether the scans are less alike after it than the linear map alone left them.
    pub worse: bool,
}

/// A model on its device, with all that is done before and after it.
pub struct Registrar {
    model: Model,
    card: ModelCard,
    preprocessing: Preprocessing,
    plan: AlignmentPlan,
    /// Whether nothing moves across the slices of the fixed scan.
    in_plane: bool,
    /// Whether the network says anything.
    network: bool,
    refine: Option<RefineSettings>,
    device: Device,
    /// The file's path, or what else it is.
    source: String,
}

impl Registrar {
    /// # Errors
    /// A weights file that cannot be used, a model for images of the other dimension, a device that is not there; options
    /// that nothing would come of.
    pub fn new(
        args: &ModelArgs,
        dimension: Dimension,
        stages: Stages,
        common: &Common,
    ) -> anyhow::Result<Self> {
        // Beside the network nothing else would move images within their planes.
        let stages = match args.in_plane {
            true => Stages::All,
            false => stages,
        };
        let (weights, source) = weights(args, dimension)?;
        let card = weights.card.clone();
        let device = common.device()?;
        let steps = match stages {
            Stages::All => RefineSettings::default().steps,
            Stages::Network => 0,
        };
        let mut preprocessing = preprocessing(&card, args.normalize.as_ref())?;
        if let Some(spacing) = &args.network_spacing {
            preprocessing.spacing = Some(network_spacing(spacing, dimension)?);
        }
        let mut plan = args.linear.plan(card.align, dimension, stages)?;
        if args.in_plane {
            keep_in_plane(&mut plan, dimension)?;
        }
        let refine = args.refine.settings(steps, args.linear.metric)?;
        args.check_unused(&plan, refine.is_some())?;
        Ok(Self {
            model: weights.model(&device).with_context(|| source.clone())?,
            preprocessing,
            plan,
            in_plane: args.in_plane,
            network: args.without_network().is_none(),
            refine,
            card,
            device,
            source,
        })
    }

    /// Registers a pair; `others` are looked at by the optimisation alone.
    ///
    /// # Errors
    /// Scans that do not fit together.
    pub fn register(
        &self,
        fixed: &ScanFile,
        moving: &ScanFile,
        others: &[OtherScans],
        common: &Common,
    ) -> crate::error::Result<Found> {
        let started = Instant::now();
        self.check_dimension(fixed)?;
        let scans = [fixed.scan(), moving.scan()];
        let alignment = match &self.plan {
            AlignmentPlan::Header => Alignment::Header,
            AlignmentPlan::Centre => Alignment::Centre,
            AlignmentPlan::Linear(settings) => align(scans[0], scans[1], settings)?,
        };
        let predicted = match self.network {
            true => Some(self.network_stage(scans, alignment)?),
            false => None,
        };
        let alignment = self.as_network(alignment, predicted.as_ref());
        // Not that of the transform below, which an optimisation finds on the fixed scan's grid.
        let network_grid = predicted.as_ref().map(|(pair, _)| pair.grid().clone());
        let ((pair, fields), optimised) = match (&self.refine, predicted) {
            (None, Some((pair, predicted))) => ((pair, predicted.fields), None),
            (None, None) => (unmoved(scans, alignment)?, None),
            (Some(settings), predicted) => {
                let start = predicted.map(|(_, predicted)| predicted.start);
                let settings = RefineSettings {
                    still: self.in_plane.then(|| fixed.geometry().slice_axis()),
                    ..*settings
                };
                let (pair, refined) =
                    refined(scans, others, alignment, start.as_ref(), &settings, common)?;
                let optimised = Optimised {
                    similarity: refined.similarity,
                    worse: refined.is_worse(),
                };
                ((pair, refined.fields), Some(optimised))
            }
        };
        let registration = back_to_scans(&pair, &fields, fixed.geometry(), moving.geometry())?;
        Ok(Found {
            registration,
            network_grid,
            optimised,
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    /// A list may mix volumes and slices, and a model is for one of them.
    fn check_dimension(&self, scan: &ScanFile) -> crate::error::Result<()> {
        let [found, expected] = [scan.geometry().dimension, self.dimension()];
        if found == expected {
            return Ok(());
        }
        let (found, expected) = (found.axes(), expected.axes());
        let problem = format!("{found}-D among {expected}-D images; list them apart");
        Err(Error::file(&scan.name, problem))
    }

    fn network_stage(
        &self,
        [fixed, moving]: [Scan; 2],
        alignment: Alignment,
    ) -> crate::error::Result<(NetworkPair, Predicted)> {
        self.check_memory([&fixed.image.geometry, &moving.image.geometry])?;
        let factor = self.model.config().size_factor();
        let pair = prepare(fixed, moving, &self.preprocessing, alignment, factor)?;
        let predicted = self.predict(&pair)?;
        Ok((pair, predicted))
    }

    /// Centres meet on the scans' own grids as they did in the network's, whose axes and voxels may be others.
    fn as_network(
        &self,
        alignment: Alignment,
        predicted: Option<&(NetworkPair, Predicted)>,
    ) -> Alignment {
        let as_stored =
            self.preprocessing.orientation.is_none() && self.preprocessing.spacing.is_none();
        match (alignment, predicted) {
            (Alignment::Centre, Some((pair, _))) if !as_stored => Alignment::Linear {
                matrix: pair.linear,
                initial: pair.initial,
            },
            _ => alignment,
        }
    }

    /// The transform of a pair that is on a grid already.
    ///
    /// # Errors
    /// A model that predicts numbers that are not finite.
    pub fn predict(&self, pair: &NetworkPair) -> crate::error::Result<Predicted> {
        predict(&self.model, pair, &self.device)
    }

    /// Each axis of the network grid must be a multiple of this many voxels.
    pub fn size_factor(&self) -> usize {
        let [_, _, factor] = self.model.config().size_factor();
        factor
    }

    /// Whether the pair itself is optimised.
    pub fn refines(&self) -> bool {
        self.refine.is_some()
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
        match self.network {
            true => format!("{} ({})", self.source, self.card.provenance),
            false => "none".into(),
        }
    }

    /// The same for `run.json`.
    pub fn record(&self) -> Value {
        if !self.network {
            return json!({ "source": "none" });
        }
        json!({
            "source": self.source, "provenance": self.card.provenance, "licence": self.card.licence,
            "config": self.card.config,
        })
    }

    /// Alignment and preprocessing for `run.json`.
    pub fn settings(&self) -> Value {
        json!({
            "alignment": self.plan.record(), "in_plane": self.in_plane, "network": self.network,
            "preprocessing": self.preprocessing, "refine": self.refine,
        })
    }
}

/// [`optimise`] with a bar that shows how far it is.
fn refined(
    scans: [Scan; 2],
    others: &[OtherScans],
    alignment: Alignment,
    start: Option<&InitialField>,
    settings: &RefineSettings,
    common: &Common,
) -> crate::error::Result<(NetworkPair, Refined)> {
    let mut progress: Option<Progress> = None;
    let mut done = |taken: usize, all: usize| {
        let new = || Progress::new(common, "step", all as u64, 0);
        progress
            .get_or_insert_with(new)
            .advance(taken as u64, "refining  ");
    };
    let found = optimise(scans, others, alignment, start, settings, &mut done)?;
    if let Some(progress) = &progress {
        progress.finish();
    }
    Ok(found)
}

/// The weights that the options name, or the built-in ones, and what to call them.
fn weights(args: &ModelArgs, dimension: Dimension) -> anyhow::Result<(WeightsFile, String)> {
    let axes = dimension.axes();
    let Some(path) = &args.model else {
        let weights = builtin(dimension)
            .with_context(|| format!("no built-in {axes}-D model; give one by --model"))?;
        return Ok((weights, format!("built-in {axes}-D")));
    };
    let (weights, source) = (interop::read_weights(path)?, path.display().to_string());
    let found = weights.card.config.dimension.axes();
    anyhow::ensure!(
        found == axes,
        "{source}: a model for {found}-D images, but these are {axes}-D; choose another by --model, or leave it out"
    );
    Ok((weights, source))
}

/// A voxel size for each axis, from one for all or one for each.
fn network_spacing(given: &[f64], dimension: Dimension) -> anyhow::Result<Vec<f64>> {
    let axes = dimension.axes();
    match *given {
        [size] => Ok(vec![size; axes]),
        _ if given.len() == axes => Ok(given.to_vec()),
        _ => anyhow::bail!(
            "--network-spacing: {} numbers for {axes}-D images; give one, or one per axis",
            given.len()
        ),
    }
}

/// Has the linear stage move volumes within their slices.
///
/// # Errors
/// Images without slices, principal axes, which tilt them.
fn keep_in_plane(plan: &mut AlignmentPlan, dimension: Dimension) -> anyhow::Result<()> {
    anyhow::ensure!(
        dimension == Dimension::Three,
        "--in-plane is for volumes; 2-D images move within their plane anyhow"
    );
    if let AlignmentPlan::Linear(settings) = plan {
        anyhow::ensure!(
            settings.start != Start::Moments,
            "--in-plane with --init moments: principal axes tilt the slices; choose another start"
        );
        settings.in_plane = true;
    }
    Ok(())
}
