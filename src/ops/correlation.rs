//! Local correlation of two images.

use burn::tensor::Tensor;

use super::bridge::{self, Operation, Saved, View};
#[cfg(feature = "gpu")]
use super::bridge::{Buffer, SavedBuffers};
#[cfg(feature = "gpu")]
use super::gpu;
use super::resize::along_axes;
use crate::kernels::correlation::{self as kernel, EPSILON, Form, Pair};

/// The correlation of two images in the window around each voxel; zeros outside the images count.
///
/// # Shapes
/// - `a`, `b` and the result: `[n, 1, d, h, w]`; the window has odd sizes
pub fn local_correlation(a: Tensor<5>, b: Tensor<5>, window: [usize; 3], form: Form) -> Tensor<5> {
    if bridge::serves(&a) && bridge::serves(&b) {
        let operation = LocalCorrelation { window, form };
        bridge::run(operation, [a.into_dispatch(), b.into_dispatch()])
    } else {
        composed(a, b, window, form)
    }
}

/// [`local_correlation`] from burn's operations.
pub fn composed(a: Tensor<5>, b: Tensor<5>, window: [usize; 3], form: Form) -> Tensor<5> {
    let voxels = window.iter().product::<usize>() as f32;
    // One pass over all five sums; the images enter as channels.
    let products = vec![
        a.clone(),
        b.clone(),
        a.clone() * a.clone(),
        b.clone() * b.clone(),
        a * b,
    ];
    let sums = box_sum(Tensor::cat(products, 1), window);
    let sum = |c| sums.clone().narrow(1, c, 1);
    let (a, b) = (sum(0), sum(1));
    let var_a = sum(2) - a.clone() * a.clone() / voxels;
    let var_b = sum(3) - b.clone() * b.clone() / voxels;
    let cov = sum(4) - a * b / voxels;
    match form {
        Form::Plain => cov.clone() * cov / (var_a * var_b + EPSILON),
        Form::Clamped => {
            let cov = cov.clamp_min(EPSILON);
            let (var_a, var_b) = (var_a.clamp_min(EPSILON), var_b.clamp_min(EPSILON));
            (cov.clone() / var_a) * (cov / var_b)
        }
        Form::Signed => {
            let product = var_a.clamp_min(EPSILON) * var_b.clamp_min(EPSILON);
            cov / product.sqrt()
        }
    }
}

/// Sum over the window around each voxel: a banded matrix of ones along each axis.
fn box_sum(x: Tensor<5>, window: [usize; 3]) -> Tensor<5> {
    let [_, _, d, h, w] = x.dims();
    let matrices = [d, h, w].map(|n| (n, n));
    along_axes(x, matrices, |axis, row, column| {
        f32::from(row.abs_diff(column) <= window[axis] / 2)
    })
}

#[derive(Debug)]
struct LocalCorrelation {
    window: [usize; 3],
    form: Form,
}

impl LocalCorrelation {
    fn pair<'a>(&self, a: &View<'a>, b: &View<'a>) -> Pair<'a> {
        let &[n, c, d, h, w] = a.shape else {
            unreachable!("local_correlation takes rank 5")
        };
        Pair {
            a: a.data,
            b: b.data,
            items: n * c,
            extent: [d, h, w],
            window: self.window,
            form: self.form,
            epsilon: EPSILON,
        }
    }
}

impl Operation<2> for LocalCorrelation {
    fn saves_inputs(&self) -> bool {
        true
    }

    fn shape(&self, [a, _]: [&[usize]; 2]) -> Vec<usize> {
        a.to_vec()
    }

    fn forward(&self, [a, b]: [View; 2]) -> Vec<f32> {
        kernel::local(&self.pair(&a, &b))
    }

    fn backward(&self, saved: Saved<2>) -> [Option<Vec<f32>>; 2] {
        let [a, b] = &saved.inputs;
        kernel::local_grad(&self.pair(a, b), saved.grad.data, saved.wanted)
    }

    #[cfg(feature = "gpu")]
    fn forward_gpu(&self, [a, b]: [Buffer; 2]) -> Buffer {
        gpu::correlation::local([a, b], self.window, self.form)
    }

    #[cfg(feature = "gpu")]
    fn backward_gpu(&self, saved: SavedBuffers<2>) -> [Option<Buffer>; 2] {
        let pair = saved.inputs.expect("saves_inputs");
        gpu::correlation::local_grad(pair, saved.grad, self.window, self.form, saved.wanted)
    }
}
