//! What a convolution and its transpose do along each axis, in one common form.
//!
//! Both are sums of taps over a zero-padded source: target index `split * m + phase` reads the
//! padded source at `step * m + offset`. A convolution of stride s has step s and one phase; its
//! transpose has step 1 and s phases, each with its own taps.

/// One term of the sum along an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tap {
    /// Index into the kernel along this axis.
    pub(super) weight: usize,
    /// Where it reads, in padded source voxels from `step * m`.
    pub(super) offset: usize,
}

/// One axis of a convolution or of its transpose.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    /// Voxels of the source.
    pub(super) source: usize,
    /// Voxels of the target.
    pub(super) target: usize,
    /// Zeros before the first source voxel.
    pub(super) padding: usize,
    /// Source voxels from one position to the next.
    pub(super) step: usize,
    /// Taps of each phase; their number is the target voxels from one position to the next.
    pub(super) phases: Vec<Vec<Tap>>,
}

impl Axis {
    /// Convolution of odd size `kernel`, padded by `kernel / 2`.
    pub(super) fn convolution(source: usize, kernel: usize, stride: usize) -> Self {
        let taps = (0..kernel).map(|t| Tap {
            weight: t,
            offset: t,
        });
        Self {
            source,
            target: (source - 1) / stride + 1,
            padding: kernel / 2,
            step: stride,
            phases: vec![taps.collect()],
        }
    }

    /// Transpose of [`Self::convolution`] of the same arguments: from its target to its source.
    pub(super) fn transpose(target: usize, kernel: usize, stride: usize) -> Self {
        let padding = if stride == 1 { kernel / 2 } else { 0 };
        Self {
            source: (target - 1) / stride + 1,
            target,
            padding,
            step: 1,
            phases: (0..stride)
                .map(|phase| transposed_taps(phase, kernel, stride, padding))
                .collect(),
        }
    }

    /// Positions `m`: target voxels of the first phase.
    pub(super) fn positions(&self) -> usize {
        self.target.div_ceil(self.phases.len())
    }

    /// Padded source voxels one position needs.
    pub(super) fn window(&self) -> usize {
        let taps = self.phases.iter().flatten();
        taps.map(|tap| tap.offset + 1).max().unwrap_or(1)
    }

    /// Steps beyond its own that a position reads into: `floor(offset / step)` at most.
    pub(super) fn reach(&self) -> usize {
        (self.window() - 1) / self.step
    }

    /// The source voxel at a padded index, if it is not padding.
    pub(super) fn source_at(&self, padded: usize) -> Option<usize> {
        padded
            .checked_sub(self.padding)
            .filter(|&index| index < self.source)
    }
}

/// Taps of one phase of the transpose, by increasing weight index.
///
/// Target i receives `weight[t]` from source o where `stride * o + t - kernel / 2 = i`; with
/// `i = stride * m + phase` that is `o = m + (phase + kernel / 2 - t) / stride` where it divides.
fn transposed_taps(phase: usize, kernel: usize, stride: usize, padding: usize) -> Vec<Tap> {
    let shifted = phase + kernel / 2 + padding * stride;
    (0..kernel)
        .filter(|&t| (shifted - t).is_multiple_of(stride))
        .map(|weight| Tap {
            weight,
            offset: (shifted - weight) / stride,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tap(weight: usize, offset: usize) -> Tap {
        Tap { weight, offset }
    }

    #[test]
    fn transpose_of_stride_one_is_the_flipped_kernel() {
        let axis = Axis::transpose(7, 3, 1);
        assert_eq!(axis.phases, [[tap(0, 2), tap(1, 1), tap(2, 0)]]);
        assert_eq!((axis.source, axis.padding), (7, 1));
    }

    #[test]
    fn transpose_of_stride_two_has_one_and_two_taps() {
        let axis = Axis::transpose(7, 3, 2);
        assert_eq!(axis.phases, [vec![tap(1, 0)], vec![tap(0, 1), tap(2, 0)]]);
        assert_eq!((axis.source, axis.positions(), axis.window()), (4, 4, 2));
    }

    #[test]
    fn transpose_of_a_strided_kernel_of_one_leaves_odd_voxels_without_taps() {
        let axis = Axis::transpose(6, 1, 2);
        assert_eq!(axis.phases, [vec![tap(0, 0)], vec![]]);
    }
}
