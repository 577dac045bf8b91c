//! How unlike two images are under a displacement, and which way to change it.

use rayon::prelude::*;

use super::grid::Grid;
use crate::kernels::correlation::{self, Form, Kept, Pair};
use crate::kernels::parzen::Information;
use crate::kernels::warp::{self, Border, Shape};
use crate::linear::Similarity;

/// Voxels of the window of the local correlation along each axis.
const WINDOW: usize = 5;
/// Standard deviation of intensities from 0 to 1 at which a window counts half: below is noise.
const NOISE: f32 = 0.02;
/// What the product of both variances is raised by: far below noise, for else more contrast pulled into a dim window
/// would look like more correlation.
const EPSILON: f32 = 1e-8;
/// Bins of the joint histogram along each axis.
const BINS: usize = 32;
/// Mean squared differences of intensities from 0 to 1 are small; this lets one smoothness fit all measures.
const SQUARED_INTENSITIES: f32 = 50.0;
/// The same for descriptors.
const SQUARED_DESCRIPTORS: f32 = 5.0;

/// One direction of a registration on one grid: `source` is pulled onto `target`.
pub(super) struct Direction<'a> {
    /// `[components, extent]`, as is `source`.
    pub target: &'a [f32],
    pub source: &'a [f32],
    /// 1 for the voxels of the target that both images show, 0 for others; `None` where all are.
    pub mask: Option<&'a [f32]>,
    /// How much each voxel of the target counts, 0..1; 0 outside the mask.
    pub weight: &'a [f32],
    /// The target's sums, which the local correlation needs.
    pub sums: Option<&'a Kept>,
    pub components: usize,
    pub grid: Grid,
    pub similarity: Similarity,
}

/// The window of the local correlation.
pub(super) fn window(grid: &Grid) -> [usize; 3] {
    grid.extent.map(|n| if n == 1 { 1 } else { WINDOW })
}

/// `weight`, and less where the target's own window holds little but noise, or few voxels that count.
pub(super) fn by_contrast(weight: &[f32], sums: &Kept, grid: &Grid) -> Vec<f32> {
    let variances = sums.variances(window(grid).iter().product()).zip(weight);
    variances
        .map(|([variance, share], weight)| weight * share * variance / (variance + NOISE * NOISE))
        .collect()
}

impl Direction<'_> {
    /// Mean dissimilarity over the voxels; smaller is better.
    pub fn value(&self, displacement: &[f32]) -> f64 {
        let moved = self.moved(displacement);
        match self.similarity {
            Similarity::Lncc => {
                let (moved, sums) = (self.seen(moved), self.kept());
                let values = correlation::local_of_first(&self.windows(&moved), sums);
                -mean(&values, self.weight)
            }
            Similarity::Ncc => {
                let correlation = Correlation::new(self.target, &moved, self.weight);
                -correlation.value() * self.share(correlation.total)
            }
            Similarity::Mi => match self.information(&moved) {
                Some(information) => -information.value * self.share(information.total),
                None => 0.0,
            },
            Similarity::Mse | Similarity::Mind => {
                let squares: Vec<f32> = self.differences(&moved).map(|d| d * d).collect();
                let channels = squares.chunks_exact(self.grid.voxels());
                f64::from(self.factor()) * channels.map(|c| mean(c, self.weight)).sum::<f64>()
            }
        }
    }

    /// Gradient, for the displacement, of the dissimilarity summed over the voxels.
    pub fn gradient(&self, displacement: &[f32]) -> Vec<f32> {
        let moved = self.moved(displacement);
        let by_moved = self.gradient_by_moved(moved);
        let [_, grad] = warp::linear_grad(
            self.source,
            displacement,
            &self.shape(),
            &by_moved,
            [false, true],
        );
        grad.expect("the gradient of the flow was wanted")
    }

    fn moved(&self, displacement: &[f32]) -> Vec<f32> {
        warp::linear(self.source, displacement, &self.shape())
    }

    /// That of `source` warped by a displacement.
    fn shape(&self) -> Shape {
        Shape {
            channels: self.components,
            ..Shape::one(self.grid.extent, self.grid.axes, Border::Edge)
        }
    }

    /// `moved` where the mask shows it, 0 elsewhere.
    fn seen(&self, mut moved: Vec<f32>) -> Vec<f32> {
        if let Some(mask) = self.mask {
            let voxels = moved.par_iter_mut().zip(mask);
            voxels.for_each(|(value, mask)| *value *= mask);
        }
        moved
    }

    fn kept(&self) -> &Kept {
        self.sums.expect("a level keeps them for this measure")
    }

    fn gradient_by_moved(&self, moved: Vec<f32>) -> Vec<f32> {
        match self.similarity {
            Similarity::Lncc => {
                let upstream: Vec<f32> = self.weight.par_iter().map(|w| -w).collect();
                let (moved, sums) = (self.seen(moved), self.kept());
                let pair = self.windows(&moved);
                self.seen(correlation::local_grad_of_first(&pair, sums, &upstream))
            }
            Similarity::Ncc => Correlation::new(self.target, &moved, self.weight).gradient(-1.0),
            Similarity::Mi => {
                let Some(information) = self.information(&moved) else {
                    return vec![0.0; moved.len()];
                };
                let voxels = self.target.par_iter().zip(&moved).zip(self.weight);
                let gradient = |((&target, &value), &weight): ((&f32, &f32), &f32)| {
                    let sample = [value, weight].map(f64::from);
                    let [by_value, _] = information.derivatives(target, sample);
                    (-information.total * by_value) as f32
                };
                voxels.map(gradient).collect()
            }
            Similarity::Mse | Similarity::Mind => {
                let (factor, voxels) = (2.0 * self.factor(), self.grid.voxels());
                let weighted = |(at, d): (usize, f32)| factor * self.weight[at % voxels] * d;
                self.differences(&moved).enumerate().map(weighted).collect()
            }
        }
    }

    fn differences(&self, moved: &[f32]) -> impl IndexedParallelIterator<Item = f32> {
        moved.par_iter().zip(self.target).map(|(m, t)| m - t)
    }

    /// Of a squared difference, per channel.
    fn factor(&self) -> f32 {
        match self.similarity {
            Similarity::Mind => SQUARED_DESCRIPTORS / self.components as f32,
            _ => SQUARED_INTENSITIES,
        }
    }

    /// The squared correlation, which ANTs calls CC: it does not ask for brightness to go the same way.
    fn windows<'b>(&'b self, moved: &'b [f32]) -> Pair<'b> {
        Pair {
            a: moved,
            b: self.target,
            items: 1,
            extent: self.grid.extent,
            window: window(&self.grid),
            form: Form::Plain,
            epsilon: EPSILON,
        }
    }

    fn information(&self, moved: &[f32]) -> Option<Information<BINS>> {
        Information::new(self.target, |at| {
            [moved[at], self.weight[at]].map(f64::from)
        })
    }

    /// What a measure of the whole image counts beside means over all voxels, whose weights are `total` together: as much as
    /// in its gradient.
    fn share(&self, total: f64) -> f64 {
        total / self.grid.voxels() as f64
    }
}

/// Weighted mean over all voxels, those of weight 0 too.
fn mean(values: &[f32], weight: &[f32]) -> f64 {
    let terms = values.iter().zip(weight);
    terms.map(|(v, w)| f64::from(v * w)).sum::<f64>() / values.len() as f64
}

/// Correlation of two images over all voxels.
struct Correlation<'a> {
    target: &'a [f32],
    moved: &'a [f32],
    weight: &'a [f32],
    total: f64,
    means: [f64; 2],
    /// Weighted sums of squares and products of what differs from the means.
    variances: [f64; 2],
    covariance: f64,
}

/// Keeps a constant image from dividing 0 by 0.
const LEAST_VARIANCE: f64 = 1e-12;

impl<'a> Correlation<'a> {
    fn new(target: &'a [f32], moved: &'a [f32], weight: &'a [f32]) -> Self {
        let sum = |term: &dyn Fn(f64, f64) -> f64| -> f64 {
            let voxels = target.iter().zip(moved).zip(weight);
            voxels
                .map(|((&t, &m), &w)| f64::from(w) * term(f64::from(t), f64::from(m)))
                .sum()
        };
        let total = sum(&|_, _| 1.0).max(LEAST_VARIANCE);
        let (t0, m0) = (sum(&|t, _| t) / total, sum(&|_, m| m) / total);
        Self {
            target,
            moved,
            weight,
            total,
            means: [t0, m0],
            variances: [
                sum(&|t, _| (t - t0) * (t - t0)).max(LEAST_VARIANCE),
                sum(&|_, m| (m - m0) * (m - m0)).max(LEAST_VARIANCE),
            ],
            covariance: sum(&|t, m| (t - t0) * (m - m0)),
        }
    }

    fn value(&self) -> f64 {
        self.covariance / (self.variances[0] * self.variances[1]).sqrt()
    }

    /// `factor` times the gradient of the correlation for the moved image, times the number of voxels that count.
    fn gradient(&self, factor: f64) -> Vec<f32> {
        let [t0, m0] = self.means;
        let by_target = factor * self.total / (self.variances[0] * self.variances[1]).sqrt();
        let by_moved = factor * self.total * self.value() / self.variances[1];
        let voxels = self.target.par_iter().zip(self.moved).zip(self.weight);
        voxels
            .map(|((&t, &m), &w)| {
                let grad = by_target * (f64::from(t) - t0) - by_moved * (f64::from(m) - m0);
                w * grad as f32
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::oracle::check::{assert_close, finite_differences};
    use crate::kernels::oracle::random::uniform;
    use crate::kernels::resize;

    /// Smooth random values in 0..1.
    fn smooth(seed: u64, channels: usize, extent: [usize; 3]) -> Vec<f32> {
        let coarse = extent.map(|n| n.div_ceil(2));
        let values = uniform(seed, channels * coarse.iter().product::<usize>(), 0.5);
        let values: Vec<f32> = values.iter().map(|v| v + 0.5).collect();
        resize::linear(&values, channels, coarse, extent, 1.0)
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        for (extent, axes) in [([5, 6, 7], 3), ([1, 8, 9], 2)] {
            let grid = Grid {
                extent,
                spacing: [1.0; 3],
                axes,
            };
            let n = grid.voxels();
            for similarity in Similarity::ALL {
                let channels = if similarity == Similarity::Mind { 2 } else { 1 };
                let (target, source) = (smooth(1, channels, extent), smooth(2, channels, extent));
                // The first plane or row is not seen.
                let mask: Vec<f32> = (0..n)
                    .map(|at| if at < extent[2] { 0.0 } else { 1.0 })
                    .collect();
                let weight = uniform(3, n, 0.4).into_iter().zip(&mask);
                let weight: Vec<f32> = weight.map(|(w, m)| (w + 0.5) * m).collect();
                let sums =
                    (channels == 1).then(|| Kept::masked(&target, &mask, extent, window(&grid)));
                let direction = Direction {
                    target: &target,
                    source: &source,
                    mask: Some(&mask),
                    weight: &weight,
                    sums: sums.as_ref(),
                    components: channels,
                    grid,
                    similarity,
                };
                let displacement = uniform(4, axes * n, 0.4);
                let loss = |u: &[f64]| {
                    let u: Vec<f32> = u.iter().map(|&u| u as f32).collect();
                    n as f64 * direction.value(&u)
                };
                let wide: Vec<f64> = displacement.iter().map(|&u| f64::from(u)).collect();
                let expected = finite_differences(loss, &wide, 2e-3);
                // Float32 values: differences of width 4e-3 keep two digits of them.
                assert_close(&direction.gradient(&displacement), &expected, 3e-2);
            }
        }
    }
}
