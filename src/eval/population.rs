//! Intensity variance over all images moved to one fixed image.

use super::PairResult;
use crate::error::Result;
use crate::metric::{IntensityVariance, Metric};
use crate::volume::Image;
use std::collections::{BTreeMap, HashMap};

/// Collects the moving images of each fixed image, before and after, one after another.
///
/// It is told how many to expect: a fixed image to which one alone moves has no variance, and the sums over voxels of one that
/// all have moved to are let go. They are large: whoever follows [`Populations::order`] keeps those of one alone.
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

    /// Numbers of pairs with these fixed images, those of one fixed image after each other.
    pub fn order(fixed: impl IntoIterator<Item = String>) -> impl Iterator<Item = usize> {
        let mut first = HashMap::new();
        let mut order: Vec<(usize, usize)> = fixed
            .into_iter()
            .enumerate()
            .map(|(number, name)| (*first.entry(name).or_insert(number), number))
            .collect();
        order.sort_unstable();
        order.into_iter().map(|(_, number)| number)
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

    /// One pair of a fixed image will not come: it could not be measured.
    pub fn expect_one_less(&mut self, fixed: &str) {
        if let Some(population) = self.by_fixed.get_mut(fixed) {
            population.expected -= 1;
            population.close_if_complete();
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
        self.close_if_complete();
        Ok(())
    }

    fn close_if_complete(&mut self) {
        if self.images == self.expected {
            self.means = Some(self.means());
            self.sums = Default::default();
        }
    }

    fn means(&self) -> [f64; 2] {
        let sums = self.sums.each_ref();
        self.means
            .unwrap_or_else(|| sums.map(IntensityVariance::mean))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Affine, Dimension, Geometry};
    use ndarray::Array3;

    fn image(value: f32) -> Image {
        let geometry = Geometry::new([2, 2, 2], Dimension::Three, Affine::identity());
        Image {
            data: Array3::from_elem(geometry.shape, value),
            geometry,
        }
    }

    #[test]
    fn pairs_of_one_fixed_image_follow_each_other() {
        // Listed by the moving image.
        let fixed = ["b", "c", "a", "c", "a", "b", "a"].map(String::from);
        let order: Vec<usize> = Populations::order(fixed).collect();
        assert_eq!(order, [0, 5, 1, 3, 2, 4, 6]);
    }

    #[test]
    fn sums_are_let_go_once_no_more_images_come() {
        let three = || Populations::expecting(["f", "f", "f"].map(String::from));
        let open = |populations: &Populations| populations.by_fixed["f"].means.is_none();
        // The pair that fails may be the last one or an earlier one.
        for failing in 0..3 {
            let mut populations = three();
            let mut value = 1.0;
            for n in 0..3 {
                assert!(open(&populations));
                if n == failing {
                    populations.expect_one_less("f");
                } else {
                    populations.add("f", &image(value), &image(1.0)).unwrap();
                    value += 2.0;
                }
            }
            assert!(!open(&populations));
            let rows = populations.rows();
            // Variance of 1 and 3, over n - 1.
            assert_eq!((rows[0].before, rows[0].after), (Some(2.0), Some(0.0)));
            assert_eq!(rows[0].moving, "2");
        }
        let mut populations = three();
        populations.expect_one_less("another");
        assert!(open(&populations));
    }
}
