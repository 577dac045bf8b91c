//! Stationary velocities and the displacements they flow to, with the gradient.
//!
//! Scaling and squaring (Arsigny et al., MICCAI 2006): `u = v / 2^steps`, then `steps` times `u <- u + u o (id + u)`.
//! Beyond the grid the edge's vectors go on, so that a border may move.

use rayon::prelude::*;

use super::Extent;
use super::warp::{self, Border, Shape};

/// The displacements on the way from a velocity to the end of its flow, kept for the gradient.
pub struct Exponential {
    /// `[nf, extent]` each: the scaled velocity, then one for each squaring.
    steps: Vec<Vec<f32>>,
    nf: usize,
    extent: Extent,
}

impl Exponential {
    /// Flows along `sign` times the `velocity`, `[nf, extent]` in voxels, for unit time.
    ///
    /// The negated velocity (`sign = -1`) gives the inverse transform.
    pub fn new(velocity: &[f32], nf: usize, extent: Extent, squarings: usize, sign: f32) -> Self {
        assert_eq!(
            velocity.len(),
            nf * extent.iter().product::<usize>(),
            "exponential: velocity does not fill [{nf}, {extent:?}]"
        );
        let scale = sign * 0.5_f32.powi(squarings as i32);
        let mut steps = vec![velocity.par_iter().map(|v| v * scale).collect::<Vec<f32>>()];
        let shape = Shape::fields(extent, 1, nf, Border::Edge);
        for step in 0..squarings {
            let u = &steps[step];
            steps.push(warp::compose(u, u, &shape));
        }
        Self { steps, nf, extent }
    }

    /// The displacement at the end, `[nf, extent]` in voxels.
    pub fn displacement(&self) -> &[f32] {
        self.steps
            .last()
            .expect("there is at least the scaled velocity")
    }

    /// [`Self::displacement`], without the way to it.
    pub fn into_displacement(mut self) -> Vec<f32> {
        self.steps
            .pop()
            .expect("there is at least the scaled velocity")
    }

    /// Gradient of a loss for the displacement of velocity `sign * v`, as gradient for `v`.
    pub fn grad(&self, grad_displacement: Vec<f32>, sign: f32) -> Vec<f32> {
        let squarings = self.steps.len() - 1;
        let mut grad = grad_displacement;
        let shape = Shape::fields(self.extent, 1, self.nf, Border::Edge);
        for u in self.steps[..squarings].iter().rev() {
            // u + u o (id + u): the sum, the warped field, and the field that warps it.
            let grads = warp::linear_grad(u, u, &shape, &grad, [true; 2]);
            let [warped, warping] = grads.map(|grad| grad.expect("wanted"));
            grad.par_iter_mut()
                .zip(warped.par_iter().zip(&warping))
                .for_each(|(grad, (a, b))| *grad += a + b);
        }
        let scale = sign * 0.5_f32.powi(squarings as i32);
        grad.par_iter_mut().for_each(|grad| *grad *= scale);
        grad
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::oracle::check::{assert_close, dot, finite_differences};
    use crate::kernels::oracle::random::uniform;
    use crate::kernels::oracle::{self, widen};
    use crate::kernels::resize;

    const GRIDS: [(usize, Extent); 3] = [(3, [4, 5, 6]), (2, [1, 6, 7]), (3, [1, 5, 4])];

    fn smooth(seed: u64, nf: usize, extent: Extent) -> Vec<f32> {
        let coarse = extent.map(|n| n.div_ceil(3));
        let values = uniform(seed, nf * coarse.iter().product::<usize>(), 0.8);
        resize::linear(&values, nf, coarse, extent, 1.0)
    }

    /// Scaling and squaring by its definition.
    fn flow(v: &[f64], nf: usize, extent: Extent, squarings: i32, sign: f64) -> Vec<f64> {
        let mut u: Vec<f64> = v
            .iter()
            .map(|v| sign * v / 2.0_f64.powi(squarings))
            .collect();
        for _ in 0..squarings {
            u = oracle::field::compose(&u, &u, nf, extent, Border::Edge);
        }
        u
    }

    #[test]
    fn matches_the_definition_in_both_directions() {
        for (nf, extent) in GRIDS {
            let v = smooth(1, nf, extent);
            for sign in [1.0, -1.0] {
                let found = Exponential::new(&v, nf, extent, 5, sign);
                let expected = flow(&widen(&v), nf, extent, 5, f64::from(sign));
                assert_close(found.displacement(), &expected, 1e-5);
            }
        }
    }

    #[test]
    fn gradient_agrees_with_finite_differences() {
        for (nf, extent) in GRIDS {
            let v = smooth(2, nf, extent);
            let upstream = uniform(3, v.len(), 1.0);
            for sign in [1.0, -1.0] {
                let found = Exponential::new(&v, nf, extent, 3, sign).grad(upstream.clone(), sign);
                let loss =
                    |v: &[f64]| dot(&flow(v, nf, extent, 3, f64::from(sign)), &widen(&upstream));
                let expected = finite_differences(loss, &widen(&v), 1e-6);
                assert_close(&found, &expected, 1e-4);
            }
        }
    }

    #[test]
    fn both_directions_undo_each_other() {
        let (nf, extent) = (3, [9, 10, 11]);
        let v: Vec<f32> = smooth(4, nf, extent).iter().map(|v| v / 4.0).collect();
        let [there, back] =
            [1.0, -1.0].map(|sign| Exponential::new(&v, nf, extent, 7, sign).into_displacement());
        let left = warp::compose(&there, &back, &Shape::fields(extent, 1, nf, Border::Edge));
        let length = |u: &[f32]| u.iter().map(|u| u * u).sum::<f32>().sqrt();
        assert!(
            length(&left) < 0.05 * length(&there),
            "{} {}",
            length(&left),
            length(&there)
        );
    }
}
