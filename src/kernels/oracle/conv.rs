//! Convolution written from its definition: one loop per axis, float64, no padding buffers.

use crate::kernels::conv::ConvSpec;

/// `(output index, tap, input index)` of every term along one axis that stays inside the input.
fn terms(input: usize, kernel: usize, stride: usize) -> Vec<(usize, usize, usize)> {
    let padding = kernel / 2;
    let output = (input - 1) / stride + 1;
    let mut list = Vec::new();
    for o in 0..output {
        for tap in 0..kernel {
            let padded = o * stride + tap;
            if padded >= padding && padded - padding < input {
                list.push((o, tap, padded - padding));
            }
        }
    }
    list
}

/// Calls `visit(input index, weight index, output index)` for every product of the convolution.
fn visit_products(spec: &ConvSpec, mut visit: impl FnMut(usize, usize, usize)) {
    let ([id, ih, iw], [od, oh, ow]) = (spec.input, spec.output());
    let (ci, co, kd) = (spec.in_channels, spec.out_channels, spec.kernel_depth);
    let depth = terms(id, kd, spec.stride[0]);
    let height = terms(ih, 3, spec.stride[1]);
    let width = terms(iw, 3, spec.stride[2]);
    for n in 0..spec.batch {
        for (o, i) in (0..co).flat_map(|o| (0..ci).map(move |i| (o, i))) {
            for &(zo, zt, zi) in &depth {
                for &(yo, yt, yi) in &height {
                    for &(xo, xt, xi) in &width {
                        visit(
                            (((n * ci + i) * id + zi) * ih + yi) * iw + xi,
                            (((o * ci + i) * kd + zt) * 3 + yt) * 3 + xt,
                            (((n * co + o) * od + zo) * oh + yo) * ow + xo,
                        );
                    }
                }
            }
        }
    }
}

/// Convolution, bias and LeakyReLU; shapes as [`crate::kernels::conv::forward`].
pub fn forward(
    spec: &ConvSpec,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    slope: Option<f32>,
) -> Vec<f64> {
    let plane: usize = spec.output().iter().product();
    let mut out = vec![0.0; spec.output_len()];
    visit_products(spec, |i, k, o| out[o] += f64::from(x[i]) * f64::from(w[k]));
    for (index, value) in out.iter_mut().enumerate() {
        if let Some(bias) = bias {
            *value += f64::from(bias[index / plane % spec.out_channels]);
        }
        if let Some(slope) = slope
            && *value <= 0.0
        {
            *value *= f64::from(slope);
        }
    }
    out
}

/// Gradient of the input; shapes as [`crate::kernels::conv::grad_input`].
pub fn grad_input(spec: &ConvSpec, grad_out: &[f32], w: &[f32]) -> Vec<f64> {
    let mut grad = vec![0.0; spec.input_len()];
    visit_products(spec, |i, k, o| {
        grad[i] += f64::from(grad_out[o]) * f64::from(w[k]);
    });
    grad
}

/// Gradients of the weights and the bias; shapes as [`crate::kernels::conv::grad_weights`].
pub fn grad_weights(spec: &ConvSpec, x: &[f32], grad_out: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let mut grad_w = vec![0.0; spec.weights_len()];
    visit_products(spec, |i, k, o| {
        grad_w[k] += f64::from(x[i]) * f64::from(grad_out[o]);
    });
    let plane: usize = spec.output().iter().product();
    let mut grad_bias = vec![0.0; spec.out_channels];
    for (index, value) in grad_out.iter().enumerate() {
        grad_bias[index / plane % spec.out_channels] += f64::from(*value);
    }
    (grad_w, grad_bias)
}
