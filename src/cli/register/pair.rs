//! One pair: from files to a folder of results.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use super::channel::ChannelScans;
use super::file_records::FileRecords;
use super::inputs::{Inputs, PairFiles};
use super::landmarks::LandmarkErrors;
use super::outputs;
use crate::cli::output::OutputArgs;
use crate::cli::points::PointSpace;
use crate::cli::reading::ReadArgs;
use crate::cli::registrar::{Found, Optimised, Registrar};
use crate::cli::{Common, record};
use crate::register::{Assessment, OtherScans, RECORD, Registration, ResultFolder, assess};
use crate::volume::Geometry;

/// What the pairs of a command have in common.
pub struct Method {
    pub registrar: Registrar,
    /// What is known of the model for `run.json`.
    pub model: Value,
    pub reading: ReadArgs,
    pub output: OutputArgs,
    pub points_space: PointSpace,
    /// Whether `report.html` is written.
    pub report: bool,
    pub files: FileRecords,
}

impl Method {
    /// What decides about the result of a pair: equal requests have equal results.
    pub fn request(&self, files: &PairFiles) -> Value {
        json!({ "inputs": files.record(&self.files), "model": self.model, "settings": self.settings() })
    }

    fn settings(&self) -> Value {
        json!({
            "network": self.registrar.settings(), "reading": self.reading, "fill": self.output.fill,
            "dtype": self.output.dtype, "label_interpolation": self.output.label_interpolation,
            "points_space": self.points_space,
        })
    }
}

/// A pair that is registered and judged, and not written yet.
pub struct Registered {
    pub inputs: Inputs,
    pub registration: Registration,
    /// The grid that the network worked on, where it did.
    network_grid: Option<Geometry>,
    pub optimised: Option<Optimised>,
    pub judged: Assessment,
    pub errors: Option<LandmarkErrors>,
    started: Instant,
    seconds_read: f64,
    pub seconds_register: f64,
}

/// Registers what `inputs` holds; `started` is when they began to be read.
///
/// # Errors
/// Scans that do not fit together or to the model; a voxel type that the moved image cannot have.
pub fn register(
    inputs: Inputs,
    method: &Method,
    common: &Common,
    started: Instant,
) -> anyhow::Result<Registered> {
    let registrar = &method.registrar;
    let (_, kind) = inputs.moving.content();
    method.output.check_dtype(&inputs.moving.path, &kind)?;
    let others: Vec<OtherScans> = inputs.channels.iter().map(ChannelScans::scans).collect();
    let seconds_read = started.elapsed().as_secs_f64();
    let Found {
        registration,
        network_grid,
        optimised,
        seconds: seconds_register,
    } = registrar.register(&inputs.fixed, &inputs.moving, &others, common)?;
    let assessed = inputs.assessed(method.output.label_interpolation.into());
    let judged = assess(&registration, assessed, registrar.normaliser())?;
    let errors = match &inputs.landmarks {
        None => None,
        Some(landmarks) => landmarks.errors(&registration)?,
    };
    Ok(Registered {
        inputs,
        registration,
        network_grid,
        optimised,
        judged,
        errors,
        started,
        seconds_read,
        seconds_register,
    })
}

impl Registered {
    /// Writes the folder of results, whole or not at all; its record. Earlier results are replaced by `force`.
    ///
    /// # Errors
    /// Refusals of the operating system.
    pub fn write(
        &self,
        out: &Path,
        force: bool,
        method: &Method,
        common: &Common,
    ) -> anyhow::Result<Value> {
        let folder = ResultFolder::new(out, force)?;
        let mut files = outputs::write_files(&folder, self, method)?;
        files.push(RECORD);
        let facts = json!({
            "inputs": self.inputs.record(&method.files),
            "model": method.model,
            "settings": method.settings(),
            "optimised_by": self.optimised.as_ref().map(|by| by.similarity),
            "note": self.note(),
            "network_grid": self.network_grid.as_ref().map(record::grid),
            "measures": self.measures(),
            "landmarks": self.errors.as_ref().map(LandmarkErrors::record),
            "seconds": {
                "read": self.seconds_read, "register": self.seconds_register,
                "all": self.started.elapsed().as_secs_f64(),
            },
            "files": files,
            "directions": DIRECTIONS,
        });
        let record = record::write(&folder.path(RECORD), common, facts)?;
        folder.finish()?;
        Ok(record)
    }

    /// What is to be said of a deformation that is worse than none.
    pub fn note(&self) -> Option<String> {
        let optimised = self.optimised.as_ref().filter(|by| by.worse)?;
        Some(format!(
            "note: by {} the scans are less alike than the linear map alone leaves them; judge the result, or leave the \
             deformation out by --no-network --refine 0",
            optimised.similarity.name()
        ))
    }

    /// Everything measured, before and after.
    fn measures(&self) -> Value {
        let mut measures = json!(self.judged.quality);
        if let Some(errors) = &self.errors {
            for (side, spread) in ["before", "after"].into_iter().zip(errors.spreads()) {
                if let (Some(all), Value::Object(more)) =
                    (measures[side].as_object_mut(), json!(spread))
                {
                    all.extend(more);
                }
            }
        }
        measures
    }
}

/// What the files of transforms mean, for whoever finds the folder.
const DIRECTIONS: &str = "forward.nii.gz: displacement u (LPS mm) on the fixed grid, moved(x) = moving(x + u(x)); \
    inverse.nii.gz: the same on the moving grid, it brings the fixed image there; affine.mat: fixed to moving (LPS mm), \
    contained in both; moved_points.csv: landmarks of moving, carried by inverse to fixed";
