//! Measures a model on held-out pairs with the metrics that are reported.

use burn::tensor::{Device, Tensor};
use ndarray::{Array3, Array4};

use super::{BatchTensors, objective};
use crate::dataset::{Batch, Sample};
use crate::error::{Error, Result};
use crate::kernels::warp::{self, Border};
use crate::loss::LossConfig;
use crate::metric::{folding, overlaps};
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

/// Registers every pair and averages.
pub fn validate(
    model: &Model,
    samples: impl Iterator<Item = Result<Sample>>,
    loss: &LossConfig,
    device: &Device,
) -> Result<Validation> {
    let mut sum = Validation::default();
    let mut dice = [0.0; 2];
    let (mut pairs, mut with_labels) = (0.0, 0.0);
    for sample in samples {
        let sample = sample?;
        let one = std::slice::from_ref(&sample);
        let batch = Batch::from_samples(pairs as u64, model.config().dimension, one)?;
        let images = BatchTensors::new(&batch, device);
        let prediction = model.forward(images.moving.clone(), images.fixed.clone());
        let judged = objective(loss, model, &batch, &images, &prediction, None)?;
        sum.loss += f64::from(judged.total.into_scalar::<f32>());
        let field = displacement(prediction.displacement, &sample, model.config().dimension)?;
        sum.folded_percent += folding(&field, None)?.percent();
        if let Some([before, after]) = dice_of(&sample, &field)? {
            dice[0] += before;
            dice[1] += after;
            with_labels += 1.0;
        }
        pairs += 1.0;
    }
    let labelled = with_labels > 0.0;
    Ok(Validation {
        loss: sum.loss / pairs,
        dice_before: labelled.then(|| dice[0] / with_labels),
        dice: labelled.then(|| dice[1] / with_labels),
        folded_percent: sum.folded_percent / pairs,
    })
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
    let extent = field.geometry.tensor_shape();
    let moved = warp::nearest(
        &moving.iter().copied().collect::<Vec<_>>(),
        extent,
        &field.data.iter().copied().collect::<Vec<_>>(),
        extent,
        1,
        1,
        field.geometry.dimension.axes(),
        Border::Zeros,
    );
    let moved = Array3::from_shape_vec(moving.raw_dim(), moved).expect("the grid is the same");
    let mean = |labels: &Array3<i32>| -> Result<f64> {
        let found = overlaps(fixed, labels, None)?;
        Ok(found.iter().map(|o| o.dice()).sum::<f64>() / found.len() as f64)
    };
    if fixed.iter().all(|&label| label == 0) {
        return Ok(None);
    }
    Ok(Some([mean(moving)?, mean(&moved)?]))
}
