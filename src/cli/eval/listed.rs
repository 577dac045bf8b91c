//! Pairs of a table: registered by a model, or with transforms that are given.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use nalgebra::Matrix4;
use serde_json::json;

use super::aligned::Aligned;
use super::unused::Origin;
use super::walk::walk;
use super::{EvalArgs, FieldUnits, Outcome, given};
use crate::cli::Common;
use crate::cli::pairs::{self, Purpose, Row};
use crate::cli::record;
use crate::cli::registrar::{Registrar, Stages};
use crate::cli::scan::ScanFile;
use crate::eval::{Options, PairResult, Populations, Protocol};
use crate::register::Transform;
use crate::volume::intensity::Normaliser;
use crate::volume::{DisplacementField, SeriesFile};

/// Evaluates every pair of the table.
pub fn evaluate(
    args: &EvalArgs,
    path: &Path,
    options: &Options,
    common: &Common,
    stop: &AtomicBool,
) -> anyhow::Result<Outcome> {
    let rows = pairs::read(path, Purpose::Evaluate)?;
    let origin = match rows.iter().any(|row| row.transform.is_some()) {
        true => Origin::Column(path),
        false if args.transforms.is_some() => Origin::Folder,
        false => Origin::Scans,
    };
    args.check_unused(origin)?;
    let mut method = match origin {
        Origin::Scans | Origin::HeldOut => Method::Model(None),
        Origin::Column(_) | Origin::Folder => Method::files(args, &rows)?,
    };
    let fixed: Vec<String> = rows.iter().map(target).collect();
    let mut outcome = Outcome::of_pairs(options.protocol, &fixed);
    let say = |line: String| common.say(line);
    let walked = walk(&fixed, stop, say, |number| {
        let row = &rows[number];
        let populations = &mut outcome.populations;
        let measured = pair(args, row, &mut method, options, common, populations);
        (row.id.clone(), measured)
    });
    (outcome.left, outcome.failures) = (walked.left, walked.failures);
    let mut notes = Vec::new();
    for (measured, note) in walked.found {
        outcome.rows.extend(measured);
        notes.extend(note);
    }
    outcome.facts = json!({
        "pairs": record::shown(path), "count": rows.len(), "failures": outcome.failures, "notes": notes, "method": method.record(),
        "reading": args.reading, "label_interpolation": args.label_interpolation, "points_space": args.points_space(),
    });
    Ok(outcome)
}

/// Where transforms come from.
enum Method {
    /// The model, once the first pair has told the dimension.
    Model(Option<Box<Registrar>>),
    Files {
        units: FieldUnits,
        normaliser: Normaliser,
    },
}

impl Method {
    /// Some pair must have its file; what failed on the others is told when their turn comes.
    fn files(args: &EvalArgs, rows: &[Row]) -> anyhow::Result<Self> {
        let folder = args.transforms.as_deref();
        let found: Vec<_> = rows.iter().map(|row| given::find(row, folder)).collect();
        if found.iter().all(Result::is_err)
            && let Some(Err(missing)) = found.into_iter().next()
        {
            return Err(missing);
        }
        let normalisation = args.model.normalize.clone().unwrap_or_default();
        Ok(Self::Files {
            units: args.field_units(),
            normaliser: normalisation.prepare()?,
        })
    }

    fn record(&self) -> serde_json::Value {
        match self {
            Self::Model(registrar) => registrar.as_ref().map_or(
                serde_json::Value::Null,
                |r| json!({ "model": r.record(), "settings": r.settings() }),
            ),
            Self::Files { units, .. } => json!({ "field_units": units }),
        }
    }
}

/// A transform of one pair, on the fixed grid.
pub struct Solution {
    pub linear: Matrix4<f64>,
    pub deformation: DisplacementField,
    pub complete: Transform,
    pub normaliser: Normaliser,
    pub seconds: Option<f64>,
}

fn solve(
    args: &EvalArgs,
    row: &Row,
    method: &mut Method,
    [fixed, moving]: [&ScanFile; 2],
    common: &Common,
) -> anyhow::Result<Solution> {
    match method {
        Method::Files { units, normaliser } => {
            let path = given::find(row, args.transforms.as_deref())?;
            let field = given::read(&path, *units, fixed.geometry())?;
            Ok(Solution {
                linear: Matrix4::identity(),
                complete: Transform::field(field.clone())?,
                deformation: field,
                normaliser: normaliser.clone(),
                seconds: None,
            })
        }
        Method::Model(registrar) => {
            let registrar = match registrar {
                Some(registrar) => registrar,
                none => none.insert(Box::new(Registrar::new(
                    &args.model,
                    fixed.geometry().dimension,
                    Stages::Network,
                    common,
                )?)),
            };
            let found = registrar.register(fixed, moving, &[], common)?;
            let [complete] = found.registration.transform()?;
            Ok(Solution {
                linear: found.registration.linear,
                deformation: found.registration.deformation,
                complete,
                normaliser: registrar.normaliser().clone(),
                seconds: Some(found.seconds),
            })
        }
    }
}

/// The rows of one pair, whose images join the population of the fixed one, and what is to be said of its landmarks.
fn pair(
    args: &EvalArgs,
    row: &Row,
    method: &mut Method,
    options: &Options,
    common: &Common,
    populations: &mut Populations,
) -> anyhow::Result<(Vec<PairResult>, Option<String>)> {
    let fixed = target(row);
    match measure(args, row, method, options, common) {
        Ok((rows, aligned)) => {
            let note = aligned.note.clone();
            let [before, after] = aligned.into_counted();
            populations.add(&fixed, &before, &after)?;
            Ok((rows, note))
        }
        Err(error) => {
            populations.expect_one_less(&fixed);
            Err(error)
        }
    }
}

fn measure(
    args: &EvalArgs,
    row: &Row,
    method: &mut Method,
    options: &Options,
    common: &Common,
) -> anyhow::Result<(Vec<PairResult>, Aligned)> {
    let [fixed, moving] = scans(args, row)?;
    let solution = solve(args, row, method, [&fixed, &moving], common)?;
    let aligned = Aligned::new(args, row, [&fixed, &moving], &solution)?;
    if let Some(note) = &aligned.note {
        common.say(note);
    }
    let evaluation = aligned.evaluate(row, &solution, options)?;
    Ok((evaluation.rows, aligned))
}

/// Both scans, with the intensities of the file where the protocol asks for them, and on one grid where it compares arrays.
fn scans(args: &EvalArgs, row: &Row) -> anyhow::Result<[ScanFile; 2]> {
    let [of_fixed, of_moving] = row.masks.each_ref().map(Option::as_deref);
    let fixed = ScanFile::read(&row.fixed, None, args.reading.fixed())?;
    let moving = match args.protocol {
        Protocol::Lumir => {
            let file = SeriesFile::read(&row.moving)?;
            ScanFile::to_move(&file, None, args.reading.moving())?
        }
        Protocol::Hmorph | Protocol::Learn2reg => {
            ScanFile::read(&row.moving, None, args.reading.moving())?
        }
    };
    let [fixed, moving] = match args.protocol.challenge() {
        false => [fixed, moving],
        true => {
            let grid = fixed.geometry().clone();
            [fixed.laid_on(&grid)?, moving.laid_on(&grid)?]
        }
    };
    Ok([fixed.masked(of_fixed)?, moving.masked(of_moving)?])
}

/// A fixed image by its path: images of one name may lie in many folders.
fn target(row: &Row) -> String {
    row.fixed.display().to_string()
}
