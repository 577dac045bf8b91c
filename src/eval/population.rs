//! Intensity variance over all images moved to one fixed image.

use super::PairResult;
use crate::error::Result;
use crate::metric::{IntensityVariance, Metric};
use crate::volume::Image;
use std::collections::BTreeMap;

/// Collects the moving images of each fixed image, before and after, one after another.
///
/// It is told how many to expect: a fixed image to which one alone moves has no variance, and the sums over voxels of one that
/// all have moved to are let go.
#[derive(Debug, Clone, Default)]
pub struct Populations {
    by_fixed: BTreeMap<String, Population>,
}

#[derive(Debug, Clone, Default)]
struct Population {
    expected: usize,
    images: usize,
    /// Before and after; empty once the means are known.
    sums: [IntensityVariance; 2],
    means: Option<[f64; 2]>,
}

impl Populations {
    /// Of pairs with these fixed images.
    pub fn expecting(fixed: impl IntoIterator<Item = String>) -> Self {
        let mut by_fixed: BTreeMap<String, Population> = BTreeMap::new();
        for name in fixed {
            by_fixed.entry(name).or_default().expected += 1;
        }
        by_fixed.retain(|_, population| population.expected > 1);
        Self { by_fixed }
    }

    /// Adds a pair's moving and moved image, both on the grid of the fixed image.
    ///
    /// # Errors
    /// The images of one fixed image differ in shape.
    pub fn add(&mut self, fixed: &str, moving: &Image, moved: &Image) -> Result<()> {
        match self.by_fixed.get_mut(fixed) {
            Some(population) => population.add(moving, moved),
            None => Ok(()),
        }
    }

    /// A row for every fixed image to which at least two were moved; `pair` is `population`, `moving`
    /// the number of images.
    pub fn rows(&self) -> Vec<PairResult> {
        self.by_fixed
            .iter()
            .filter(|(_, population)| population.images > 1)
            .map(|(fixed, population)| {
                let [before, after] = population.means();
                PairResult {
                    pair: "population".to_owned(),
                    fixed: fixed.clone(),
                    moving: population.images.to_string(),
                    structure: String::new(),
                    metric: Metric::IntensityVariance,
                    before: Some(before),
                    after: Some(after),
                }
            })
            .collect()
    }
}

impl Population {
    fn add(&mut self, moving: &Image, moved: &Image) -> Result<()> {
        let [before, after] = &mut self.sums;
        before.add(&moving.data)?;
        after.add(&moved.data)?;
        self.images += 1;
        if self.images == self.expected {
            self.means = Some(self.means());
            self.sums = Default::default();
        }
        Ok(())
    }

    fn means(&self) -> [f64; 2] {
        let sums = self.sums.each_ref();
        self.means
            .unwrap_or_else(|| sums.map(IntensityVariance::mean))
    }
}
