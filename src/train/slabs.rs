//! Parts of the grid at full resolution, for a network whose features are too large to hold at once.

use std::ops::Range;

use burn::tensor::Tensor;

use crate::model::{Joint, Model};

/// Planes of a slab without its margin: even, as is the margin, since the coarser grid has half as many.
const PLANES: usize = 32;

/// Some planes of the grid of the features.
pub(super) struct Slab {
    /// Along which it is cut: the first spatial axis that is longer than one voxel.
    pub axis: usize,
    /// Whose output it gives.
    pub planes: Range<usize>,
    /// Whose input that needs.
    pub reach: Range<usize>,
}

/// The slabs from the first plane to the last.
pub(super) fn slabs(joint: &Joint, head_reach: usize) -> Vec<Slab> {
    let grid = joint.skip.as_ref().unwrap_or(&joint.low).dims();
    let axis = (2..5).find(|&axis| grid[axis] > 1).unwrap_or(2);
    let length = grid[axis];
    let margin = head_reach.next_multiple_of(2);
    let slab = |start: usize| {
        let end = (start + PLANES).min(length);
        Slab {
            axis,
            planes: start..end,
            reach: start.saturating_sub(margin)..(end + margin).min(length),
        }
    };
    (0..length).step_by(PLANES).map(slab).collect()
}

impl Slab {
    /// The features that its output depends on.
    pub fn cut(&self, joint: &Joint) -> Joint {
        let cut = |whole: &Tensor<5>, planes| whole.clone().slice_dim(self.axis, planes);
        Joint {
            low: cut(&joint.low, self.low_reach(joint)),
            skip: joint
                .skip
                .as_ref()
                .map(|skip| cut(skip, self.reach.clone())),
        }
    }

    /// [`Self::reach`] on the grid of the decoder's features, which is half as fine where a skip is to be joined.
    pub fn low_reach(&self, joint: &Joint) -> Range<usize> {
        match joint.skip {
            Some(_) => self.reach.start / 2..self.reach.end / 2,
            None => self.reach.clone(),
        }
    }

    /// The predicted field on [`Self::planes`], from the features that [`Self::cut`] gives.
    pub fn head(&self, model: &Model, cut: Joint) -> Tensor<5> {
        let inner = self.planes.start - self.reach.start..self.planes.end - self.reach.start;
        model.head(cut).slice_dim(self.axis, inner)
    }

    /// Adds a part, made from `planes`, to the whole.
    pub fn add(&self, whole: Tensor<5>, planes: Range<usize>, part: Tensor<5>) -> Tensor<5> {
        let mut region = whole.dims().map(|length| 0..length);
        region[self.axis] = planes;
        let sum = whole.clone().slice(region.clone()) + part;
        whole.slice_assign(region, sum)
    }
}
