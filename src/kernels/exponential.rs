//! Stationary velocities and the displacements they flow to, with the gradient.
//!
//! Scaling and squaring (Arsigny et al., MICCAI 2006): `u = v / 2^squarings`, then as often `u <- u + u o (id + u)`, each
//! squaring and its gradient in one pass.

use std::borrow::Cow;

use rayon::prelude::*;

use super::warp::{self, Shape};

/// The flow along `sign` times a velocity for unit time.
#[derive(Debug, Clone, Copy)]
pub struct Exponential {
    /// Of [`Shape::fields`]. [`Border::Edge`](warp::Border::Edge) lets the edge's vectors go on beyond the grid, so that a border
    /// may move.
    pub shape: Shape,
    pub squarings: usize,
    /// -1 for the inverse transform.
    pub sign: f32,
}

impl Exponential {
    /// The displacement at the end of the flow, `[items, components, extent]` in voxels as is the `velocity`.
    pub fn displacement(&self, velocity: &[f32]) -> Vec<f32> {
        (0..self.squarings).fold(self.start(velocity), |u, _| self.square(&u))
    }

    /// [`Self::displacement`], with all that its gradient needs.
    pub fn flow(&self, velocity: &[f32]) -> Flow {
        Flow {
            steps: self.steps(velocity, self.squarings),
            exponential: *self,
        }
    }

    /// Gradient for the velocity of a loss whose gradient for the displacement is `grad`; the way there is gone again.
    pub fn grad(&self, velocity: &[f32], grad: &[f32]) -> Vec<f32> {
        match self.squarings.checked_sub(1) {
            Some(before_last) => self.back(&self.steps(velocity, before_last), grad),
            None => self.back(&[], grad),
        }
    }

    fn scale(&self) -> f32 {
        self.sign * 0.5_f32.powi(self.squarings as i32)
    }

    fn start(&self, velocity: &[f32]) -> Vec<f32> {
        assert_eq!(
            velocity.len(),
            self.shape.flow_len(),
            "exponential: velocity does not fill {:?}",
            self.shape
        );
        let scale = self.scale();
        velocity.par_iter().map(|v| v * scale).collect()
    }

    fn square(&self, u: &[f32]) -> Vec<f32> {
        warp::compose(u, u, &self.shape)
    }

    /// The scaled velocity, and what it has become after each of `count` squarings.
    fn steps(&self, velocity: &[f32], count: usize) -> Vec<Vec<f32>> {
        let mut steps = vec![self.start(velocity)];
        for n in 0..count {
            steps.push(self.square(&steps[n]));
        }
        steps
    }

    /// Through squarings of `squared`, the last one first, and the scaling.
    fn back(&self, squared: &[Vec<f32>], grad: &[f32]) -> Vec<f32> {
        let back =
            |grad: Cow<[f32]>, u: &Vec<f32>| warp::squaring_grad(u, &self.shape, &grad).into();
        let grad = squared.iter().rev().fold(Cow::from(grad), back);
        let (mut grad, scale) = (grad.into_owned(), self.scale());
        grad.par_iter_mut().for_each(|grad| *grad *= scale);
        grad
    }
}

/// A flow with the displacements on its way.
pub struct Flow {
    /// The scaled velocity, then one for each squaring.
    steps: Vec<Vec<f32>>,
    exponential: Exponential,
}

impl Flow {
    /// See [`Exponential::displacement`].
    pub fn displacement(&self) -> &[f32] {
        self.steps
            .last()
            .expect("there is at least the scaled velocity")
    }

    /// See [`Exponential::grad`]; nothing is computed again.
    pub fn grad(&self, grad: &[f32]) -> Vec<f32> {
        let squared = &self.steps[..self.exponential.squarings];
        self.exponential.back(squared, grad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::oracle::check::{assert_close, dot, finite_differences};
    use crate::kernels::oracle::random::uniform;
    use crate::kernels::oracle::{self, widen};
    use crate::kernels::resize;
    use crate::kernels::warp::Border;

    /// Two fields each.
    fn problems() -> Vec<Exponential> {
        let mut all = Vec::new();
        for (nf, extent) in [
            (3, [4, 5, 6]),
            (2, [1, 6, 7]),
            (3, [1, 5, 4]),
            (3, [5, 1, 1]),
            (2, [1, 1, 9]),
            (3, [1, 1, 1]),
        ] {
            for (border, sign) in [
                (Border::Edge, 1.0),
                (Border::Edge, -1.0),
                (Border::Zeros, 1.0),
            ] {
                all.push(Exponential {
                    shape: Shape::fields(extent, 2, nf, border),
                    squarings: 3,
                    sign,
                });
            }
        }
        all
    }

    fn smooth(seed: u64, shape: &Shape) -> Vec<f32> {
        let coarse = shape.image.map(|n| n.div_ceil(3));
        let channels = shape.items * shape.components;
        let values = uniform(seed, channels * coarse.iter().product::<usize>(), 0.8);
        resize::linear(&values, channels, coarse, shape.image, 1.0)
    }

    fn expected(exponential: &Exponential, velocity: &[f64]) -> Vec<f64> {
        let Exponential {
            shape,
            squarings,
            sign,
        } = *exponential;
        let velocity: Vec<f64> = velocity.iter().map(|v| f64::from(sign) * v).collect();
        oracle::field::integrate(&velocity, &shape, squarings)
    }

    #[test]
    fn matches_the_definition() {
        for problem in problems() {
            for squarings in [0, 1, 5] {
                let problem = Exponential {
                    squarings,
                    ..problem
                };
                let v = smooth(1, &problem.shape);
                let found = problem.displacement(&v);
                assert_close(&found, &expected(&problem, &widen(&v)), 1e-5);
                assert_eq!(problem.flow(&v).displacement(), found);
            }
        }
    }

    #[test]
    fn gradient_agrees_with_finite_differences() {
        for problem in problems() {
            for squarings in [0, 1, 3] {
                let problem = Exponential {
                    squarings,
                    ..problem
                };
                let v = smooth(2, &problem.shape);
                let upstream = uniform(3, v.len(), 1.0);
                let found = problem.grad(&v, &upstream);
                let loss = |v: &[f64]| dot(&expected(&problem, v), &widen(&upstream));
                assert_close(&found, &finite_differences(loss, &widen(&v), 1e-6), 1e-4);
                assert_eq!(problem.flow(&v).grad(&upstream), found);
            }
        }
    }

    #[test]
    fn a_contraction_flows_to_its_exponential() {
        // v(x) = -x/2 along w about voxel 0: each squaring squares the factor (1 - 1/2^8).
        let mut v = vec![0.0; 2 * 33];
        (0..33).for_each(|x| v[33 + x] = -0.5 * x as f32);
        let exponential = Exponential {
            shape: Shape::fields([1, 1, 33], 1, 2, Border::Zeros),
            squarings: 7,
            sign: 1.0,
        };
        let u = exponential.displacement(&v);
        let factor = (1.0 - 0.5 / 128.0_f64).powi(128) - 1.0;
        let expected: Vec<f64> = (0..33).map(|x| factor * f64::from(x)).collect();
        assert_close(&u[33..], &expected, 1e-5);
        assert!((factor - ((-0.5_f64).exp() - 1.0)).abs() < 1e-3);
    }

    #[test]
    fn both_directions_undo_each_other() {
        let shape = Shape::fields([9, 10, 11], 1, 3, Border::Edge);
        let v: Vec<f32> = smooth(4, &shape).iter().map(|v| v / 4.0).collect();
        let [there, back] = [1.0, -1.0].map(|sign| {
            let squarings = 7;
            Exponential {
                shape,
                squarings,
                sign,
            }
            .displacement(&v)
        });
        let left = warp::compose(&there, &back, &shape);
        let length = |u: &[f32]| u.iter().map(|u| u * u).sum::<f32>().sqrt();
        assert!(
            length(&left) < 0.05 * length(&there),
            "{} {}",
            length(&left),
            length(&there)
        );
    }

    #[test]
    fn a_nan_is_not_hidden() {
        let exponential = problems()[3];
        let mut v = smooth(5, &exponential.shape);
        let upstream = uniform(6, v.len(), 1.0);
        v[40] = f32::NAN;
        assert!(exponential.displacement(&v)[40].is_nan());
        let grad = exponential.grad(&v, &upstream);
        assert!(grad.iter().any(|grad| grad.is_nan()));
    }
}
