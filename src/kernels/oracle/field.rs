//! Integration and composition of fields from their definitions.

use super::warp::linear;
use crate::kernels::Extent;
use crate::kernels::warp::{Border, Shape};

/// Scaling and squaring of fields of [`Shape::fields`].
pub fn integrate(velocity: &[f64], shape: &Shape, squarings: usize) -> Vec<f64> {
    let mut u: Vec<f64> = velocity
        .iter()
        .map(|v| v / f64::powi(2.0, squarings as i32))
        .collect();
    for _ in 0..squarings {
        u = compose(&u, &u, shape.components, shape.image, shape.border);
    }
    u
}

/// `u(x) = b(x) + a(x + b(x))`.
pub fn compose(a: &[f64], b: &[f64], nf: usize, extent: Extent, border: Border) -> Vec<f64> {
    let items = b.len() / nf / extent.iter().product::<usize>();
    linear(&Shape::fields(extent, items, nf, border), a, b)
        .iter()
        .zip(b)
        .map(|(a, b)| a + b)
        .collect()
}
