//! What a run is refused for before anything is written, beside the settings' own rules.

use burn::tensor::{DType, Device};

use super::TrainConfig;
use crate::config::RunConfig;
use crate::dataset::{Dataset, Split};
use crate::device;
use crate::error::{Error, Result};
use crate::loss::{Items, LossConfig};

/// Refuses an overlap of labels that no training pair would have. Synthetic pairs always have labels.
pub(super) fn labels(config: &RunConfig, dataset: Option<&Dataset>) -> Result<()> {
    let (low, high) = config.mixture.alpha.range_over(config.train.steps());
    let real = high > 0.0 && dataset.is_some_and(Dataset::trains_on_labels);
    let has_labels =
        |on: Items| low < 1.0 && on.include(Items::Synthetic) || real && on.include(Items::Real);
    let mut terms = config.loss.terms().into_iter();
    match terms.find(|used| used.term.needs_labels() && !has_labels(used.items)) {
        None => Ok(()),
        Some(used) => Err(Error::invalid(format!(
            "[loss.{}] compares labels, and no training pair that it is on has any: name label maps in the manifest or by \
             data.labels (and data.atlas_labels), change its on or mixture.alpha, or leave the term out",
            used.name
        ))),
    }
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

/// Refuses real images that nothing compares: their smoothness alone would be learnt, or choose the best weights. Labels
/// choose by themselves; to be learnt from, they need a term. `labelled` says whether some pair that is taken from `split`
/// has them.
pub(super) fn comparable(loss: &LossConfig, labelled: bool, split: Split) -> Result<()> {
    let measured = labelled && split == Split::Validation;
    if measured || loss.compares(Items::Real, labelled) {
        return Ok(());
    }
    let remedy = match split {
        Split::Validation => ", or set train.validation_pairs = 0",
        _ => "",
    };
    // That labelled images have a term is a matter of the settings alone, which have been checked.
    Err(Error::invalid(format!(
        "the pairs taken from the {split} split have no labels, and no term of [loss] compares real images without them: give them labels \
         (an atlas by data.atlas_labels), or add a term such as mse or ncc{remedy}"
    )))
}

/// Refuses to wait for better validations where there are none.
pub(super) fn patience(config: &TrainConfig, validates: bool) -> Result<()> {
    if config.patience == 0 || validates {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "train.patience is {}, but nothing validates, so that the run would never stop early: expected held-out pairs \
         (train.validation_pairs, and a validation split where there is [data]), or train.patience = 0",
        config.patience
    )))
}
