//! How a command line has images brought together before the network.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use nalgebra::Matrix4;
use serde_json::{Value, json};

use super::options::{LINEAR, given};
use super::registrar::Stages;
use crate::dataset::Align;
use crate::error::{Error, Result};
use crate::linear::{Freedom, Settings, Similarity, Start};
use crate::volume::{Dimension, read_affine};

/// The linear stage.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = LINEAR)]
pub struct LinearArgs {
    /// Linear registration before the network: none, rigid, similarity, affine [default: affine; eval: as the model was
    /// trained]
    #[arg(long, value_name = "MAP")]
    pub linear: Option<Freedom>,
    /// Where it starts: header, centre (voxel centre on voxel centre), mass (centres of mass), moments (principal axes),
    /// FILE (.mat, .tfm, .txt, .lta), auto (headers, centres and masses are compared; refused where the headers put the
    /// scans apart), or none (headers, and no linear registration) [default: auto; for models trained with
    /// align = "centre": centre and mass]
    #[arg(long, value_name = "START", value_parser = parse_init)]
    pub init: Option<Init>,
    /// What makes the images alike: mi or mind (any contrast), lncc or ncc (one contrast), mse (one scanner)
    /// [default: mi for the linear registration; for the optimisation lncc, and mi where the scans' contrasts differ]
    #[arg(long, value_name = "NAME")]
    pub metric: Option<Similarity>,
    /// Rotations up to this many degrees from the start are tried [default: 60]
    #[arg(long, value_name = "DEG", value_parser = parse_degrees)]
    pub search: Option<f64>,
    /// Also try the mirrored moving image: a 2-D slide may lie upside down
    #[arg(long)]
    pub allow_flip: bool,
}

/// Where the linear stage starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Init {
    Auto,
    Header,
    Centre,
    Mass,
    Moments,
    None,
    File(PathBuf),
}

fn parse_init(text: &str) -> Result<Init, String> {
    Ok(match text {
        "auto" => Init::Auto,
        "header" => Init::Header,
        "centre" | "center" => Init::Centre,
        "mass" => Init::Mass,
        "moments" => Init::Moments,
        "none" => Init::None,
        _ if Path::new(text).extension().is_some() => Init::File(text.into()),
        _ => {
            return Err(
                "expected auto, header, centre, mass, moments, none or a file (.mat, .tfm, .txt, .lta)".into(),
            );
        }
    })
}

fn parse_degrees(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(degrees) if (0.0..=180.0).contains(&degrees) => Ok(degrees),
        _ => Err("expected 0 to 180 degrees".into()),
    }
}

/// How images meet before the network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AlignmentPlan {
    Header,
    Centre,
    /// By the linear stage.
    Linear(Settings),
}

impl AlignmentPlan {
    /// Whether a map is searched for, and not only taken from where it starts.
    pub fn searches(&self) -> bool {
        match self {
            Self::Header | Self::Centre => false,
            Self::Linear(settings) => settings.freedom != Freedom::None,
        }
    }

    /// What is done, for `run.json`: however it was asked for, equal plans have equal records.
    pub fn record(&self) -> Value {
        let settings = match self {
            Self::Header => return json!({ "linear": Freedom::None, "init": "header" }),
            Self::Centre => return json!({ "linear": Freedom::None, "init": "centre" }),
            Self::Linear(settings) => settings,
        };
        let mut facts = json!({ "linear": settings.freedom, "init": start(&settings.start) });
        if self.searches() {
            facts["metric"] = json!(settings.similarity);
            facts["search_degrees"] = json!(settings.search);
            facts["allow_flip"] = json!(settings.flip);
        }
        facts
    }
}

/// A start by its name on the command line; a matrix, whose file may change, by its rows (RAS mm).
fn start(start: &Start) -> Value {
    match start {
        Start::Auto { headers: true } => json!("auto"),
        Start::Auto { headers: false } => json!("auto, without headers"),
        Start::Header => json!("header"),
        Start::Centre => json!("centre"),
        Start::Mass => json!("mass"),
        Start::Moments => json!("moments"),
        Start::Given(matrix) => {
            let rows = matrix.row_iter();
            let rows: Vec<Vec<f64>> = rows.map(|row| row.iter().copied().collect()).collect();
            json!(rows)
        }
    }
}

impl LinearArgs {
    /// What these options mean for a model trained with `align`.
    ///
    /// # Errors
    /// A file that cannot be read or holds a singular matrix; mirrored volumes.
    pub fn plan(
        &self,
        align: Align,
        dimension: Dimension,
        stages: Stages,
    ) -> anyhow::Result<AlignmentPlan> {
        ensure!(
            !self.allow_flip || dimension == Dimension::Two,
            "--allow-flip is for 2-D images; these are 3-D, and no volume is mirrored in its scanner"
        );
        let init = self.init.clone().unwrap_or(Init::Auto);
        ensure!(
            init != Init::None || matches!(self.linear, None | Some(Freedom::None)),
            "--init none does without the linear registration, but --linear asks for one; leave one of them out, or \
             start from the headers with --init header"
        );
        let freedom = match (self.linear, stages, align) {
            (Some(freedom), ..) => freedom,
            (None, Stages::All, _) | (None, _, Align::Affine) => Freedom::Affine,
            (None, Stages::Network, Align::Header | Align::Centre) => Freedom::None,
        };
        ensure!(
            !self.allow_flip || freedom != Freedom::None,
            "--allow-flip is for the linear registration, which --linear none does without; leave one of them out"
        );
        let start = match (init, freedom, align) {
            (Init::None, ..) | (Init::Header, Freedom::None, _) => {
                return Ok(AlignmentPlan::Header);
            }
            (Init::Centre, Freedom::None, _) => return Ok(AlignmentPlan::Centre),
            (Init::Auto, Freedom::None, Align::Centre) => return Ok(AlignmentPlan::Centre),
            (Init::Auto, Freedom::None, _) => return Ok(AlignmentPlan::Header),
            (Init::Auto, _, align) => Start::Auto {
                headers: align != Align::Centre,
            },
            (Init::Header, ..) => Start::Header,
            (Init::Centre, ..) => Start::Centre,
            (Init::Mass, ..) => Start::Mass,
            (Init::Moments, ..) => Start::Moments,
            (Init::File(path), ..) => Start::Given(matrix(&path)?),
        };
        Ok(AlignmentPlan::Linear(Settings {
            freedom,
            similarity: self.metric.unwrap_or(Settings::default().similarity),
            start,
            search: self.search.unwrap_or(Settings::default().search),
            flip: self.allow_flip,
            in_plane: false,
        }))
    }

    /// The names of the options that were given.
    pub fn given(&self) -> Vec<&'static str> {
        given([
            ("--linear", self.linear.is_some()),
            ("--init", self.init.is_some()),
            ("--metric", self.metric.is_some()),
            ("--search", self.search.is_some()),
            ("--allow-flip", self.allow_flip),
        ])
    }
}

/// A start on file.
fn matrix(path: &Path) -> Result<Matrix4<f64>> {
    let affine = read_affine(path)?;
    if !affine.is_singular() {
        return Ok(affine.0);
    }
    Err(Error::file(
        path,
        "the matrix is singular: it flattens space, and nothing can be brought back through it; give one with an inverse",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING_SAID: LinearArgs = LinearArgs {
        linear: None,
        init: None,
        metric: None,
        search: None,
        allow_flip: false,
    };

    fn plan(args: &LinearArgs, align: Align) -> AlignmentPlan {
        args.plan(align, Dimension::Three, Stages::All).unwrap()
    }

    #[test]
    fn defaults_are_recorded_as_what_they_stand_for() {
        let spelled_out = LinearArgs {
            linear: Some(Freedom::Affine),
            init: Some(Init::Auto),
            metric: Some(Similarity::Mi),
            search: Some(60.0),
            ..NOTHING_SAID
        };
        let [short, long] = [NOTHING_SAID, spelled_out].map(|args| plan(&args, Align::Header));
        assert_eq!(short.record(), long.record());
        assert_eq!(
            short.record(),
            json!({
                "linear": "affine", "init": "auto", "metric": "mi", "search_degrees": 60.0, "allow_flip": false,
            })
        );
        let rigid = LinearArgs {
            linear: Some(Freedom::Rigid),
            ..NOTHING_SAID
        };
        assert_ne!(plan(&rigid, Align::Header).record(), short.record());
        // Which starts are compared depends on the model.
        assert_ne!(plan(&NOTHING_SAID, Align::Centre).record(), short.record());
    }

    #[test]
    fn a_start_on_file_is_recorded_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("start.txt");
        let args = LinearArgs {
            linear: Some(Freedom::None),
            init: Some(Init::File(path.clone())),
            ..NOTHING_SAID
        };
        let record = |shift: u32| {
            let text = format!("1 0 0 {shift}\n0 1 0 0\n0 0 1 0\n0 0 0 1\n");
            std::fs::write(&path, text).unwrap();
            plan(&args, Align::Header)
        };
        let (one, other) = (record(1), record(2));
        assert!(!one.searches());
        assert_eq!(one.record()["init"][0], json!([1.0, 0.0, 0.0, 1.0]));
        assert_ne!(one.record(), other.record());
    }
}
