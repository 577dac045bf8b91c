//! Pairs of a table: registered by a model, or with transforms that are given.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use nalgebra::Matrix4;
use serde_json::json;

use super::unused::Origin;
use super::{EvalArgs, FieldUnits, Outcome, given};
use crate::cli::Common;
use crate::cli::pairs::{self, Row};
use crate::cli::record;
use crate::cli::registrar::{Registrar, Stages};
use crate::cli::scan::ScanFile;
use crate::dataset::corresponding;
use crate::device::peak_memory_bytes;
use crate::eval::{Landmarks, Moved, Options, Pair, Protocol, evaluate_pair};
use crate::register::{Transform, counted, pull_image, pull_labels};
use crate::volume::intensity::Normaliser;
use crate::volume::resample::{Interpolation, LabelInterpolation, Outside};
use crate::volume::{Affine, DisplacementField, Format, Geometry, Image, LabelMap, VoxelPoint};

/// Evaluates every pair of the table.
pub fn evaluate(
    args: &EvalArgs,
    path: &Path,
    options: &Options,
    common: &Common,
    stop: &AtomicBool,
) -> anyhow::Result<Outcome> {
    let rows = pairs::read(path)?;
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
    let mut outcome = Outcome::of_pairs(options.protocol, rows.iter().map(target));
    for (number, row) in rows.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            outcome.left = rows.len() - number;
            break;
        }
        let evaluated = pair(args, row, &mut method, options, common, &mut outcome);
        let failed = match evaluated.with_context(|| format!("pair {}", row.id)) {
            Ok(()) => "",
            Err(error) => {
                outcome.failures.push(format!("{error:#}"));
                "  failed"
            }
        };
        let (number, count) = (number + 1, rows.len());
        common.say(format!("{number:>4} of {count}  {}{failed}", row.id));
    }
    outcome.facts = json!({
        "pairs": record::shown(path), "count": rows.len(), "failures": outcome.failures, "method": method.record(), "reading": args.reading,
        "label_interpolation": args.label_interpolation,
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
    /// Finds the files of all pairs before the first is evaluated.
    fn files(args: &EvalArgs, rows: &[Row]) -> anyhow::Result<Self> {
        for row in rows {
            given::find(row, args.transforms.as_deref())?;
        }
        let challenge = args.protocol != Protocol::Hmorph;
        let usual = if challenge {
            FieldUnits::Voxel
        } else {
            FieldUnits::Lps
        };
        let normalisation = args.model.normalize.clone().unwrap_or_default();
        Ok(Self::Files {
            units: args.field_units.unwrap_or(usual),
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
struct Solution {
    linear: Matrix4<f64>,
    deformation: DisplacementField,
    complete: Transform,
    normaliser: Normaliser,
    seconds: Option<f64>,
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

fn pair(
    args: &EvalArgs,
    row: &Row,
    method: &mut Method,
    options: &Options,
    common: &Common,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let [of_fixed, of_moving] = row.masks.each_ref().map(Option::as_deref);
    let fixed = ScanFile::read(&row.fixed, None, args.reading.fixed())?.masked(of_fixed)?;
    let moving = ScanFile::read(&row.moving, None, args.reading.moving())?.masked(of_moving)?;
    let solution = solve(args, row, method, [&fixed, &moving], common)?;
    let images = Views::images(&fixed, &moving, &solution, options.protocol)?;
    let labels = match &row.labels {
        None => None,
        Some([f, m]) => Some(Views::labels(
            fixed.labels(f)?,
            &moving.labels(m)?,
            &solution,
            args.label_interpolation.into(),
        )?),
    };
    let points = match &row.points {
        None => None,
        Some(files) => Some(Points::read(args, files, [&fixed, &moving], &solution)?),
    };
    // One for each state: what is measured before must not depend on the transform that is judged.
    let masks = [&fixed, &moving].map(|scan| scan.mask.as_ref());
    let within =
        |transform: &Transform| counted(masks, fixed.geometry(), std::slice::from_ref(transform));
    let before = within(&Transform::Affine(solution.linear))?;
    let after = within(&solution.complete)?;
    // The challenges move labels that lie on the fixed grid already, by their own rules.
    let moved = match options.protocol {
        Protocol::Hmorph => Moved {
            image: Some(&images.moved),
            labels: labels.as_ref().map(|l| &l.moved),
        },
        Protocol::Learn2reg | Protocol::Lumir => Moved::default(),
    };
    let names = [&row.fixed, &row.moving].map(|path| crate::dataset::stem(path));
    let evaluation = evaluate_pair(
        &Pair {
            images: Some((&images.fixed, &images.moving)),
            labels: labels.as_ref().map(|l| (&l.fixed, &l.moving)),
            landmarks: points.as_ref().map(Points::landmarks),
            moved,
            landmark_affine: Some(Affine(solution.linear * fixed.geometry().affine.0)),
            mask: after.as_ref(),
            mask_before: before.as_ref(),
            seconds: solution.seconds,
            peak_memory: solution.seconds.and_then(|_| peak_memory_bytes()),
            ..Pair::new(&row.id, &names[0], &names[1], &solution.deformation)
        },
        options,
    )?;
    outcome.rows.extend(evaluation.rows);
    let (moving, moved) = (&images.moving, &images.moved);
    outcome.populations.add(&target(row), moving, moved)?;
    Ok(())
}

/// A fixed image by its path: images of one name may lie in many folders.
fn target(row: &Row) -> String {
    row.fixed.display().to_string()
}

/// Fixed; moving after the linear part alone; moved: all on the fixed grid.
struct Views<T> {
    fixed: T,
    moving: T,
    moved: T,
}

impl Views<Image> {
    /// Where the moving scan does not reach, nothing is compared, but in the challenges.
    fn images(
        fixed: &ScanFile,
        moving: &ScanFile,
        solution: &Solution,
        protocol: Protocol,
    ) -> anyhow::Result<Self> {
        let outside = Outside::Value(match protocol {
            Protocol::Hmorph => f32::NAN,
            Protocol::Learn2reg | Protocol::Lumir => 0.0,
        });
        let (mut target, mut source) = (fixed.image.clone(), moving.image.clone());
        let normaliser = &solution.normaliser;
        normaliser.apply_within(&mut target, fixed.mask.as_ref())?;
        normaliser.apply_within(&mut source, moving.mask.as_ref())?;
        let pull = |transform: Transform| {
            pull_image(
                &source,
                fixed.geometry(),
                &[transform],
                Interpolation::Linear,
                outside,
            )
        };
        Ok(Self {
            moving: pull(Transform::Affine(solution.linear))?,
            moved: pull(solution.complete.clone())?,
            fixed: target,
        })
    }
}

impl Views<LabelMap> {
    fn labels(
        fixed: LabelMap,
        moving: &LabelMap,
        solution: &Solution,
        between: LabelInterpolation,
    ) -> anyhow::Result<Self> {
        let pull =
            |transform: Transform| pull_labels(moving, &fixed.geometry, &[transform], between);
        Ok(Self {
            moving: pull(Transform::Affine(solution.linear))?,
            moved: pull(solution.complete.clone())?,
            fixed,
        })
    }
}

/// Corresponding landmarks, on the fixed grid after the linear part.
enum Points {
    Lists {
        fixed: Vec<VoxelPoint>,
        moving: Vec<VoxelPoint>,
    },
    Volumes {
        fixed: Box<LabelMap>,
        moving: Box<LabelMap>,
    },
}

impl Points {
    fn read(
        args: &EvalArgs,
        [fixed_file, moving_file]: &[std::path::PathBuf; 2],
        [fixed, moving]: [&ScanFile; 2],
        solution: &Solution,
    ) -> anyhow::Result<Self> {
        let grid = fixed.geometry();
        if Format::of(fixed_file).is_ok() {
            let drawn = moving.labels(moving_file)?;
            let start = [Transform::Affine(solution.linear)];
            // A landmark may be a single voxel, which no vote would keep.
            let there = pull_labels(&drawn, grid, &start, LabelInterpolation::Nearest)?;
            return Ok(Self::Volumes {
                fixed: Box::new(fixed.labels(fixed_file)?),
                moving: Box::new(there),
            });
        }
        let f = args.points_space.read(fixed_file, Some(grid))?;
        let m = args
            .points_space
            .read(moving_file, Some(moving.geometry()))?;
        // The fixed grid as the moving world sees it: its voxels are those of the fixed grid.
        let affine = Affine(solution.linear * grid.affine.0);
        let beside = Geometry::new(grid.shape, grid.dimension, affine);
        let all = f.len().max(m.len());
        let (fixed, moving) = corresponding((&f, grid), (&m, &beside))?;
        if fixed.len() < all {
            tracing::warn!(
                "{}: {} of {all} landmarks have a counterpart in {}; the others are left out",
                fixed_file.display(),
                fixed.len(),
                moving_file.display()
            );
        }
        Ok(Self::Lists { fixed, moving })
    }

    fn landmarks(&self) -> Landmarks<'_> {
        match self {
            Self::Lists { fixed, moving } => Landmarks::Points { fixed, moving },
            Self::Volumes { fixed, moving } => Landmarks::Volumes { fixed, moving },
        }
    }
}
