//! Diffusion penalty of fields and its gradient, each in one pass.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Extent, vector};

/// Power of the differences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    L1,
    #[default]
    L2,
}

/// The sum over components, axes and voxels of `weight[component][axis] * |difference|^power`, forward differences
/// along each axis.
///
/// Axes are `[d, h, w]`; an axis of one voxel has no differences. Fields are `[items, components, extent]`.
#[derive(Debug, Clone, Copy)]
pub struct Differences<'a> {
    pub extent: Extent,
    /// One for each component.
    pub weights: &'a [[f32; 3]],
    pub norm: Norm,
}

impl Differences<'_> {
    /// The sum of each item.
    pub fn sums(&self, field: &[f32]) -> Vec<f32> {
        self.check(field);
        let planes: Vec<f64> = (0..field.len() / self.plane())
            .into_par_iter()
            .map(|at| match self.norm {
                Norm::L1 => vector::run(Value(self.place::<Absolute>(field, at))),
                Norm::L2 => vector::run(Value(self.place::<Square>(field, at))),
            })
            .collect();
        let items = planes.chunks_exact(self.weights.len() * self.extent[0]);
        items.map(|item| item.iter().sum::<f64>() as f32).collect()
    }

    /// Adds `factor[item]` times the gradient of each item's sum to `grad`.
    pub fn add_gradient(&self, field: &[f32], factors: &[f32], grad: &mut [f32]) {
        self.check(field);
        let item = self.weights.len() * self.extent[0];
        assert!(
            grad.len() == field.len() && factors.len() * item * self.plane() == field.len(),
            "diffusion: gradient and factors do not fit the field"
        );
        grad.par_chunks_exact_mut(self.plane())
            .enumerate()
            .for_each(|(at, grad)| {
                let factor = factors[at / item];
                match self.norm {
                    Norm::L1 => vector::run(Gradient {
                        place: self.place::<Absolute>(field, at),
                        factor,
                        grad,
                    }),
                    Norm::L2 => vector::run(Gradient {
                        place: self.place::<Square>(field, at),
                        factor,
                        grad,
                    }),
                }
            });
    }

    fn plane(&self) -> usize {
        self.extent[1] * self.extent[2]
    }

    fn check(&self, field: &[f32]) {
        let item = self.weights.len() * self.extent[0] * self.plane();
        assert!(
            item > 0 && field.len().is_multiple_of(item),
            "diffusion: {} values do not fill [items, {}, {:?}]",
            field.len(),
            self.weights.len(),
            self.extent
        );
    }

    fn place<'a, P: Power>(&self, field: &'a [f32], at: usize) -> Place<'a, P> {
        let [d, h, w] = self.extent;
        let (component, z) = (at / d, at % d);
        Place {
            field: &field[component * d * h * w..][..d * h * w],
            extent: self.extent,
            z,
            weight: self.weights[component % self.weights.len()],
            power: std::marker::PhantomData,
        }
    }
}

/// What is made of a difference.
trait Power: Send + Sync {
    fn of(difference: f32) -> f32;
    fn slope(difference: f32) -> f32;
}

struct Absolute;

impl Power for Absolute {
    #[inline(always)]
    fn of(difference: f32) -> f32 {
        difference.abs()
    }

    #[inline(always)]
    fn slope(difference: f32) -> f32 {
        f32::from(difference > 0.0) - f32::from(difference < 0.0)
    }
}

struct Square;

impl Power for Square {
    #[inline(always)]
    fn of(difference: f32) -> f32 {
        difference * difference
    }

    #[inline(always)]
    fn slope(difference: f32) -> f32 {
        2.0 * difference
    }
}

/// One plane of one component.
struct Place<'a, P> {
    /// `[extent]`
    field: &'a [f32],
    extent: Extent,
    z: usize,
    weight: [f32; 3],
    power: std::marker::PhantomData<P>,
}

impl<'a, P> Place<'a, P> {
    #[inline(always)]
    fn row(&self, z: usize, y: usize) -> &'a [f32] {
        let [_, h, w] = self.extent;
        &self.field[(z * h + y) * w..][..w]
    }
}

/// The weighted sum of the differences from a plane onwards.
struct Value<'a, P>(Place<'a, P>);

impl<P: Power> vector::Work for Value<'_, P> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let place = self.0;
        let [d, h, _] = place.extent;
        let [wd, wh, ww] = place.weight.map(f64::from);
        let mut sum = 0.0;
        for y in 0..h {
            let here = place.row(place.z, y);
            if place.z + 1 < d {
                sum += wd * row_sum::<P>(here, place.row(place.z + 1, y));
            }
            if y + 1 < h {
                sum += wh * row_sum::<P>(here, place.row(place.z, y + 1));
            }
            sum += ww * row_sum::<P>(here, &here[1..]);
        }
        sum
    }
}

/// Over the voxels of the shorter row.
#[inline(always)]
fn row_sum<P: Power>(here: &[f32], there: &[f32]) -> f64 {
    const LANES: usize = 16;
    let here = &here[..there.len()];
    let mut sums = [0.0_f32; LANES];
    let (heres, theres) = (here.chunks_exact(LANES), there.chunks_exact(LANES));
    let rest = heres.remainder().iter().zip(theres.remainder());
    let rest: f32 = rest.map(|(a, b)| P::of(b - a)).sum();
    for (here, there) in heres.zip(theres) {
        for ((sum, a), b) in sums.iter_mut().zip(here).zip(there) {
            *sum += P::of(b - a);
        }
    }
    sums.into_iter().chain([rest]).map(f64::from).sum()
}

/// Adds to the gradient of a plane.
struct Gradient<'a, P> {
    place: Place<'a, P>,
    factor: f32,
    grad: &'a mut [f32],
}

impl<P: Power> vector::Work for Gradient<'_, P> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let place = self.place;
        let [d, h, w] = place.extent;
        let [wd, wh, ww] = place.weight.map(|weight| self.factor * weight);
        let z = place.z;
        for (y, grad) in self.grad.chunks_exact_mut(w).enumerate() {
            let here = place.row(z, y);
            let mut pull = |other: &[f32], weight: f32| {
                for ((grad, here), other) in grad.iter_mut().zip(here).zip(other) {
                    *grad += weight * P::slope(here - other);
                }
            };
            if z > 0 {
                pull(place.row(z - 1, y), wd);
            }
            if z + 1 < d {
                pull(place.row(z + 1, y), wd);
            }
            if y > 0 {
                pull(place.row(z, y - 1), wh);
            }
            if y + 1 < h {
                pull(place.row(z, y + 1), wh);
            }
            for ((grad, here), before) in grad[1..].iter_mut().zip(&here[1..]).zip(here) {
                *grad += ww * P::slope(here - before);
            }
            for ((grad, here), after) in grad.iter_mut().zip(here).zip(&here[1..]) {
                *grad += ww * P::slope(here - after);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::oracle::check::{assert_close, dot, finite_differences};
    use crate::kernels::oracle::random::uniform;
    use crate::kernels::oracle::{coordinates, widen};

    const WEIGHTS: [[f32; 3]; 3] = [[0.5, 1.0, 2.0], [0.1, 0.2, 0.3], [1.0, 0.0, 0.7]];
    const GRIDS: [(usize, Extent); 5] = [
        (3, [3, 4, 5]),
        (2, [1, 4, 3]),
        (3, [4, 1, 1]),
        (2, [1, 1, 6]),
        (2, [2, 3, 37]),
    ];

    /// From the definition, for each item.
    fn penalties(field: &[f64], extent: Extent, weights: &[[f32; 3]], norm: Norm) -> Vec<f64> {
        let voxels: usize = extent.iter().product();
        let strides = [extent[1] * extent[2], extent[2], 1];
        let power = match norm {
            Norm::L1 => 1,
            Norm::L2 => 2,
        };
        let mut sums = vec![0.0; field.len() / (voxels * weights.len())];
        for (at, &u) in field.iter().enumerate() {
            let (component, voxel) = (at / voxels, at % voxels);
            let weight = weights[component % weights.len()];
            for axis in 0..3 {
                if coordinates(voxel, extent)[axis] + 1 < extent[axis] {
                    let difference = (field[at + strides[axis]] - u).abs();
                    sums[component / weights.len()] +=
                        f64::from(weight[axis]) * difference.powi(power);
                }
            }
        }
        sums
    }

    #[test]
    fn sums_and_gradients_agree_with_the_definition() {
        for (nf, extent) in GRIDS {
            for norm in [Norm::L1, Norm::L2] {
                let weights = &WEIGHTS[..nf];
                let field = uniform(1, 2 * nf * extent.iter().product::<usize>(), 1.0);
                let differences = Differences {
                    extent,
                    weights,
                    norm,
                };
                let expected = penalties(&widen(&field), extent, weights, norm);
                assert_close(&differences.sums(&field), &expected, 1e-6);

                let factors = [0.7, -1.3];
                let mut found = vec![0.25; field.len()];
                differences.add_gradient(&field, &factors, &mut found);
                let loss = |u: &[f64]| dot(&penalties(u, extent, weights, norm), &widen(&factors));
                let expected: Vec<f64> = finite_differences(loss, &widen(&field), 1e-5)
                    .into_iter()
                    .map(|g| g + 0.25)
                    .collect();
                assert_close(&found, &expected, 1e-5);
            }
        }
    }

    #[test]
    fn a_nan_is_not_hidden() {
        let mut field = uniform(2, 2 * 60, 1.0);
        field[61] = f32::NAN;
        for norm in [Norm::L1, Norm::L2] {
            let differences = Differences {
                extent: [3, 4, 5],
                weights: &WEIGHTS[..1],
                norm,
            };
            let sums = differences.sums(&field);
            assert!(sums[0].is_finite() && sums[1].is_nan());
        }
    }
}
