//! Overlap of structures: Dice, Jaccard and absolute volume difference.

use super::labels::{Tally, tally, wanted};
use crate::error::Result;
use ndarray::Array3;

/// Sizes of one structure in the fixed and the moved label map, in voxels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap {
    pub label: i32,
    pub fixed: usize,
    pub moved: usize,
    pub both: usize,
}

impl Overlap {
    /// `2 |F and M| / (|F| + |M|)` (Dice 1945), 0..1; 0 where only one map has the structure, `NaN`
    /// where neither has.
    pub fn dice(&self) -> f64 {
        2.0 * self.both as f64 / (self.fixed + self.moved) as f64
    }

    /// `|F and M| / |F or M|` (Jaccard 1901), 0..1; `NaN` where neither map has the structure.
    pub fn jaccard(&self) -> f64 {
        self.both as f64 / (self.fixed + self.moved - self.both) as f64
    }

    /// Absolute volume difference `100 ||M| - |F|| / |F|` in percent; `NaN` where the fixed map lacks
    /// the structure.
    pub fn absolute_volume_difference(&self) -> f64 {
        if self.fixed == 0 {
            return f64::NAN;
        }
        100.0 * self.moved.abs_diff(self.fixed) as f64 / self.fixed as f64
    }

    fn new(label: i32, tally: Option<&Tally>) -> Self {
        let (fixed, moved, both) = tally.map_or((0, 0, 0), |t| (t.fixed, t.moved, t.both));
        Self {
            label,
            fixed,
            moved,
            both,
        }
    }
}

/// Mean Dice over the labels of `fixed` but 0; `None` where it has none.
///
/// # Errors
/// The two maps differ in shape.
pub fn mean_dice(fixed: &Array3<i32>, moved: &Array3<i32>) -> Result<Option<f64>> {
    let found = overlaps(fixed, moved, None)?;
    let sum = found.iter().map(Overlap::dice).sum::<f64>();
    Ok((!found.is_empty()).then(|| sum / found.len() as f64))
}

/// Overlap of each of `labels`, in that order; without a list, of every label of `fixed` but 0,
/// ascending.
///
/// # Errors
/// The two maps differ in shape.
pub fn overlaps(
    fixed: &Array3<i32>,
    moved: &Array3<i32>,
    labels: Option<&[i32]>,
) -> Result<Vec<Overlap>> {
    let found = tally(fixed, moved)?;
    Ok(wanted(&found, labels)
        .into_iter()
        .map(|label| Overlap::new(label, found.get(&label)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    /// Fixed: 1 on i = 0..4, 2 on i = 4..6; moved: 1 on i = 1..3; 3 only in moved.
    fn pair() -> (Array3<i32>, Array3<i32>) {
        let line = |labels: [i32; 8]| Array3::from_shape_fn((8, 2, 1), |(i, _, _)| labels[i]);
        (
            line([1, 1, 1, 1, 2, 2, 0, 0]),
            line([0, 1, 1, 0, 0, 0, 0, 3]),
        )
    }

    #[test]
    fn follows_the_definitions() {
        let (fixed, moved) = pair();
        let found = overlaps(&fixed, &moved, None).unwrap();
        assert_eq!(found.iter().map(|o| o.label).collect::<Vec<_>>(), [1, 2]);
        // By hand: |F| = 8, |M| = 4, both = 4.
        assert_eq!(found[0].dice(), 8.0 / 12.0);
        assert_eq!(found[0].jaccard(), 0.5);
        assert_eq!(found[0].absolute_volume_difference(), 50.0);
        // Absent from the moved labels.
        assert_eq!(found[1].dice(), 0.0);
        assert_eq!(found[1].absolute_volume_difference(), 100.0);
    }

    #[test]
    fn listed_labels_keep_their_order_and_may_be_absent() {
        let (fixed, moved) = pair();
        let found = overlaps(&fixed, &moved, Some(&[3, 9, 0])).unwrap();
        assert_eq!(found[0].dice(), 0.0);
        assert!(found[0].absolute_volume_difference().is_nan());
        assert!(found[1].dice().is_nan() && found[1].jaccard().is_nan());
        // Background: fixed at i = 6, 7; moved at i = 0, 3..7; both at i = 6.
        assert_eq!((found[2].fixed, found[2].moved, found[2].both), (4, 10, 2));
    }
}
