//! Diffusion penalty of a field and its gradient, in one pass.

use rayon::prelude::*;

use super::{Extent, vector};

/// Adds the gradient of `sum over components, axes and voxels of weight[component][axis] * (difference)^2`, forward
/// differences along each axis, to `grad`; both `[nf, extent]`.
///
/// Axes are `[d, h, w]`; an axis of one voxel has no differences.
pub fn add_gradient(
    field: &[f32],
    nf: usize,
    extent: Extent,
    weight: &[[f32; 3]],
    grad: &mut [f32],
) {
    let voxels: usize = extent.iter().product();
    assert!(
        field.len() == nf * voxels && grad.len() == field.len() && weight.len() == nf,
        "diffusion: field, gradient and weights do not fill [{nf}, {extent:?}]"
    );
    let [d, h, w] = extent;
    grad.par_chunks_exact_mut((h * w).max(1))
        .enumerate()
        .for_each(|(at, grad)| {
            let (component, z) = (at / d, at % d);
            vector::run(Plane {
                field: &field[component * voxels..][..voxels],
                extent,
                z,
                weight: weight[component],
                grad,
            });
        });
}

/// One plane of one component.
struct Plane<'a> {
    field: &'a [f32],
    extent: Extent,
    z: usize,
    weight: [f32; 3],
    grad: &'a mut [f32],
}

impl vector::Work for Plane<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let [d, h, w] = self.extent;
        let [wd, wh, ww] = self.weight.map(|weight| 2.0 * weight);
        let row = |z: usize, y: usize| &self.field[(z * h + y) * w..][..w];
        for (y, grad) in self.grad.chunks_exact_mut(w).enumerate() {
            let here = row(self.z, y);
            let mut pull = |other: &[f32], weight: f32| {
                for ((grad, here), other) in grad.iter_mut().zip(here).zip(other) {
                    *grad += weight * (here - other);
                }
            };
            if self.z > 0 {
                pull(row(self.z - 1, y), wd);
            }
            if self.z + 1 < d {
                pull(row(self.z + 1, y), wd);
            }
            if y > 0 {
                pull(row(self.z, y - 1), wh);
            }
            if y + 1 < h {
                pull(row(self.z, y + 1), wh);
            }
            for ((grad, here), before) in grad[1..].iter_mut().zip(&here[1..]).zip(here) {
                *grad += ww * (here - before);
            }
            for ((grad, here), after) in grad.iter_mut().zip(here).zip(&here[1..]) {
                *grad += ww * (here - after);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::oracle::check::{assert_close, finite_differences};
    use crate::kernels::oracle::random::uniform;
    use crate::kernels::oracle::{coordinates, widen};

    fn penalty(field: &[f64], extent: Extent, weight: &[[f32; 3]]) -> f64 {
        let voxels: usize = extent.iter().product();
        let strides = [extent[1] * extent[2], extent[2], 1];
        let mut sum = 0.0;
        for (component, weight) in weight.iter().enumerate() {
            let u = &field[component * voxels..][..voxels];
            for at in 0..voxels {
                for axis in 0..3 {
                    if coordinates(at, extent)[axis] + 1 < extent[axis] {
                        sum += f64::from(weight[axis]) * (u[at + strides[axis]] - u[at]).powi(2);
                    }
                }
            }
        }
        sum
    }

    #[test]
    fn agrees_with_finite_differences() {
        let weights = [[0.5, 1.0, 2.0], [0.1, 0.2, 0.3], [1.0, 0.0, 0.7]];
        for (nf, extent) in [
            (3, [3, 4, 5]),
            (2, [1, 4, 3]),
            (3, [4, 1, 1]),
            (2, [1, 1, 6]),
        ] {
            let field = uniform(1, nf * extent.iter().product::<usize>(), 1.0);
            let mut found = vec![0.25; field.len()];
            add_gradient(&field, nf, extent, &weights[..nf], &mut found);
            let loss = |u: &[f64]| penalty(u, extent, &weights[..nf]);
            let expected: Vec<f64> = finite_differences(loss, &widen(&field), 1e-4)
                .into_iter()
                .map(|g| g + 0.25)
                .collect();
            assert_close(&found, &expected, 1e-5);
        }
    }
}
