//! Gradient of LeakyReLU and of the bias before it.

use cubecl::prelude::*;

use super::super::sums::{UNITS, over_cube, parts, total};
use super::super::{element, elements, empty_like};
use super::{Buffer, argument, batch, channels, empty, extent};

/// Which of the kernel's buffers is `grad`.
const GRAD: usize = 1;

/// The gradient before the activation, in the memory of `grad` where nobody else reads that, and its sum over the voxels of
/// each channel; `output` is the activated value.
pub fn grad_bias(output: Option<Buffer>, grad: Buffer, slope: Option<f32>) -> (Buffer, Buffer) {
    let [d, h, w] = extent(&grad);
    let (n, c) = (batch(&grad), channels(&grad));
    let voxels = d * h * w;
    let parts = parts(voxels);
    let partial = empty(&grad, [n * parts, 1, 1, c]);
    let apart = slope.is_some() && !grad.can_mut();
    let (before, written) = if apart {
        let before = empty_like(&grad, [n, c, d, h, w]);
        (before.clone(), argument(&before))
    } else {
        // One buffer in both places, which is not the same as the same memory in two buffers.
        (grad.clone(), BufferArg::alias(GRAD, elements(&grad)))
    };
    unsafe {
        through_activation::launch_unchecked(
            &grad.client,
            CubeCount::Static(parts as u32, c as u32, n as u32),
            CubeDim::new_1d(UNITS as u32),
            argument(output.as_ref().unwrap_or(&grad)),
            argument(&grad),
            written,
            argument(&partial),
            voxels,
            slope.unwrap_or(1.0),
            slope.is_some(),
            element(&grad),
        );
    }
    let bias = empty(&grad, [c]);
    total(&partial, &bias, c);
    (before, bias)
}

/// `before` may be `grad`: each value is read and then written by one unit.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)] // What a launch passes one by one.
fn through_activation<E: Float>(
    output: &[E],
    grad: &[E],
    before: &mut [E],
    partial: &mut [f32],
    voxels: usize,
    slope: f32,
    #[comptime] activated: bool,
    #[define(E)] _element: ElemType,
) {
    let channels = CUBE_COUNT_Y as usize;
    let channel = CUBE_POS_Y as usize;
    let item = CUBE_POS_Z as usize;
    let unit = UNIT_POS as usize;
    let base = (item * channels + channel) * voxels;
    let mut sum = 0.0f32;
    let mut at = CUBE_POS_X as usize * UNITS + unit;
    while at < voxels {
        let mut value = f32::cast_from(grad[base + at]);
        if comptime!(activated) {
            let active = f32::cast_from(output[base + at]) > 0.0;
            value = select(active, value, value * slope);
            before[base + at] = E::cast_from(value);
        }
        sum += value;
        at += CUBE_COUNT_X as usize * UNITS;
    }
    let sum = over_cube(sum);
    if unit == 0 {
        let part = item * CUBE_COUNT_X as usize + CUBE_POS_X as usize;
        partial[part * channels + channel] = sum;
    }
}
