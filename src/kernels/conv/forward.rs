//! The convolution with its bias and activation.

use super::ConvSpec;
use super::axis::Axis;
use super::gather::execute;
use super::plan::{Plan, Weights};
use super::simd::Level;

pub(super) fn run(
    level: Level,
    spec: &ConvSpec,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    slope: Option<f32>,
    out: &mut [f32],
) {
    spec.check();
    assert_eq!(x.len(), spec.input_len(), "input of another shape");
    assert_eq!(w.len(), spec.weights_len(), "weights of another shape");
    assert!(bias.is_none_or(|bias| bias.len() == spec.out_channels));
    let taps = spec.kernel_depth * 9;
    let weights = Weights {
        values: w,
        target_stride: spec.in_channels * taps,
        source_stride: taps,
    };
    let plan = Plan::new(
        axes(spec),
        spec.in_channels,
        spec.out_channels,
        weights,
        level.channels(),
    );
    execute(level, &plan, x, bias, slope, out);
}

/// The axes of the convolution itself.
pub(super) fn axes(spec: &ConvSpec) -> [Axis; 3] {
    let kernel = [spec.kernel_depth, 3, 3];
    std::array::from_fn(|a| Axis::convolution(spec.input[a], kernel[a], spec.stride[a]))
}
