//! Integration and composition of fields from their definitions.

use super::warp::{Problem, linear};
use crate::kernels::Extent;
use crate::kernels::warp::Border;

/// Scaling and squaring, zeros outside.
pub fn integrate(velocity: &[f64], nf: usize, extent: Extent, steps: usize) -> Vec<f64> {
    let mut u: Vec<f64> = velocity
        .iter()
        .map(|v| v / f64::powi(2.0, steps as i32))
        .collect();
    for _ in 0..steps {
        u = compose(&u, &u, nf, extent, Border::Zeros);
    }
    u
}

/// `u(x) = b(x) + a(x + b(x))`.
pub fn compose(a: &[f64], b: &[f64], nf: usize, extent: Extent, border: Border) -> Vec<f64> {
    let batch = b.len() / nf / extent.iter().product::<usize>();
    let problem = Problem {
        image: extent,
        output: extent,
        batch,
        channels: nf,
        components: nf,
        border,
    };
    linear(&problem, a, b)
        .iter()
        .zip(b)
        .map(|(a, b)| a + b)
        .collect()
}
