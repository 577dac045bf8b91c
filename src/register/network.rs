//! What the model says about a prepared pair.

use burn::tensor::{Device, Tensor, TensorData};

use super::InitialField;
use super::prepare::NetworkPair;
use crate::error::{Error, Result};
use crate::kernels::field;
use crate::model::{Model, TransformKind};
use crate::spatial::refine;
use crate::volume::{DisplacementField, Image};

/// Updates of the fixed-point inversion at most, and the residual in voxels that ends it.
pub(super) const INVERSION: (usize, f32) = (100, 0.01);

/// A transform and its inverse on the grid of a [`NetworkPair`], in its voxels.
#[derive(Debug, Clone)]
pub struct NetworkFields {
    /// The pull that makes the moved image.
    pub forward: DisplacementField,
    /// The pull that undoes it: the negated velocity integrated, or the displacement inverted by a fixed point.
    pub inverse: DisplacementField,
}

/// What a model says about a pair.
#[derive(Debug, Clone)]
pub struct Predicted {
    pub fields: NetworkFields,
    /// The field that made them, on the network's grid, for an optimisation to go on from.
    pub start: InitialField,
}

/// Runs the model on `device`.
///
/// # Errors
/// A model that predicts numbers that are not finite.
pub fn predict(model: &Model, pair: &NetworkPair, device: &Device) -> Result<Predicted> {
    let grid = pair.grid();
    let extent = grid.tensor_shape();
    let prediction = model.forward(tensor(&pair.moving, device), tensor(&pair.fixed, device));
    let forward = values(prediction.displacement)?;
    let kind = model.config().transform;
    let (inverse, start) = match kind {
        TransformKind::Velocity => {
            let factor = model.config().velocity_factor();
            let velocity = refine(prediction.regularised.clone(), factor, extent);
            let inverse = model.transform(prediction.regularised.neg(), extent);
            (values(inverse)?, values(velocity)?)
        }
        TransformKind::Displacement => {
            let (updates, tolerance) = INVERSION;
            let axes = grid.dimension.axes();
            let (inverse, _) = field::invert(&forward, axes, extent, updates, tolerance);
            (inverse, forward.clone())
        }
    };
    let on_grid = |values| DisplacementField::from_values(values, grid.clone());
    Ok(Predicted {
        fields: NetworkFields {
            forward: on_grid(forward),
            inverse: on_grid(inverse),
        },
        start: InitialField {
            kind,
            field: on_grid(start),
        },
    })
}

fn tensor(image: &Image, device: &Device) -> Tensor<5> {
    let [d, h, w] = image.geometry.tensor_shape();
    Tensor::from_data(TensorData::new(image.to_vec(), [1, 1, d, h, w]), device)
}

fn values(field: Tensor<5>) -> Result<Vec<f32>> {
    let values: Vec<f32> = field
        .into_data()
        .try_to_vec()
        .expect("displacements are 32-bit floats");
    if values.iter().all(|u| u.is_finite()) {
        return Ok(values);
    }
    Err(Error::invalid(
        "the model predicts displacements that are not finite; its weights, or the normalisation, do not fit these images",
    ))
}
