//! One pass over two label maps: sizes, overlap and bounding box of every label.

use crate::error::{Error, Result};
use ndarray::Array3;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// What one pass finds of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    pub fixed: usize,
    pub moved: usize,
    pub both: usize,
    /// First and last voxel, along each axis, of the label in either map.
    pub low: [usize; 3],
    pub high: [usize; 3],
}

pub(super) type Tallies = BTreeMap<i32, Tally>;

/// Counts every label that occurs in either map.
pub(super) fn tally(fixed: &Array3<i32>, moved: &Array3<i32>) -> Result<Tallies> {
    same_shape("label maps", fixed.shape(), moved.shape())?;
    let tallies = (0..fixed.shape()[0])
        .into_par_iter()
        .map(|i| slab(fixed, moved, i))
        .reduce(Tallies::new, merge);
    Ok(tallies)
}

/// `labels` as given; without a list, every label of the fixed map but 0, ascending.
pub(super) fn wanted(found: &Tallies, labels: Option<&[i32]>) -> Vec<i32> {
    match labels {
        Some(labels) => labels.to_vec(),
        None => found
            .iter()
            .filter(|(label, tally)| **label != 0 && tally.fixed > 0)
            .map(|(label, _)| *label)
            .collect(),
    }
}

/// An error naming both shapes when they differ.
pub(super) fn same_shape(what: &str, fixed: &[usize], moved: &[usize]) -> Result<()> {
    if fixed == moved {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{what}: shapes {fixed:?} and {moved:?} differ; a measure needs both on the fixed grid"
    )))
}

fn slab(fixed: &Array3<i32>, moved: &Array3<i32>, i: usize) -> Tallies {
    let mut found = Tallies::new();
    let [_, nj, nk] = [0, 1, 2].map(|axis| fixed.shape()[axis]);
    for j in 0..nj {
        for k in 0..nk {
            let (f, m) = (fixed[[i, j, k]], moved[[i, j, k]]);
            let here = found.entry(f).or_insert_with(|| Tally::at([i, j, k]));
            here.fixed += 1;
            here.grow([i, j, k], [i, j, k]);
            if f == m {
                here.moved += 1;
                here.both += 1;
            } else {
                let there = found.entry(m).or_insert_with(|| Tally::at([i, j, k]));
                there.moved += 1;
                there.grow([i, j, k], [i, j, k]);
            }
        }
    }
    found
}

fn merge(mut into: Tallies, from: Tallies) -> Tallies {
    for (label, tally) in from {
        into.entry(label)
            .and_modify(|sum| {
                sum.fixed += tally.fixed;
                sum.moved += tally.moved;
                sum.both += tally.both;
                sum.grow(tally.low, tally.high);
            })
            .or_insert(tally);
    }
    into
}

impl Tally {
    fn at(voxel: [usize; 3]) -> Self {
        Self {
            fixed: 0,
            moved: 0,
            both: 0,
            low: voxel,
            high: voxel,
        }
    }

    fn grow(&mut self, low: [usize; 3], high: [usize; 3]) {
        for axis in 0..3 {
            self.low[axis] = self.low[axis].min(low[axis]);
            self.high[axis] = self.high[axis].max(high[axis]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn counts_and_boxes_of_an_asymmetric_pair() {
        let mut fixed = Array3::<i32>::zeros((3, 4, 2));
        let mut moved = fixed.clone();
        fixed[[0, 1, 0]] = 7;
        fixed[[2, 1, 1]] = 7;
        moved[[2, 1, 1]] = 7;
        moved[[2, 3, 0]] = 7;
        moved[[1, 0, 0]] = -4;
        let found = tally(&fixed, &moved).unwrap();
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [-4, 0, 7]);
        let seven = found[&7];
        assert_eq!((seven.fixed, seven.moved, seven.both), (2, 2, 1));
        assert_eq!((seven.low, seven.high), ([0, 1, 0], [2, 3, 1]));
        assert_eq!((found[&-4].fixed, found[&-4].moved), (0, 1));
    }

    #[test]
    fn different_shapes_are_refused_by_naming_both() {
        let error = tally(&Array3::zeros((2, 2, 2)), &Array3::zeros((2, 3, 2))).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("[2, 2, 2]") && text.contains("[2, 3, 2]"),
            "{text}"
        );
    }
}
