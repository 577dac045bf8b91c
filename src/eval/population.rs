//! Intensity variance over all images moved to one fixed image.

use super::PairResult;
use crate::error::Result;
use crate::metric::{IntensityVariance, Metric};
use crate::volume::Image;
use std::collections::BTreeMap;

/// Collects the moving images of each fixed image, before and after, one after another.
#[derive(Debug, Clone, Default)]
pub struct Populations {
    by_fixed: BTreeMap<String, [IntensityVariance; 2]>,
}

impl Populations {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pair's moving and moved image, both on the grid of the fixed image.
    ///
    /// # Errors
    /// The images of one fixed image differ in shape.
    pub fn add(&mut self, fixed: &str, moving: &Image, moved: &Image) -> Result<()> {
        let [before, after] = self.by_fixed.entry(fixed.to_owned()).or_default();
        before.add(&moving.data)?;
        after.add(&moved.data)
    }

    /// A row for every fixed image to which at least two were moved; `pair` is `population`, `moving`
    /// the number of images.
    pub fn rows(&self) -> Vec<PairResult> {
        self.by_fixed
            .iter()
            .filter(|(_, [before, _])| before.images() > 1)
            .map(|(fixed, [before, after])| PairResult {
                pair: "population".to_owned(),
                fixed: fixed.clone(),
                moving: before.images().to_string(),
                structure: String::new(),
                metric: Metric::IntensityVariance,
                before: Some(before.mean()),
                after: Some(after.mean()),
            })
            .collect()
    }
}
