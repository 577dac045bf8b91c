//! The rows of one pair.

use super::landmarks::landmark_rows;
use super::structures::structure_rows;
use super::{Options, Pair, PairResult, Protocol, moved_image, moved_labels};
use crate::error::Result;
use crate::metric::{
    self, Metric, folding, inverse_consistency, non_diffeomorphic_volume, sd_log_jacobian,
    sd_log_jacobian_l2r,
};
use crate::volume::Image;

/// What evaluating one pair gives: its rows, and the image that was moved on the way.
#[derive(Debug, Clone)]
pub struct Evaluation {
    pub rows: Vec<PairResult>,
    pub moved: Option<Image>,
}

/// Measures a pair by the rules of the protocol.
///
/// # Errors
/// Something is not on the grid of the field, or landmarks do not correspond.
pub fn evaluate_pair(pair: &Pair, options: &Options) -> Result<Evaluation> {
    pair.check()?;
    let moved = pair.images.map(|(_, moving)| match pair.moved.image {
        Some(moved) => moved.clone(),
        None => moved_image(moving, pair.field),
    });
    let labels = pair.labels.map(|(_, moving)| match pair.moved.labels {
        Some(moved) => moved.clone(),
        None => moved_labels(moving, pair.field, options.protocol),
    });
    let mut rows = Vec::new();
    if let (Some(given), Some(labels)) = (pair.labels, &labels) {
        let found = structure_rows(pair, options, given, labels, moved.as_ref())?;
        rows.extend(found);
    }
    rows.extend(landmark_rows(pair, options)?);
    if let (Protocol::Hmorph, Some((fixed, moving)), Some(moved)) =
        (options.protocol, pair.images, &moved)
    {
        rows.extend(image_rows(pair, fixed, moving, moved)?);
    }
    rows.extend(match options.protocol {
        Protocol::Hmorph => field_rows(pair)?,
        Protocol::Learn2reg => {
            let spread = sd_log_jacobian_l2r(pair.field, pair.mask)?;
            vec![after(pair, Metric::SdLogJacobianL2r, spread)]
        }
        Protocol::Lumir => vec![lumir_row(pair)?],
    });
    rows.extend(cost_rows(pair));
    Ok(Evaluation { rows, moved })
}

/// A row without a value before registration.
fn after(pair: &Pair, metric: Metric, value: f64) -> PairResult {
    PairResult::new(pair, "", metric, None, Some(value))
}

fn image_rows(
    pair: &Pair,
    fixed: &Image,
    moving: &Image,
    moved: &Image,
) -> Result<Vec<PairResult>> {
    let window = metric::window(metric::WINDOW, fixed.geometry.dimension);
    let before = (moving, pair.mask_before.or(pair.mask));
    let sides = [before, (moved, pair.mask)].map(|(image, mask)| -> Result<[f64; 4]> {
        let (f, m) = (&fixed.data, &image.data);
        Ok([
            metric::mse(f, m, mask)?,
            metric::ncc(f, m, mask)?,
            metric::local_ncc(f, m, window, mask)?,
            metric::mutual_information(f, m, mask)?,
        ])
    });
    let [before, after] = sides;
    let (before, after) = (before?, after?);
    let measures = [
        Metric::Mse,
        Metric::Ncc,
        Metric::LocalNcc,
        Metric::MutualInformation,
    ];
    Ok((0..measures.len())
        .map(|n| PairResult::new(pair, "", measures[n], Some(before[n]), Some(after[n])))
        .collect())
}

fn field_rows(pair: &Pair) -> Result<Vec<PairResult>> {
    let folds = folding(pair.field, pair.mask)?;
    let volume = non_diffeomorphic_volume(pair.field, pair.mask)?;
    let mut rows = vec![
        after(pair, Metric::FoldedVoxels, folds.folded as f64),
        after(pair, Metric::FoldedPercent, folds.percent()),
        after(pair, Metric::NonDiffeomorphicVolume, volume.percent()),
        after(
            pair,
            Metric::SdLogJacobian,
            sd_log_jacobian(pair.field, pair.mask)?,
        ),
    ];
    if let Some(inverse) = pair.inverse {
        let error = inverse_consistency(pair.field, inverse)?;
        rows.push(after(pair, Metric::InverseConsistency, error.mean_mm));
        rows.push(after(
            pair,
            Metric::InverseConsistencyVoxels,
            error.mean_voxels,
        ));
    }
    Ok(rows)
}

/// LUMIR masks the non-diffeomorphic volume by the moving image; without images by the mask given.
fn lumir_row(pair: &Pair) -> Result<PairResult> {
    let bright = match (pair.foreground, pair.images) {
        (None, Some((_, moving))) => Some(moving.data.mapv(|v| v > 0.0)),
        _ => None,
    };
    let mask = pair.foreground.or(bright.as_ref()).or(pair.mask);
    let volume = non_diffeomorphic_volume(pair.field, mask)?;
    Ok(after(
        pair,
        Metric::NonDiffeomorphicVolume,
        volume.percent(),
    ))
}

fn cost_rows(pair: &Pair) -> Vec<PairResult> {
    const MEBIBYTE: f64 = 1048576.0;
    let seconds = pair
        .seconds
        .map(|value| after(pair, Metric::Seconds, value));
    let memory = pair
        .peak_memory
        .map(|bytes| after(pair, Metric::PeakMemory, bytes as f64 / MEBIBYTE));
    seconds.into_iter().chain(memory).collect()
}
