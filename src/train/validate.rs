//! Measures a model on held-out pairs with the metrics that are reported.

use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::{Device, Tensor};
use ndarray::{Array3, Array4};

use super::{BatchTensors, ItemWeights, objective};
use crate::dataset::{Batch, Sample};
use crate::error::{Error, Result};
use crate::kernels::warp::{self, Border, Shape};
use crate::loss::LossConfig;
use crate::metric::{folding, mean_dice};
use crate::model::Model;
use crate::volume::{Affine, Dimension, DisplacementField, Geometry};

/// Means over the held-out pairs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Validation {
    /// Total loss.
    pub loss: f64,
    /// Mean Dice over labels and pairs before and after registration, where labels exist.
    pub dice_before: Option<f64>,
    pub dice: Option<f64>,
    /// Voxels with a Jacobian determinant that is not positive, in percent of the network grid.
    pub folded_percent: f64,
}

impl Validation {
    /// Larger is better: Dice where labels exist, else the negative loss.
    pub fn score(&self) -> f64 {
        self.dice.unwrap_or(-self.loss)
    }
}

/// What is measured of one held-out pair.
struct Measured {
    loss: f64,
    /// Mean over labels before and after, where labels exist.
    dice: Option<[f64; 2]>,
    folded_percent: f64,
}

/// Registers every pair and averages; `None` when `stop` was set before the last one.
///
/// # Errors
/// A pair that cannot be made; a loss that is not finite, said to be found at `step`.
pub fn validate(
    model: &Model,
    samples: impl Iterator<Item = Result<Sample>>,
    loss: &LossConfig,
    device: &Device,
    step: u64,
    stop: &AtomicBool,
) -> Result<Option<Validation>> {
    let place = format!("validation after step {step}");
    let mut found = Vec::new();
    for sample in samples {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        found.push(measure(model, &sample?, loss, device, &place)?);
    }
    Ok(Some(average(&found)))
}

fn measure(
    model: &Model,
    sample: &Sample,
    loss: &LossConfig,
    device: &Device,
    place: &str,
) -> Result<Measured> {
    let dimension = model.config().dimension;
    let batch = Batch::from_samples(0, dimension, std::slice::from_ref(sample))?;
    let images = BatchTensors::new(&batch, device);
    let prediction = model.forward(images.moving.clone(), images.fixed.clone());
    let judged = objective(
        loss,
        model,
        &batch,
        &images,
        &prediction,
        ItemWeights::mean(&batch),
    );
    let loss = judged.read(None, place, &batch)?.total;
    let field = displacement(prediction.displacement, sample, dimension)?;
    Ok(Measured {
        loss,
        dice: dice_of(sample, &field)?,
        folded_percent: folding(&field, None)?.percent(),
    })
}

fn average(found: &[Measured]) -> Validation {
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    let dice: Vec<[f64; 2]> = found.iter().filter_map(|m| m.dice).collect();
    let mean_dice = |which: usize| {
        let values: Vec<f64> = dice.iter().map(|d| d[which]).collect();
        (!values.is_empty()).then(|| mean(values))
    };
    Validation {
        loss: mean(found.iter().map(|m| m.loss).collect()),
        dice_before: mean_dice(0),
        dice: mean_dice(1),
        folded_percent: mean(found.iter().map(|m| m.folded_percent).collect()),
    }
}

/// The only item of a displacement tensor as a field on the network grid.
fn displacement(
    tensor: Tensor<5>,
    sample: &Sample,
    dimension: Dimension,
) -> Result<DisplacementField> {
    let values: Vec<f32> = tensor
        .into_data()
        .try_to_vec()
        .expect("displacements are 32-bit floats");
    let (i, j, k) = sample.fixed.dim();
    let data = Array4::from_shape_vec((dimension.axes(), i, j, k), values)
        .map_err(|e| Error::invalid(format!("displacement does not fill the grid: {e}")))?;
    let geometry = Geometry::new([i, j, k], dimension, Affine::identity());
    Ok(DisplacementField { data, geometry })
}

/// Mean Dice over the labels of the fixed image, before and after moving the labels (nearest voxel).
fn dice_of(sample: &Sample, field: &DisplacementField) -> Result<Option<[f64; 2]>> {
    let (Some(fixed), Some(moving)) = (&sample.fixed_labels, &sample.moving_labels) else {
        return Ok(None);
    };
    let grid = &field.geometry;
    let shape = Shape::one(grid.tensor_shape(), grid.dimension.axes(), Border::Zeros);
    let labels: Vec<i32> = moving.iter().copied().collect();
    let moved = warp::nearest(&labels, &field.to_vec(), &shape);
    let moved = Array3::from_shape_vec(moving.raw_dim(), moved).expect("the grid is the same");
    let both = mean_dice(fixed, moving)?.zip(mean_dice(fixed, &moved)?);
    Ok(both.map(|(before, after)| [before, after]))
}
