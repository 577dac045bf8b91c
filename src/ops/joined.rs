//! Convolution of an upsampled tensor joined with a skip connection.

use burn::tensor::Tensor;

use super::bridge::{self, Operation, Saved, View};
#[cfg(feature = "gpu")]
use super::bridge::{Buffer, SavedBuffers};
#[cfg(feature = "gpu")]
use super::gpu;
use super::{ConvOptions, conv, upsample_concat};
use crate::kernels::conv::{self as kernel, JoinSpec};

/// [`conv()`] of [`upsample_concat`]: neither the upsampled tensor nor the joined one is stored where each axis of `skip`
/// is twice that of `low` (in 2-D but for `d`) and the stride is 1.
///
/// # Shapes
/// - `low`: `[n, a, d, h, w]`, `skip`: `[n, b, 2d, 2h, 2w]`, `weight`: `[oc, a + b, 3 or 1, 3, 3]`, `bias`: `[oc]`
/// - output: `[n, oc, 2d, 2h, 2w]`
pub fn joined_conv(
    low: Tensor<5>,
    skip: Tensor<5>,
    weight: Tensor<5>,
    bias: Tensor<1>,
    options: ConvOptions,
) -> Tensor<5> {
    let spec = spec(&low.dims(), &skip.dims(), &weight.dims());
    let [_, _, d, h, w] = low.dims();
    let served = bridge::serves_half(&low) && bridge::serves_half(&skip) && bridge::serves(&weight);
    if served && options.stride == [1; 3] && spec.joins([d, h, w]) {
        let slope = options.slope;
        let inputs = [
            low.into_dispatch(),
            skip.into_dispatch(),
            weight.into_dispatch(),
            bias.into_dispatch(),
        ];
        bridge::run(JoinedConv { slope }, inputs)
    } else {
        conv(upsample_concat(low, skip), weight, bias, options)
    }
}

/// [`joined_conv`] from burn's operations.
pub fn composed(
    low: Tensor<5>,
    skip: Tensor<5>,
    weight: Tensor<5>,
    bias: Tensor<1>,
    options: ConvOptions,
) -> Tensor<5> {
    super::conv::composed(super::upsample::composed(low, skip), weight, bias, options)
}

fn spec(low: &[usize], skip: &[usize], weight: &[usize]) -> JoinSpec {
    JoinSpec {
        batch: skip[0],
        low_channels: low[1],
        skip_channels: skip[1],
        out_channels: weight[0],
        input: [skip[2], skip[3], skip[4]],
        kernel_depth: weight[2],
    }
}

#[derive(Debug)]
struct JoinedConv {
    /// Slope of the LeakyReLU that follows, > 0; `None` for a linear output.
    slope: Option<f32>,
}

impl Operation<4> for JoinedConv {
    fn saves_inputs(&self) -> bool {
        true
    }

    // The sign of the activated output is the activation's gradient mask.
    fn saves_output(&self) -> bool {
        self.slope.is_some()
    }

    fn shape(&self, [_, skip, weight, _]: [&[usize]; 4]) -> Vec<usize> {
        vec![skip[0], weight[0], skip[2], skip[3], skip[4]]
    }

    fn forward(&self, [low, skip, weight, bias]: [View; 4]) -> Vec<f32> {
        let spec = spec(low.shape, skip.shape, weight.shape);
        let [d, h, w] = spec.input;
        let mut data = vec![0.0; spec.batch * spec.out_channels * d * h * w];
        let inputs = [low.data, skip.data];
        kernel::joined_forward(
            &spec,
            inputs,
            weight.data,
            Some(bias.data),
            self.slope,
            &mut data,
        );
        data
    }

    fn backward(&self, saved: Saved<4>) -> [Option<Vec<f32>>; 4] {
        let [low, skip, weight, _] = saved.inputs;
        let spec = spec(low.shape, skip.shape, weight.shape);
        let grad = saved.grad.data;
        if let Some(slope) = self.slope {
            kernel::leaky_relu_grad(saved.output.data, grad, slope);
        }
        let [want_low, want_skip, want_weight, want_bias] = saved.wanted;
        let mut grad_bias = want_bias.then(|| vec![0.0; spec.out_channels]);
        let grad_weight = (want_weight || want_bias).then(|| {
            let mut out = vec![0.0; weight.data.len()];
            let inputs = [low.data, skip.data];
            kernel::joined_grad_weights(&spec, inputs, grad, &mut out, grad_bias.as_deref_mut());
            out
        });
        let grads = (want_low || want_skip).then(|| {
            let mut grads = [vec![0.0; low.data.len()], vec![0.0; skip.data.len()]];
            let [of_low, of_skip] = &mut grads;
            kernel::joined_grad_input(&spec, grad, weight.data, [of_low, of_skip]);
            grads
        });
        let [grad_low, grad_skip] = match grads {
            Some([low, skip]) => [want_low.then_some(low), want_skip.then_some(skip)],
            None => [None, None],
        };
        [
            grad_low,
            grad_skip,
            grad_weight.filter(|_| want_weight),
            grad_bias,
        ]
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, [low, skip, weight, bias]: [Buffer; 4]) -> Buffer {
        gpu::conv::joined::forward(&low, &skip, &weight, &bias, self.slope)
    }

    #[cfg(feature = "gpu")]
    fn backward_gpu(&self, saved: SavedBuffers<4>) -> [Option<Buffer>; 4] {
        let [low, skip, weight, _] = saved.inputs.expect("saves_inputs");
        let [want_low, want_skip, want_weight, want_bias] = saved.wanted;
        let (grad, grad_bias) = gpu::conv::grad_bias(saved.output, saved.grad, self.slope);
        let wanted = [want_low, want_skip, want_weight];
        let [grad_low, grad_skip, grad_weight] =
            gpu::conv::joined::backward([&low, &skip, &weight], &grad, wanted);
        [
            grad_low,
            grad_skip,
            grad_weight,
            want_bias.then_some(grad_bias),
        ]
    }
}
