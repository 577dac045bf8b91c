//! 3x3x3 (3-D) and 1x3x3 (2-D) convolution with bias and LeakyReLU.

use burn::tensor::{Tensor, activation::leaky_relu, module::conv3d, ops};

use super::bridge::{self, Operation, Saved, View};
#[cfg(feature = "gpu")]
use super::bridge::{Buffer, SavedBuffers};
#[cfg(feature = "gpu")]
use super::gpu;
use super::half::{is_half, widened};
use crate::kernels::conv::{self, ConvSpec};

/// What a convolution does beside its weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConvOptions {
    /// Step along `(d, h, w)`, each 1 or 2.
    pub stride: [usize; 3],
    /// Slope of the LeakyReLU that follows, > 0; `None` for a linear output.
    pub slope: Option<f32>,
}

/// Convolution with "same" zero padding, then LeakyReLU.
///
/// # Shapes
/// - `x`: `[n, ic, d, h, w]`, `weight`: `[oc, ic, 3 or 1, 3, 3]`, `bias`: `[oc]`
/// - output: `[n, oc, (d-1)/s+1, (h-1)/s+1, (w-1)/s+1]`
pub fn conv(x: Tensor<5>, weight: Tensor<5>, bias: Tensor<1>, options: ConvOptions) -> Tensor<5> {
    if bridge::serves_half(&x) && bridge::serves(&weight) {
        let inputs = [
            x.into_dispatch(),
            weight.into_dispatch(),
            bias.into_dispatch(),
        ];
        bridge::run(options, inputs)
    } else if is_half(&x) {
        widened([x], |[x]| conv(x, weight, bias, options))
    } else {
        composed(x, weight, bias, options)
    }
}

/// [`conv`] from burn's operations.
pub fn composed(
    x: Tensor<5>,
    weight: Tensor<5>,
    bias: Tensor<1>,
    options: ConvOptions,
) -> Tensor<5> {
    let padding = [weight.dims()[2] / 2, 1, 1];
    let out = conv3d(
        x,
        weight,
        Some(bias),
        ops::ConvOptions::new(options.stride, padding, [1, 1, 1], 1),
    );
    match options.slope {
        Some(slope) => leaky_relu(out, f64::from(slope)),
        None => out,
    }
}

impl ConvOptions {
    fn spec(&self, x: &[usize], weight: &[usize]) -> ConvSpec {
        ConvSpec {
            batch: x[0],
            in_channels: x[1],
            out_channels: weight[0],
            input: [x[2], x[3], x[4]],
            kernel_depth: weight[2],
            stride: self.stride,
        }
    }
}

impl Operation<3> for ConvOptions {
    fn saves_inputs(&self) -> bool {
        true
    }

    // The sign of the activated output is the activation's gradient mask.
    fn saves_output(&self) -> bool {
        self.slope.is_some()
    }

    fn shape(&self, [x, weight, _]: [&[usize]; 3]) -> Vec<usize> {
        let spec = self.spec(x, weight);
        let [d, h, w] = spec.output();
        vec![spec.batch, spec.out_channels, d, h, w]
    }

    fn forward(&self, [x, weight, bias]: [View; 3]) -> Vec<f32> {
        let spec = self.spec(x.shape, weight.shape);
        let [d, h, w] = spec.output();
        let mut out = vec![0.0; spec.batch * spec.out_channels * d * h * w];
        conv::forward(
            &spec,
            x.data,
            weight.data,
            Some(bias.data),
            self.slope,
            &mut out,
        );
        out
    }

    fn backward(&self, saved: Saved<3>) -> [Option<Vec<f32>>; 3] {
        let [x, weight, _] = saved.inputs;
        let spec = self.spec(x.shape, weight.shape);
        let grad = saved.grad.data;
        if let Some(slope) = self.slope {
            conv::leaky_relu_grad(saved.output.data, grad, slope);
        }
        let [want_x, want_weight, want_bias] = saved.wanted;
        let mut grad_bias = want_bias.then(|| vec![0.0; spec.out_channels]);
        let grad_weight = (want_weight || want_bias).then(|| {
            let mut out = vec![0.0; weight.data.len()];
            conv::grad_weights(&spec, x.data, grad, &mut out, grad_bias.as_deref_mut());
            out
        });
        let grad_x = want_x.then(|| {
            let mut out = vec![0.0; x.data.len()];
            conv::grad_input(&spec, grad, weight.data, &mut out);
            out
        });
        [grad_x, grad_weight.filter(|_| want_weight), grad_bias]
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, [x, weight, bias]: [Buffer; 3]) -> Buffer {
        gpu::conv::forward(&x, &weight, &bias, self.stride, self.slope)
    }

    #[cfg(feature = "gpu")]
    fn backward_gpu(&self, saved: SavedBuffers<3>) -> [Option<Buffer>; 3] {
        let [x, weight, _] = saved.inputs.expect("saves_inputs");
        let [want_x, want_weight, want_bias] = saved.wanted;
        let (grad, grad_bias) = gpu::conv::grad_bias(saved.output, saved.grad, self.slope);
        let grad_x = want_x.then(|| gpu::conv::grad_input(&grad, &weight, &x, self.stride));
        let grad_weight =
            want_weight.then(|| gpu::conv::grad_weights(&x, &grad, &weight, self.stride));
        [grad_x, grad_weight, want_bias.then_some(grad_bias)]
    }
}
