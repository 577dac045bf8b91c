//! Grids of the pyramid, and fields between them.
//!
//! All grids of a pyramid share their corners: coordinates scale by `(to - 1) / (from - 1)` along each axis.

use crate::kernels::{Extent, gaussian, resize};
use crate::volume::{Dimension, Geometry};

/// A grid as kernels see it, with its voxel sizes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Grid {
    /// `[d, h, w]`; 2-D has `d = 1`.
    pub extent: Extent,
    /// Of `[d, h, w]`, mm.
    pub spacing: [f64; 3],
    /// Components of a field, which move along the last axes of the extent.
    pub axes: usize,
}

/// No axis is made coarser than this many voxels.
const FEWEST: usize = 4;

impl Grid {
    pub fn of(geometry: &Geometry) -> Self {
        let [i, j, k] = geometry.spacing();
        Self {
            extent: geometry.tensor_shape(),
            spacing: match geometry.dimension {
                Dimension::Two => [1.0, i, j],
                Dimension::Three => [i, j, k],
            },
            axes: geometry.dimension.axes(),
        }
    }

    pub fn voxels(&self) -> usize {
        self.extent.iter().product()
    }

    /// The axis of the extent along which component `c` moves.
    pub fn axis(&self, c: usize) -> usize {
        c + 3 - self.axes
    }

    /// The smallest voxel size along an axis that has more than one voxel.
    pub fn finest(&self) -> f64 {
        let sizes = (0..3).filter(|&axis| self.extent[axis] > 1);
        sizes
            .map(|axis| self.spacing[axis])
            .fold(f64::INFINITY, f64::min)
    }

    /// The grid of the same corners with voxels of `factor` times the finest size, along the axes where they are
    /// smaller than that: thick slices stay until the others have come up to them.
    pub fn coarser(self, factor: f64) -> Self {
        let size = factor * self.finest();
        let mut grid = self;
        for axis in 0..3 {
            let (n, spacing) = (self.extent[axis], self.spacing[axis]);
            if n > FEWEST && spacing < size {
                let length = (n - 1) as f64 * spacing;
                // A grid that is twice as fine has this many steps, give or take rounding.
                let steps = (length / size - 1e-6).ceil() as usize;
                grid.extent[axis] = (steps + 1).clamp(FEWEST, n);
                grid.spacing[axis] = length / (grid.extent[axis] - 1) as f64;
            }
        }
        grid
    }

    /// `channels` images on this grid brought to a coarser one, [`Self::smooth_for`] it.
    pub fn shrink(&self, images: &[f32], channels: usize, to: &Self) -> Vec<f32> {
        if self.extent == to.extent {
            return images.to_vec();
        }
        let smooth = self.smooth_for(images, channels, to);
        resize::linear(&smooth, channels, self.extent, to.extent, 1.0)
    }

    /// Images smoothed by half a voxel of another grid along the axes where that is coarser, against aliasing.
    pub fn smooth_for(&self, images: &[f32], channels: usize, to: &Self) -> Vec<f32> {
        let sd = [0, 1, 2].map(|axis| match to.extent[axis] < self.extent[axis] {
            true => 0.5 * to.spacing[axis] / self.spacing[axis],
            false => 0.0,
        });
        gaussian::smooth(images, channels, self.extent, sd)
    }

    /// A field on this grid brought to another, its vectors in voxels of that.
    pub fn regrid(&self, field: &[f32], to: &Self) -> Vec<f32> {
        if self.extent == to.extent {
            return field.to_vec();
        }
        let components = field.chunks_exact(self.voxels()).enumerate();
        let onto = |(c, u)| resize::linear(u, 1, self.extent, to.extent, self.scale(to, c));
        components.map(onto).collect::<Vec<_>>().concat()
    }

    /// Gradient of [`Self::regrid`]: from one for the field on `to` to one for the field on this grid.
    pub fn regrid_grad(&self, grad: Vec<f32>, to: &Self) -> Vec<f32> {
        if self.extent == to.extent {
            return grad;
        }
        let components = grad.chunks_exact(to.voxels()).enumerate();
        let back = |(c, g)| resize::linear_grad(g, 1, self.extent, to.extent, self.scale(to, c));
        components.map(back).collect::<Vec<_>>().concat()
    }

    /// Weights from 0 to 1 on another grid: highest where voxels of this grid are marked by 1, falling to 0 around them.
    pub fn neighbourhood(&self, marked: &[f32], to: &Self) -> Vec<f32> {
        let mut weight = vec![0.0; to.voxels()];
        let [_, h, w] = self.extent;
        for at in (0..marked.len()).filter(|&at| marked[at] > 0.0) {
            let place = [at / (h * w), at / w % h, at % w];
            let nearest = [0, 1, 2].map(|axis| {
                let steps = |grid: &Self| grid.extent[axis].max(2) - 1;
                (place[axis] * steps(to) + steps(self) / 2) / steps(self)
            });
            weight[(nearest[0] * to.extent[1] + nearest[1]) * to.extent[2] + nearest[2]] = 1.0;
        }
        let sd = to.extent.map(|n| if n > 1 { 1.5 } else { 0.0 });
        let mut weight = gaussian::smooth(&weight, 1, to.extent, sd);
        // In 2-D a single marked voxel has the full weight up to two voxels along each axis; in 3-D, where the blur spreads it
        // thinner, it has 0.94 itself and 0.39 two voxels away.
        weight.iter_mut().for_each(|w| *w = (50.0 * *w).min(1.0));
        weight
    }

    /// What a length along component `c` is multiplied by on the way to another grid.
    fn scale(&self, to: &Self, c: usize) -> f32 {
        let steps = |grid: &Self| (grid.extent[grid.axis(c)].max(2) - 1) as f32;
        steps(to) / steps(self)
    }
}

/// Smallest extent of an axis that a coarser level may have made.
const SMALLEST: usize = 16;
/// Levels at most; images have fewer before they are small.
const MOST: u32 = 12;

/// The grids of the pyramid, from coarse to fine; the last is `finest` itself.
pub(super) fn pyramid(finest: Grid) -> Vec<Grid> {
    let mut levels = vec![finest];
    for level in 1..MOST {
        let next = finest.coarser(f64::from(1 << level));
        let unchanged = next.extent == levels[levels.len() - 1].extent;
        let small =
            |axis: usize| next.extent[axis] < SMALLEST && next.extent[axis] < finest.extent[axis];
        if unchanged || (0..3).any(small) {
            break;
        }
        levels.push(next);
    }
    levels.reverse();
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(extent: Extent, spacing: [f64; 3]) -> Grid {
        let axes = if extent[0] == 1 { 2 } else { 3 };
        Grid {
            extent,
            spacing,
            axes,
        }
    }

    #[test]
    fn levels_halve_until_the_image_is_small() {
        let extents = |grid| -> Vec<Extent> { pyramid(grid).iter().map(|g| g.extent).collect() };
        let brain = extents(grid([80, 96, 80], [2.0; 3]));
        assert_eq!(brain, [[21, 25, 21], [41, 49, 41], [80, 96, 80]]);
        assert_eq!(extents(grid([20, 20, 20], [1.0; 3])), [[20, 20, 20]]);
        let slice = extents(grid([1, 64, 40], [1.0, 1.0, 1.0]));
        assert_eq!(slice, [[1, 33, 21], [1, 64, 40]]);
        // However large the image, its coarsest level sees all of it at once.
        for (extent, coarsest, levels) in [
            ([160, 192, 160], [21, 25, 21], 4),
            ([1, 1024, 1024], [1, 17, 17], 7),
        ] {
            let found = extents(grid(extent, [1.0; 3]));
            assert_eq!((found[0], found.len()), (coarsest, levels));
        }
    }

    #[test]
    fn thick_slices_wait_for_the_others() {
        let levels = pyramid(grid([128, 128, 10], [1.5, 1.5, 10.0]));
        assert!(levels.len() == 3 && levels.iter().all(|level| level.extent[2] == 10));
        let last = grid([128, 128, 40], [1.5, 1.5, 3.0]).coarser(4.0);
        assert_eq!(last.extent, [33, 33, 21]);
    }

    #[test]
    fn weights_fall_off_around_a_single_marked_voxel() {
        for (extent, expected) in [([1, 17, 17], [1.0, 1.0]), ([17, 17, 17], [0.94, 0.39])] {
            let grid = grid(extent, [1.0; 3]);
            let [d, h, w] = extent;
            let at = |x: usize| (d / 2 * h + 8) * w + x;
            let mut marked = vec![0.0; grid.voxels()];
            marked[at(8)] = 1.0;
            let weight = grid.neighbourhood(&marked, &grid);
            for (x, expected) in [8, 10].into_iter().zip(expected) {
                approx::assert_abs_diff_eq!(weight[at(x)], expected, epsilon = 0.005);
            }
            assert_eq!(weight[at(16)], 0.0);
        }
    }

    #[test]
    fn a_linear_field_is_the_same_on_every_grid() {
        // u = A x about voxel 0, exact under linear interpolation.
        let fine = grid([9, 13, 17], [1.0; 3]);
        let coarse = fine.coarser(2.0);
        assert_eq!(coarse.extent, [5, 7, 9]);
        let at = |grid: &Grid, slope: [f32; 3]| -> Vec<f32> {
            let [_, h, w] = grid.extent;
            let value =
                |c: usize, i: usize| slope[c] * [i / (h * w), i / w % h, i % w][(c + 1) % 3] as f32;
            (0..3)
                .flat_map(|c| (0..grid.voxels()).map(move |i| value(c, i)))
                .collect()
        };
        // Voxels double along every axis: so do positions and vectors.
        let found = fine.regrid(&at(&fine, [0.5, -0.25, 1.0]), &coarse);
        for (found, expected) in found.iter().zip(at(&coarse, [0.5, -0.25, 1.0])) {
            assert!((found - expected).abs() < 1e-5);
        }
    }
}
