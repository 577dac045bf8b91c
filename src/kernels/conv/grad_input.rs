//! Gradient of the input: the transposed convolution of the gradient of the output.

use super::ConvSpec;
use super::axis::Axis;
use super::gather::execute;
use super::plan::{Plan, Weights};
use super::simd::Level;

pub(super) fn run(level: Level, spec: &ConvSpec, grad_out: &[f32], w: &[f32], grad_x: &mut [f32]) {
    spec.check();
    assert_eq!(
        grad_out.len(),
        spec.output_len(),
        "gradient of another shape"
    );
    assert_eq!(w.len(), spec.weights_len(), "weights of another shape");
    let kernel = [spec.kernel_depth, 3, 3];
    let axes = std::array::from_fn(|a| Axis::transpose(spec.input[a], kernel[a], spec.stride[a]));
    let taps = spec.kernel_depth * 9;
    let weights = Weights {
        values: w,
        target_stride: taps,
        source_stride: spec.in_channels * taps,
    };
    let plan = Plan::new(
        axes,
        spec.out_channels,
        spec.in_channels,
        weights,
        level.channels(),
    );
    execute(level, &plan, grad_out, None, None, grad_x);
}
