//! Scaling and squaring of velocities.

use cubecl::prelude::*;

use super::warp::{squaring, squaring_grad};
use super::{Buffer, argument, elements, empty, units};
use crate::kernels::warp::Border;

/// The displacement that a velocity flows to in unit time; see [`crate::ops::integrate()`].
pub fn displacement(velocity: Buffer, steps: usize, border: Border) -> Buffer {
    let start = halved(&velocity, steps);
    (0..steps).fold(start, |u, _| squaring(&u, border))
}

/// Gradient of [`displacement`]; the steps are made again.
pub fn grad(velocity: Buffer, grad: Buffer, steps: usize, border: Border) -> Buffer {
    let mut squared = vec![halved(&velocity, steps)];
    for step in 1..steps {
        squared.push(squaring(&squared[step - 1], border));
    }
    squared.truncate(steps);
    let grad = squared
        .iter()
        .rev()
        .fold(grad, |grad, u| squaring_grad(u, &grad, border));
    halved(&grad, steps)
}

/// A field over `2^steps`.
fn halved(field: &Buffer, steps: usize) -> Buffer {
    let shape: [usize; 5] = field.meta.shape().dims();
    let out = empty(field, shape);
    let items = elements(field);
    let (count, dim) = units(field, items);
    unsafe {
        scale::launch_unchecked(
            &field.client,
            count,
            dim,
            argument(field),
            argument(&out),
            items,
            0.5_f32.powi(steps as i32),
        );
    }
    out
}

#[cube(launch_unchecked)]
fn scale(field: &[f32], out: &mut [f32], items: usize, factor: f32) {
    if ABSOLUTE_POS >= items {
        terminate!();
    }
    out[ABSOLUTE_POS] = field[ABSOLUTE_POS] * factor;
}
