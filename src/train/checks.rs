//! What a run is refused for before anything is written, beside the settings' own rules.

use burn::tensor::{DType, Device};

use super::TrainConfig;
use crate::config::RunConfig;
use crate::dataset::{Dataset, Split};
use crate::device;
use crate::error::{Error, Result};
use crate::loss::{Items, LossConfig};

/// Refuses an overlap of labels that no training pair would have.
pub(super) fn labels(config: &RunConfig, dataset: Option<&Dataset>) -> Result<()> {
    let Some(dataset) = dataset.filter(|_| config.loss.needs_labels() && config.synth.is_none())
    else {
        return Ok(());
    };
    let mut members = dataset.members(Split::Train).iter();
    if members.any(|&n| dataset.items()[n].labels.is_some()) {
        return Ok(());
    }
    Err(Error::invalid(
        "[loss.dice] compares labels, and no image of the train split has any: name them in the manifest or by data.labels, or \
         leave the term out",
    ))
}

/// Refuses mixed precision where it cannot be had.
pub(super) fn precision(config: &TrainConfig, device: &Device) -> Result<()> {
    if !config.mixed_precision || device.supports_dtype(DType::F16) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "train.mixed_precision: {} has no 16-bit floats; leave it out, or try train.gradient_checkpointing where memory is short",
        device::name(device)
    )))
}

/// Refuses real images that nothing compares: their smoothness alone would be learnt, or choose the best weights.
pub(super) fn comparable(loss: &LossConfig, dataset: &Dataset, split: Split) -> Result<()> {
    let mut members = dataset.members(split).iter();
    let labelled = members.any(|&n| dataset.items()[n].labels.is_some());
    if labelled || loss.compares(Items::Real, false) {
        return Ok(());
    }
    let remedy = match split {
        Split::Validation => ", or set train.validation_pairs = 0",
        _ => "",
    };
    Err(Error::invalid(format!(
        "the images of the {split} split have no labels, and no term of [loss] compares real images without them: give them labels, \
         or add a term such as mse or ncc{remedy}"
    )))
}
